//! The servers asked from both sides of a lab through their routers: what a plan allows must be answered, and what it
//! forbids must not.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use futures_util::future::{join_all, select_ok};
use tokio::time::{sleep, timeout};

use super::{
    ADDRESS, ADDRESS6, Servers, channel, hub,
    stun::{self, Challenge, Credentials},
};
use crate::{
    lab::{
        fabric::Policy,
        namespace::Namespace,
        packet::Protocol,
        wire::{Faults, Loss},
    },
    record::Check,
    scenario::plan::{Network, Side, TurnTransport, Uplink},
};

/// For an answer that should come over a quick line: some losses, each of which costs TCP up to a second (RFC 6298
/// section 2), and a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that a question takes, an allocation over TLS: TCP 1, TLS 1.3 1, two to allocate, one to give back; and
/// three that are lost.
const ROUND_TRIPS: u32 = 8;
/// Over a line with losses a question is asked anew after this, besides the first: a connection whose first packets are
/// lost is seconds behind.
const AGAIN: Duration = Duration::from_secs(2);
/// Attempts in all over such a line.
const ATTEMPTS: u32 = 3;
/// For one that should not: as long as the lab's probe waits for a packet.
const SILENCE: Duration = Duration::from_millis(700);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Stun,
    Hub,
    Turn(TurnTransport),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stun => "STUN",
            Self::Hub => "the hub",
            Self::Turn(TurnTransport::Udp) => "TURN over UDP",
            Self::Turn(TurnTransport::Tcp) => "TURN over TCP",
            Self::Turn(TurnTransport::Tls) => "TURN over TLS",
        })
    }
}

impl Question {
    fn protocol(self) -> Protocol {
        match self {
            Self::Stun | Self::Turn(TurnTransport::Udp) => Protocol::Udp,
            Self::Hub | Self::Turn(TurnTransport::Tcp | TurnTransport::Tls) => Protocol::Tcp,
        }
    }
}

/// Asks everything from both sides, all at once.
pub(super) async fn run(
    servers: &Servers,
    sides: [(&str, &Namespace, &Side); 2],
    relays: bool,
) -> Vec<Check> {
    let asked = sides.into_iter().flat_map(|(name, namespace, side)| {
        questions(servers, side, relays)
            .into_iter()
            .map(move |(question, address)| ask(servers, name, namespace, side, question, address))
    });
    join_all(asked).await
}

fn questions(servers: &Servers, side: &Side, relays: bool) -> Vec<(Question, SocketAddr)> {
    let wanted = &servers.wanted;
    let hosts: &[IpAddr] = match side.network {
        Network::Ipv4 => &[IpAddr::V4(ADDRESS)],
        Network::Dual => &[IpAddr::V4(ADDRESS), IpAddr::V6(ADDRESS6)],
        Network::Ipv6 | Network::Nat64 => &[IpAddr::V6(ADDRESS6)],
    };
    let mut questions = vec![(Question::Hub, servers.hub_address(side))];
    for host in hosts {
        if wanted.stun {
            questions.push((Question::Stun, SocketAddr::new(*host, wanted.turn_port)));
        }
        for transport in wanted.turn.iter().filter(|_| relays) {
            let tls = *transport == TurnTransport::Tls;
            let port = if tls { wanted.turns_port } else { wanted.turn_port };
            questions.push((Question::Turn(*transport), SocketAddr::new(*host, port)));
        }
    }
    questions
}

async fn ask(
    servers: &Servers,
    name: &str,
    namespace: &Namespace,
    side: &Side,
    question: Question,
    address: SocketAddr,
) -> Check {
    let what = format!("{question} at {address} from the {name}'s side");
    let began = Instant::now();
    let attempt = async |after: Duration| {
        sleep(after).await;
        match question {
            Question::Stun => binding(namespace, address).await,
            Question::Hub => hub::ask(namespace, address).await.map(|()| "answers".into()).map_err(in_words),
            Question::Turn(transport) => allocation(servers, namespace, transport, address).await,
        }
    };
    let attempts = (0..attempts(&side.uplink)).map(|number| Box::pin(attempt(number * AGAIN)));
    let answer = select_ok(attempts);
    let forbidden = forbidden(side.uplink.policy, question.protocol(), address.port());
    if let (Question::Hub, Some(why)) = (question, &forbidden) {
        // No scenario can do without the hub.
        let found =
            format!("the network there {why}: let servers.turns_port be that port, and the hub is there too");
        return Check { what, wanted: "an answer".into(), found, ok: false };
    }
    let patience = if forbidden.is_some() { SILENCE } else { patience(&side.uplink) };
    let answer = timeout(patience, answer).await;
    let took = began.elapsed().as_millis();
    let answered = matches!(answer, Ok(Ok(_)));
    let found = match answer {
        Ok(Ok((answer, _))) => format!("{answer}, after {took} ms"),
        Ok(Err(trouble)) => trouble,
        Err(_) => format!("no answer within {} s", patience.as_secs_f32()),
    };
    let wanted = match &forbidden {
        Some(why) => format!("no answer: the network there {why}"),
        None => "an answer".into(),
    };
    Check { what, wanted, found, ok: answered != forbidden.is_some() }
}

