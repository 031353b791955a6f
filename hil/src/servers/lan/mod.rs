//! dnsmasq on the device's side: DHCP, IPv6 router advertisements and DNS of a LAN that a board's network card is on, so
//! that a real board needs no set-up. Where the agent is a process in the namespace itself, DNS alone.

mod dns;
mod leases;

use std::{
    ffi::OsString,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    ADDRESS, ADDRESS6, HUB_NAME, ServerError, TURN_NAME, place,
    ready::{TAIL, ready},
};
use crate::{
    lab::{Lab, build::BOARD_INTERFACE, build::Lan, namespace::Namespace},
    process::{self, Program, Spec, find},
    record::Artefact,
    scenario::plan::{Network, Side},
};

pub use leases::Lease;

/// What it is called in messages.
const NAME: &str = "dnsmasq";
/// The shortest that dnsmasq gives: a board that comes back after a reboot gets its address anyhow.
const LEASE: &str = "2m";
/// It starts in milliseconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the leases are looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// The kernel makes an interface's link-local address of its MAC address (ip-sysctl, `addr_gen_mode`).
const EUI64: &str = "0";
/// Addresses of the name that tells a NAT64's prefix (RFC 7050 section 8.2), in IPv4 and with the prefix that the lab
/// uses, which is the well-known one (RFC 6052 section 2.1).
const TELLS_PREFIX: [&str; 2] =
    ["ipv4only.arpa,192.0.0.170,64:ff9b::c000:aa", "ipv4only.arpa,192.0.0.171,64:ff9b::c000:ab"];

/// Why the LAN's server is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// It does not run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Nobody asks it.
    #[error(
        "no device asked for an address on {BOARD_INTERFACE} of {namespace} within {} s: is it on, does its network card \
         lead there, does it use DHCP? Last in dnsmasq's log:\n{tail}",
        .patience.as_secs()
    )]
    NoLease {
        /// The namespace.
        namespace: String,
        /// How long was waited.
        patience: Duration,
        /// Last lines of the log.
        tail: String,
    },
}

/// dnsmasq, which runs until this is dropped.
#[derive(Debug)]
pub struct LanServer {
    program: Program,
    namespace: String,
    leases: PathBuf,
    _resolver: Option<Resolver>,
}

impl LanServer {
    /// Starts it on the device's side of a lab; returns when it answers. With
    /// [`DeviceHost::Process`](crate::lab::build::DeviceHost) it serves the namespace's own programs, which see it as the
    /// only server in /etc/resolv.conf; otherwise also whoever is on `board0`, which may come later.
    ///
    /// # Errors
    /// dnsmasq is missing, its port is taken, or it does not answer.
    pub async fn start(lab: &Lab, side: &Side, folder: &Path) -> Result<Self, LanError> {
        Ok(Self::start_in(lab.device(), lab.lan().as_ref(), side.network, folder).await?)
    }

    async fn start_in(
        namespace: &Namespace,
        lan: Option<&Lan>,
        network: Network,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        fs::create_dir_all(folder).map_err(ServerError::file(folder))?;
        let folder = &folder.canonicalize().map_err(ServerError::file(folder))?;
        let program = find(NAME, "dnsmasq-base")?;
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53);
        place::free(namespace, NAME, here, true).await?;
        let leases = folder.join("leases");
        // Of an earlier lab: its board's.
        match fs::remove_file(&leases) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ServerError::file(&leases)(error));
            }
            _ => {}
        }
        if lan.is_some() {
            link_local(namespace)?;
        }
        let resolver = if lan.is_none() { Some(Resolver::write(namespace)?) } else { None };
        let mut program = Program::start(Spec {
            what: NAME,
            program: &program,
            args: arguments(lan, network, folder),
            env: Vec::new(),
            namespace: Some(namespace),
            log: &folder.join("dnsmasq.log"),
            pipe_stdout: false,
        })?;
        let mut id = 0;
        let answers = || {
            id += 1;
            let answer = resolves(namespace, here, id);
            async { answer.await.unwrap_or(false) }
        };
        ready(&mut program, NAME, here, PATIENCE, answers).await?;
        Ok(Self { program, namespace: namespace.name().into(), leases, _resolver: resolver })
    }

    /// Who has which address now.
    pub fn leases(&self) -> Vec<Lease> {
        // Not there before the first one.
        leases::read(&fs::read_to_string(&self.leases).unwrap_or_default())
    }

    /// Waits for a device to get an address; the first one that is there.
    ///
    /// # Errors
    /// dnsmasq ended, or nobody asked in time.
    pub async fn wait_for_lease(&mut self, patience: Duration) -> Result<Lease, LanError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(lease) = self.leases().into_iter().next() {
                return Ok(lease);
            }
            if let Some(ended) = self.program.ended_early() {
                return Err(ServerError::from(ended).into());
            }
            if Instant::now() >= deadline {
                let tail = self.program.log_tail(TAIL);
                return Err(LanError::NoLease { namespace: self.namespace.clone(), patience, tail });
            }
            sleep(PAUSE).await;
        }
    }

    /// Its log, by a path relative to its folder.
    pub fn artefacts(&self) -> Vec<Artefact> {
        vec![Artefact { what: "dnsmasq's log".into(), path: "dnsmasq.log".into() }]
    }
}

