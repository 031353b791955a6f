//! Finds out what a router speaks, and speaks it.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::{
    MappingKind,
    mapper::routers,
    speak::{Place, Speaker},
    types::{Granted, Problem, Wanted, is_public},
    upnp::Upnp,
};
use crate::transport::{candidate::Protocol, interfaces::Interfaces};

/// How long a mapping lives that is not renewed. An agent that was killed leaves it open so long at most; and a router
/// that is mute for some minutes does not end it, for it is renewed every ten.
pub(super) const LEASE: Duration = Duration::from_secs(3600);
/// After this time the next protocol is tried beside those that were not answered yet, as RFC 8305 section 5 does with
/// addresses: a router on the link answers within milliseconds, and PCP repeats after 3 s only.
const STAGGER: Duration = Duration::from_millis(250);

/// For each protocol but the first, which is asked before: a router that granted that answers at once.
const OPTIONAL: Duration = Duration::from_secs(1);

/// Somebody who can be asked for mappings.
#[derive(Debug)]
enum Client {
    Speaker(Speaker),
    Upnp(Upnp),
}

/// A router that gave a mapping.
#[derive(Debug)]
pub(super) struct Held {
    pub kind: MappingKind,
    pub granted: Vec<(Protocol, Granted)>,
    client: Client,
    port: u16,
}

/// What the router said to each protocol.
pub(super) type Problems = Vec<(MappingKind, Problem)>;

/// Asks for the port: PCP first, then NAT-PMP and UPnP, each as soon as one failed or was not answered for a quarter of a
/// second. The first that is granted counts.
pub(super) async fn find(place: Place, port: u16, protocols: &[Protocol]) -> Result<Held, Problems> {
    let mut left = MappingKind::ALL.into_iter();
    let mut asked: FuturesUnordered<BoxFuture<'_, (MappingKind, _)>> = FuturesUnordered::new();
    let mut problems = Vec::new();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            Some((kind, result)) = asked.next() => match result {
                Ok(held) => return Ok(held),
                Err(problem) => {
                    debug!("router {} asked by {}: {problem}", place.gateway, kind.as_str());
                    problems.push((kind, problem));
                    next = Instant::now();
                }
            },
            () = sleep_until(next), if left.len() > 0 => {
                next = Instant::now() + STAGGER;
                if let Some(kind) = left.next() {
                    asked.push(Box::pin(async move { (kind, Held::open(kind, place, port, protocols).await) }));
                }
            }
            else => return Err(problems),
        }
    }
}

impl Held {
    /// Asks by one protocol.
    async fn open(
        kind: MappingKind,
        place: Place,
        port: u16,
        protocols: &[Protocol],
    ) -> Result<Self, Problem> {
        let client = match kind {
            MappingKind::Pcp => Client::Speaker(Speaker::pcp(place)),
            MappingKind::NatPmp => Client::Speaker(Speaker::nat_pmp(place)),
            MappingKind::Upnp => Client::Upnp(Upnp::search(place).await?),
        };
        let mut held = Self { kind, granted: Vec::new(), client, port };
        if let Err(problem) = held.renew(protocols).await {
            held.give_back().await;
            return Err(problem);
        }
        Ok(held)
    }

    /// Asks for all of `protocols` again. Whether the router lost its mappings since the last time.
    ///
    /// # Errors
    ///
    /// The first of the protocols, which sessions need, is not granted, or with an address that is not public (then all
    /// is to be given back); the others are optional.
    pub async fn renew(&mut self, protocols: &[Protocol]) -> Result<bool, Problem> {
        let mut any_restarted = false;
        for (n, &protocol) in protocols.iter().enumerate() {
            let before =
                self.granted.iter().find(|(other, _)| *other == protocol).map(|(_, granted)| *granted);
            let wanted = self.wanted(protocol, before);
            let asked = async {
                match &mut self.client {
                    Client::Speaker(speaker) => speaker.map(&wanted).await,
                    Client::Upnp(upnp) => upnp.map(&wanted).await.map(|granted| (granted, false)),
                }
            };
            // What is optional does not hold up what is granted.
            let granted = match n {
                0 => asked.await,
                _ => timeout(OPTIONAL, asked).await.unwrap_or(Err(Problem::NoAnswer)),
            };
            match granted {
                Ok((granted, restarted)) => {
                    any_restarted |= restarted;
                    self.granted.retain(|(other, _)| *other != protocol);
                    self.granted.push((protocol, granted));
                    let ip = *granted.external.ip();
                    if !is_public(ip) {
                        return Err(Problem::PrivateAddress(ip));
                    }
                }
                Err(problem) if n == 0 => return Err(problem),
                Err(problem) => {
                    // Whether it lives on is unknown, and its address may be another by now.
                    self.granted.retain(|(other, _)| *other != protocol);
                    debug!("no mapping of {}: {problem}", protocol.as_str());
                }
            }
        }
        Ok(any_restarted)
    }

    /// Half of the shortest life that was granted: when to renew (RFC 6887 section 11.2.1, RFC 6886 section 3.3).
    pub fn half_life(&self) -> Duration {
        let shortest = self.granted.iter().map(|(_, granted)| granted.lifetime).min();
        shortest.unwrap_or(LEASE) / 2
    }

    /// Deletes all mappings; whether the router confirmed it.
    pub async fn give_back(&self) -> bool {
        let mut confirmed = true;
        for &(protocol, granted) in &self.granted {
            let result = match &self.client {
                Client::Speaker(speaker) => speaker.unmap(&self.wanted(protocol, Some(granted))).await,
                Client::Upnp(upnp) => upnp.unmap(protocol, granted.external.port()).await,
            };
            confirmed &= result.inspect_err(|problem| debug!("not given back: {problem}")).is_ok();
        }
        confirmed
    }

    /// The same port outside as inside, if the router did not give another one already.
    fn wanted(&self, protocol: Protocol, before: Option<Granted>) -> Wanted {
        let first = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.port);
        let external = before.map_or(first, |granted| granted.external);
        Wanted { protocol, internal_port: self.port, external, lifetime: LEASE }
    }
}

/// What one router says when it is asked for a port.
#[derive(Debug)]
pub struct Asked {
    /// The router.
    pub gateway: Ipv4Addr,
    /// What it speaks and the public address and port that it opened; or what it said to each protocol.
    pub result: Result<(MappingKind, SocketAddr), Vec<(MappingKind, Problem)>>,
}

/// Asks all default routers for a UDP port and gives it back at once. Takes 9 s where a router speaks nothing.
pub async fn ask_once(interfaces: &Interfaces) -> Vec<Asked> {
    let mut answers = Vec::new();
    for place in routers(interfaces) {
        // A port that is free now is nobody's whose mapping could be broken.
        let socket = tokio::net::UdpSocket::bind((place.local, 0)).await;
        let port = socket.as_ref().ok().and_then(|socket| Some(socket.local_addr().ok()?.port()));
        let result = match port {
            Some(port) => find(place, port, &[Protocol::Udp]).await,
            None => Err(vec![(MappingKind::Pcp, Problem::Io(format!("{} has no free port", place.local)))]),
        };
        let result = match result {
            Ok(held) => {
                held.give_back().await;
                let external = held.granted.first().map(|(_, granted)| SocketAddr::from(granted.external));
                external.map(|external| (held.kind, external)).ok_or_else(Vec::new)
            }
            Err(problems) => Err(problems),
        };
        answers.push(Asked { gateway: place.gateway, result });
    }
    answers
}
