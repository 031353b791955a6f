//! coturn as the lab's STUN and TURN server.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ADDRESS, ADDRESS6, HUB_PORT, REALM, SECOND_ADDRESS, SECOND_ADDRESS6, ServerError,
    certificate::{Certificate, write_private},
    channel, place,
    ready::ready,
    stun,
};
use crate::{
    lab::namespace::Namespace,
    process::{Program, Spec, find},
    scenario::plan::{self, TurnTransport},
};

/// What it is called in messages.
const NAME: &str = "coturn";
/// coturn opens its database, makes its threads and binds its ports in well under a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time to end in order.
const GOODBYE: Duration = Duration::from_secs(2);
/// The port of TURN over TLS by RFC 8656 section 18.6.
const TURNS: u16 = 5349;
/// Lowest port that no server has by right (RFC 6335 section 6).
const FIRST_FREE: u16 = 1024;

/// How coturn is to run, and whether it does.
#[derive(Debug)]
pub(super) struct Coturn {
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    listens: Vec<(SocketAddr, bool)>,
    certificate: Certificate,
    running: Option<Program>,
}

impl Coturn {
    /// Writes its settings and starts it.
    pub(super) async fn start(
        namespace: &Namespace,
        wanted: &plan::Servers,
        secret: &str,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        let program = find("turnserver", NAME)?;
        let listening = addresses(namespace);
        let ports = Ports::of(wanted)?;
        let certificate = Certificate::make(folder, &listening)?;
        let settings = folder.join("turnserver.conf");
        write_private(&settings, &text(&listening, ports, secret, &certificate, folder))?;
        let mut coturn = Self {
            program,
            settings,
            log: folder.join("coturn.log"),
            listens: ports.sockets(&listening),
            certificate,
            running: None,
        };
        coturn.revive(namespace).await?;
        Ok(coturn)
    }

    /// The certificate of TURN over TLS, PEM.
    pub(super) fn authority(&self) -> &str {
        &self.certificate.pem
    }

    /// Starts it again, with the same settings; returns when it answers.
    pub(super) async fn revive(&mut self, namespace: &Namespace) -> Result<(), ServerError> {
        for (address, on_udp) in &self.listens {
            place::free(namespace, NAME, *address, *on_udp).await?;
        }
        let mut program = Program::start(Spec {
            what: NAME,
            program: &self.program,
            args: vec!["-c".into(), self.settings.clone().into()],
            env: Vec::new(),
            namespace: Some(namespace),
            log: &self.log,
            pipe_stdout: false,
        })?;
        for (address, on_udp) in &self.listens {
            let answers = || async { answers(namespace, *address, *on_udp).await.is_some() };
            ready(&mut program, NAME, *address, PATIENCE, answers).await?;
        }
        self.running = Some(program);
        Ok(())
    }

    /// Kills it.
    pub(super) async fn kill(&mut self) {
        if let Some(mut program) = self.running.take() {
            program.kill().await;
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(&mut self) {
        if let Some(mut program) = self.running.take() {
            program.stop(GOODBYE).await;
        }
    }

    /// Its end, if it ended without having been told to.
    pub(super) fn fault(&mut self) -> Option<ServerError> {
        self.running.as_mut()?.ended_early().map(Into::into)
    }
}

/// The addresses that it listens at: those of the lab that the namespace has. Two of a family let it answer RFC 5780.
fn addresses(namespace: &Namespace) -> Vec<IpAddr> {
    let others = [SECOND_ADDRESS.into(), ADDRESS6.into(), SECOND_ADDRESS6.into()];
    let others = others.into_iter().filter(|address| place::has_address(namespace, *address));
    // Without the first, binding to it says so.
    [ADDRESS.into()].into_iter().chain(others).collect()
}

/// Whether it is the one of its family that relays, and that TLS is at.
fn is_first(address: IpAddr) -> bool {
    address != IpAddr::from(SECOND_ADDRESS) && address != IpAddr::from(SECOND_ADDRESS6)
}

/// Its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    turn: u16,
    turns: u16,
    /// The other port of RFC 5780.
    other: u16,
    /// Two of TLS that coturn binds at all addresses and nobody asks: see `text`.
    unused: [u16; 2],
}

impl Ports {
    fn of(wanted: &plan::Servers) -> Result<Self, ServerError> {
        let (turn, turns) = (wanted.turn_port, wanted.turns_port);
        let clashes = [
            (turn == turns).then_some((turn, "TURN over UDP and TCP", "TURN over TLS")),
            (turn == HUB_PORT).then_some((turn, "TURN over UDP and TCP", "the hub")),
            (turns == HUB_PORT).then_some((turns, "TURN over TLS", "the hub")),
        ];
        if let Some((port, first, second)) = clashes.into_iter().flatten().next() {
            return Err(ServerError::SamePort { port, first, second });
        }
        let mut taken = vec![turn, turns, HUB_PORT];
        let mut after = |port: u16| {
            // coturn's own choice is the next one, which may be somebody else's here.
            let free = (port..=u16::MAX).chain(FIRST_FREE..port).find(|port| !taken.contains(port));
            let free = free.unwrap_or(port);
            taken.push(free);
            free
        };
        let (other, unused) = (after(turn), [after(TURNS), after(TURNS)]);
        Ok(Self { turn, turns, other, unused })
    }