/// How long an answer may take over a side's line.
fn patience(uplink: &Uplink) -> Duration {
    let longest = |line: &Faults| {
        let waits = if line.rate.is_some() { line.queue } else { Duration::ZERO };
        line.delay + line.jitter + waits
    };
    PATIENCE + ROUND_TRIPS * (longest(&uplink.up) + longest(&uplink.down))
}

/// How often a question is asked over a side's line.
fn attempts(uplink: &Uplink) -> u32 {
    let lossy = [uplink.up.loss, uplink.down.loss].into_iter().any(|loss| loss != Loss::NONE);
    if lossy { ATTEMPTS } else { 1 }
}

/// What a policy says against a packet, if it does.
fn forbidden(policy: Policy, protocol: Protocol, port: u16) -> Option<String> {
    match policy {
        Policy::Open => None,
        Policy::NoUdp => (protocol == Protocol::Udp).then(|| "lets no UDP out".into()),
        Policy::OnlyTcp(only) => {
            (protocol != Protocol::Tcp || port != only).then(|| format!("lets only TCP to port {only} out"))
        }
    }
}

async fn binding(namespace: &Namespace, address: SocketAddr) -> Result<String, String> {
    let mut channel = channel::open(namespace, TurnTransport::Udp, address, "").await.map_err(in_words)?;
    let answer = channel::ask(&mut channel, &stun::binding()?).await.map_err(in_words)?;
    Ok(format!("sees {}", stun::mapped(&answer)?))
}

async fn allocation(
    servers: &Servers,
    namespace: &Namespace,
    transport: TurnTransport,
    address: SocketAddr,
) -> Result<String, String> {
    let credentials = Credentials::new(&servers.secret, SystemTime::now())?;
    let authority = servers.coturn.authority();
    let mut channel = channel::open(namespace, transport, address, authority).await.map_err(in_words)?;
    let refusal = channel::ask(&mut channel, &stun::allocate(None)?).await.map_err(in_words)?;
    let challenge = Challenge::of(&refusal)?;
    let signed = stun::allocate(Some((&credentials, &challenge)))?;
    let answer = channel::ask(&mut channel, &signed).await.map_err(in_words)?;
    let relayed = stun::relayed(&answer)?;
    // Given back, so that a set of servers can be asked any number of times.
    let released =
        channel::ask(&mut channel, &stun::release(&credentials, &challenge)?).await.map_err(in_words)?;
    if !stun::succeeded(&released) {
        return Err(format!("relays from {relayed}, but does not take it back"));
    }
    Ok(format!("relays from {relayed}"))
}

fn in_words(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".into(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("there is no way to it: {error}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_more_time() {
        let mut uplink = Uplink::default();
        assert_eq!(patience(&uplink), PATIENCE);
        uplink.up.delay = Duration::from_millis(300);
        uplink.down.jitter = Duration::from_millis(100);
        // Without a rate nothing waits in the queue.
        assert_eq!(patience(&uplink), PATIENCE + ROUND_TRIPS * Duration::from_millis(400));
    }

    #[test]
    fn what_a_policy_forbids_is_said_in_words() {
        let ask = |policy, protocol, port| forbidden(policy, protocol, port);
        assert_eq!(ask(Policy::Open, Protocol::Udp, 3478), None);
        assert_eq!(ask(Policy::NoUdp, Protocol::Tcp, 3478), None);
        assert_eq!(ask(Policy::NoUdp, Protocol::Udp, 3478).as_deref(), Some("lets no UDP out"));
        assert_eq!(ask(Policy::OnlyTcp(443), Protocol::Tcp, 443), None);
        for (protocol, port) in [(Protocol::Tcp, 8080), (Protocol::Udp, 443)] {
            let words = ask(Policy::OnlyTcp(443), protocol, port);
            assert_eq!(words.as_deref(), Some("lets only TCP to port 443 out"));
        }
    }
}