/// Lets the kernel give a link-local address to the board's interface, there or to come: router advertisements are sent
/// from one (RFC 4861 section 4.2), and the lab keeps them from its own.
fn link_local(namespace: &Namespace) -> Result<(), ServerError> {
    let written = namespace.run(|| {
        for interface in ["default", BOARD_INTERFACE] {
            match fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/addr_gen_mode"), EUI64) {
                // The interface is to come, or the kernel has no IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                written => written?,
            }
        }
        Ok(())
    });
    written.map_err(ServerError::failed("board0 cannot be given a link-local address"))
}

/// dnsmasq(8). Nothing of this machine's /etc is read.
fn arguments(lan: Option<&Lan>, network: Network, folder: &Path) -> Vec<OsString> {
    let mut arguments: Vec<String> = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        // The interface may come later, and only what is named is bound.
        "--bind-dynamic",
        "--interface=lo",
        "--user=root",
        "--group=root",
        "--log-facility=-",
        // There is no other DNS: a name that is not the lab's does not exist, and nobody waits for it.
        "--address=/#/",
    ]
    .map(String::from)
    .into();
    let (four, six) = match network {
        Network::Ipv4 => (true, false),
        Network::Dual => (true, true),
        Network::Ipv6 | Network::Nat64 => (false, true),
    };
    for name in [TURN_NAME, HUB_NAME] {
        let addresses = [(four, ADDRESS.to_string()), (six, ADDRESS6.to_string())];
        let addresses = addresses.into_iter().filter_map(|(has, address)| has.then_some(address));
        let record: Vec<String> = std::iter::once(name.to_owned()).chain(addresses).collect();
        arguments.push(format!("--host-record={}", record.join(",")));
    }
    if network == Network::Nat64 {
        arguments.extend(TELLS_PREFIX.map(|record| format!("--host-record={record}")));
    }
    if let Some(lan) = lan {
        arguments.push(format!("--interface={BOARD_INTERFACE}"));
        arguments.push("--log-dhcp".into());
        if four {
            arguments.extend(dhcp(lan));
        }
        if six {
            arguments.extend(["--enable-ra".into(), format!("--dhcp-range={},ra-only,64", lan.subnet6)]);
        }
    }
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    for (option, file) in [("--dhcp-leasefile=", "leases"), ("--pid-file=", "dnsmasq.pid")] {
        let mut argument = OsString::from(option);
        argument.push(folder.join(file));
        arguments.push(argument);
    }
    arguments
}

fn dhcp(lan: &Lan) -> Vec<String> {
    let (first, last) = lan.leases;
    vec![
        format!("--dhcp-range={first},{last},{},{LEASE}", netmask(lan.prefix)),
        // Forwards of the routers go to the first address.
        "--dhcp-sequential-ip".into(),
        format!("--dhcp-option=option:router,{}", lan.gateway),
        format!("--dhcp-option=option:dns-server,{}", lan.gateway),
        // The only server there: a board that comes from another network is told at once, and no time is spent asking
        // whether somebody has the address.
        "--dhcp-authoritative".into(),
        "--no-ping".into(),
    ]
}

fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}

async fn resolves(namespace: &Namespace, at: SocketAddr, id: u16) -> io::Result<bool> {
    let socket = place::udp(namespace, at)?;
    socket.send(&dns::question(id, HUB_NAME)).await?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await?;
    // In an IPv6 network the name has no IPv4 address, which is an answer too.
    Ok(dns::answers(id, &answer[..length]).is_some())
}

/// The resolv.conf of a namespace's own programs, gone when dropped.
#[derive(Debug)]
struct Resolver(PathBuf);

impl Resolver {
    fn write(namespace: &Namespace) -> Result<Self, ServerError> {
        let path = process::resolver(namespace);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ServerError::file(folder))?;
        }
        fs::write(&path, "# Of the lab.\nnameserver 127.0.0.1\n").map_err(ServerError::file(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        if let Some(folder) = self.0.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netmask_is_of_the_prefix_s_length() {
        for (prefix, mask) in [(24, "255.255.255.0"), (0, "0.0.0.0"), (32, "255.255.255.255")] {
            assert_eq!(netmask(prefix).to_string(), mask);
        }
    }
}