    /// Where it listens, and whether by UDP too.
    fn sockets(self, addresses: &[IpAddr]) -> Vec<(SocketAddr, bool)> {
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.push((SocketAddr::new(*address, self.turn), true));
            // Only of the first address of each family: see `text`.
            if is_first(*address) {
                sockets.push((SocketAddr::new(*address, self.turns), false));
            }
        }
        sockets
    }
}

/// turnserver.conf.
fn text(
    addresses: &[IpAddr],
    ports: Ports,
    secret: &str,
    certificate: &Certificate,
    folder: &Path,
) -> String {
    let mut text = String::from("# coturn in the lab's internet.\n");
    for address in addresses {
        let _ = writeln!(text, "listening-ip={address}");
    }
    // One address of each family relays: the lab's routers then see one peer, as with most servers.
    for address in addresses.iter().filter(|address| is_first(**address)) {
        let _ = writeln!(text, "relay-ip={address}");
        // `tls-listening-port` would take the port at all addresses, and the second one's is the hub's second door.
        // Where coturn listens for TCP it takes TLS too.
        let _ = writeln!(text, "aux-server={}", SocketAddr::new(*address, ports.turns));
    }
    let _ = writeln!(text, "listening-port={}\nalt-listening-port={}", ports.turn, ports.other);
    let [tls, other_tls] = ports.unused;
    let _ = writeln!(text, "tls-listening-port={tls}\nalt-tls-listening-port={other_tls}");
    let _ = writeln!(text, "cert={}\npkey={}", certificate.file.display(), certificate.key_file.display());
    let _ = writeln!(text, "realm={REALM}\nuse-auth-secret\nstatic-auth-secret={secret}");
    let _ = writeln!(text, "userdb={}", folder.join("turndb").display());
    let _ = writeln!(text, "pidfile={}", folder.join("coturn.pid").display());
    // RFC 8656 section 7.2 recommends the dynamic ports.
    text.push_str("min-port=49152\nmax-port=65535\nfingerprint\nno-multicast-peers\nno-dtls\nno-cli\n");
    text.push_str("log-file=stdout\nsimple-log\nnew-log-timestamp\nverbose\n");
    text
}

async fn answers(namespace: &Namespace, address: SocketAddr, on_udp: bool) -> Option<()> {
    if on_udp {
        let request = stun::binding().ok()?;
        let mut channel = channel::open(namespace, TurnTransport::Udp, address, "").await.ok()?;
        channel::ask(&mut channel, &request).await.ok()?;
    }
    place::tcp(namespace, address).await.ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(turn_port: u16, turns_port: u16) -> Result<Ports, ServerError> {
        Ports::of(&plan::Servers { stun: true, turn: [].into(), turn_port, turns_port })
    }

    #[test]
    fn no_port_is_given_twice() {
        for (turn, turns) in [(3478, 443), (8079, 8081), (5349, 5350), (65535, 1024), (443, 3478)] {
            let ports = ports(turn, turns).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((ports.turn, ports.turns), (turn, turns));
            let mut all = vec![HUB_PORT, turn, turns, ports.other, ports.unused[0], ports.unused[1]];
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 6, "{ports:?}");
        }
        for (turn, turns) in [(443, 443), (HUB_PORT, 443), (3478, HUB_PORT)] {
            assert!(matches!(ports(turn, turns), Err(ServerError::SamePort { .. })));
        }
    }
}
