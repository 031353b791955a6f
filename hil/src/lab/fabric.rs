//! The network of a lab as a pure type: endpoints, routers and the wires between them. Packets and time go in, packets
//! for endpoints come out when they are due.
//!
//! Everything but the endpoints is computed here: no router takes a namespace of the kernel's, so that a lab is built
//! in milliseconds, each NAT is exact, and a virtual clock can drive it all. Both IP versions. What never passes a router
//! is dropped without a word: IPv6 multicast, link-local addresses; IPv4 multicast reaches the endpoints of its segment.

mod capture;
mod lane;
mod router;

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use ipnet::IpNet;

use super::{
    firewall6::{Firewall, Lives},
    nat::Nat,
    nat64::Nat64,
    packet,
    wire::Faults,
};
pub use capture::{Captured, Direction};
use lane::Lane;
use router::{Fate, Router, longest};
pub use router::{Plain, Policy, RouterCount, Translation};

/// Packets that wait for an endpoint's TUN device. It is emptied at each turn of the loop, so only a flood fills it;
/// the newest is dropped.
const MAX_READY: usize = 4096;
/// Routers that one packet may pass without time going by: more is a loop in the plan.
const MAX_HOPS: usize = 16;

/// An endpoint: a namespace with a TUN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(usize);

/// A segment: hosts and routers that reach each other directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentId(usize);

/// A router between two segments. One that was removed is not to be used again: its number may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouterId(usize);

#[derive(Debug)]
struct Endpoint {
    segment: SegmentId,
    prefixes: Vec<IpNet>,
    capture: Option<capture::Ring>,
    lanes: Vec<Lane>,
}

/// Who put a packet on a segment: it does not go back there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Endpoint(usize),
    Router(usize),
}

/// Where a packet goes from a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Endpoint(usize),
    /// Into a router from its outside.
    Down(usize),
    /// Into a router from its inside.
    Up(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Fabric {
    /// Each with its way out for what no router takes.
    segments: Vec<Option<EndpointId>>,
    endpoints: Vec<Endpoint>,
    /// Removed ones leave a gap, which the next one fills.
    routers: Vec<Option<Router>>,
    ready: VecDeque<(EndpointId, Vec<u8>)>,
    dropped: u64,
}

impl Fabric {
    /// A segment with nobody on it.
    pub fn segment(&mut self) -> SegmentId {
        self.segments.push(None);
        SegmentId(self.segments.len() - 1)
    }

    /// Puts an endpoint on a segment. It gets what is for these prefixes: a host's addresses in full length, or a
    /// network that is behind it. The longest one that fits wins.
    pub fn endpoint(&mut self, segment: SegmentId, prefixes: Vec<IpNet>) -> EndpointId {
        self.endpoints.push(Endpoint { segment, prefixes, capture: None, lanes: Vec::new() });
        EndpointId(self.endpoints.len() - 1)
    }

    /// Makes an endpoint the segment's way out, as a router in a namespace is; `None`: there is none. It gets what is
    /// for nobody on the segment and no computed router there takes.
    pub fn gateway(&mut self, segment: SegmentId, endpoint: impl Into<Option<EndpointId>>) {
        self.segments[segment.0] = endpoint.into();
    }

    /// Puts a router with IPv4 NAT between two segments: those inside reach the rest of the world through it.
    pub fn nat_router(&mut self, inside: SegmentId, outside: SegmentId, nat: Nat, seed: u64) -> RouterId {
        self.router(inside, outside, Translation::Nat44(nat), seed)
    }

    /// Puts a router without NAT before the prefixes that are inside. A stateful one lets in only what belongs to
    /// flows from inside (RFC 6092), with the usual lives.
    pub fn plain_router(
        &mut self,
        inside: SegmentId,
        outside: SegmentId,
        prefixes: Vec<IpNet>,
        stateful: bool,
        seed: u64,
    ) -> RouterId {
        let firewall = stateful.then(|| Firewall::new(Lives::default()));
        self.router(inside, outside, Translation::Plain(Plain::new(prefixes, firewall)), seed)
    }

    /// Puts a NAT64 between a segment with IPv6 and one with IPv4. It takes what is for [`super::nat64::PREFIX`].
    pub fn nat64_router(&mut self, inside: SegmentId, outside: SegmentId, nat: Nat64, seed: u64) -> RouterId {
        self.router(inside, outside, Translation::Nat64(nat), seed)
    }

    /// Puts any router between two segments. Several may share the segment inside: each packet takes the one that
    /// fits its destination best.
    pub fn router(
        &mut self,
        inside: SegmentId,
        outside: SegmentId,
        translation: Translation,
        seed: u64,
    ) -> RouterId {
        let router = Some(Router::new(inside, outside, translation, seed));
        match self.routers.iter().position(Option::is_none) {
            Some(gap) => {
                self.routers[gap] = router;
                RouterId(gap)
            }
            None => {
                self.routers.push(router);
                RouterId(self.routers.len() - 1)
            }
        }
    }

    /// Takes a router away, with what is on its line.
    pub fn remove_router(&mut self, router: RouterId) {
        self.routers[router.0] = None;
    }

    /// Gives a router another translation, without mappings; its line, policy and counts stay.
    pub fn set_translation(&mut self, router: RouterId, translation: Translation) {
        self.at(router).translation = translation;
    }

    /// What the router translates, to be asked or changed.
    pub fn translation(&mut self, router: RouterId) -> &mut Translation {
        &mut self.at(router).translation
    }

    /// The router's NAT, to be forwarded or asked; `None` if it has no IPv4 NAT.
    pub fn nat(&mut self, router: RouterId) -> Option<&mut Nat> {
        match &mut self.at(router).translation {
            Translation::Nat44(nat) => Some(nat),
            _ => None,
        }
    }

    /// A router forgets its mappings and flows, and gives other ports from now on.
    pub fn reboot(&mut self, router: RouterId) {
        self.at(router).translation.reboot();
    }

    /// A router gets another address outside, and forgets what it knew. One without NAT has that address inside from
    /// now on, instead of the single IPv4 addresses that were there; its endpoint is to be moved as well.
    pub fn set_external(&mut self, router: RouterId, external: Ipv4Addr) {
        self.at(router).translation.set_external(external);
    }

    /// Changes what the router lets through.
    pub fn set_policy(&mut self, router: RouterId, policy: Policy) {
        self.at(router).policy = policy;
    }

    /// Changes the router's line, towards the outside and towards the inside.
    pub fn set_faults(&mut self, router: RouterId, up: Faults, down: Faults) {
        let router = self.at(router);
        router.up.set(up);
        router.down.set(down);
    }

    /// Pulls the router's line to the outside, or plugs it in again. Those inside keep their route, as with a Wi-Fi
    /// whose access point is gone from the net.
    pub fn set_connected(&mut self, router: RouterId, connected: bool) {
        self.at(router).connected = connected;
    }

    /// Moves an endpoint to another segment with other addresses. Its capture goes on.
    pub fn move_endpoint(&mut self, endpoint: EndpointId, segment: SegmentId, prefixes: Vec<IpNet>) {
        let endpoint = &mut self.endpoints[endpoint.0];
        (endpoint.segment, endpoint.prefixes) = (segment, prefixes);
    }

    /// Keeps an endpoint's last packets in so many bytes of memory, from nothing; zero: keeps none any more.
    pub fn set_capture(&mut self, endpoint: EndpointId, limit_bytes: usize) {
        self.endpoints[endpoint.0].capture = (limit_bytes > 0).then(|| capture::Ring::new(limit_bytes));
    }

    /// The packets that were kept, the oldest first.
    pub fn captured(&self, endpoint: EndpointId) -> Vec<Captured> {
        self.endpoints[endpoint.0].capture.as_ref().map(capture::Ring::packets).unwrap_or_default()
    }

    /// What happened at a router.
    pub fn count(&self, router: RouterId) -> RouterCount {
        self.routers[router.0].as_ref().map(Router::count).unwrap_or_default()
    }

    /// Packets that had nowhere to go.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// An endpoint sends a packet. Any bytes may come.
    pub fn send(&mut self, from: EndpointId, packet: Vec<u8>, now: Instant) {
        let endpoint = &mut self.endpoints[from.0];
        if let Some(ring) = &mut endpoint.capture {
            ring.push(&packet, Direction::Sent, now);
        }
        let segment = endpoint.segment;
        if let Some(packet) = lane::take(&mut endpoint.lanes, Direction::Sent, packet, now) {
            self.route(segment, packet, Origin::Endpoint(from.0), now);
        }
    }

    /// A packet for an endpoint that is due.
    pub fn receive(&mut self, now: Instant) -> Option<(EndpointId, Vec<u8>)> {
        if self.next_due().is_some_and(|due| due <= now) {
            self.advance(now);
        }
        let (to, packet) = self.ready.pop_front()?;
        if let Some(ring) = &mut self.endpoints[to.0].capture {
            ring.push(&packet, Direction::Received, now);
        }
        Some((to, packet))
    }

    /// When [`Self::receive`] may give the next packet.
    pub fn next_due(&self) -> Option<Instant> {
        let routers = self.routers.iter().flatten();
        let lanes = self.endpoints.iter().flat_map(|endpoint| &endpoint.lanes).filter_map(Lane::next_due);
        let routers = routers.flat_map(|router| [router.up.next_due(), router.down.next_due()]).flatten();
        routers.chain(lanes).min()
    }

    /// How long to wait from now for the next packet; `None`: until one is sent.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        self.next_due().map(|due| due.saturating_duration_since(now))
    }

    /// The router of an id.
    fn at(&mut self, router: RouterId) -> &mut Router {
        self.routers[router.0].as_mut().expect("the router was not removed")
    }

    /// Takes from the wires what is due.
    fn advance(&mut self, now: Instant) {
        for _ in 0..MAX_HOPS {
            let mut moved = self.advance_lanes(now);
            for index in 0..self.routers.len() {
                while let Some(router) = &mut self.routers[index]
                    && let Some(packet) = router.up.receive(now)
                {
                    let outside = router.outside;
                    self.route(outside, packet, Origin::Router(index), now);
                    moved = true;
                }
                while let Some(router) = &mut self.routers[index]
                    && let Some(packet) = router.down.receive(now)
                {
                    let fate = router.enter(packet, now);
                    self.go_on(index, fate, now);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Where a packet goes from a segment.
    fn next(&self, segment: SegmentId, to: IpAddr, from: Origin) -> Option<Next> {
        let here = |(index, endpoint): (usize, &Endpoint)| {
            (endpoint.segment == segment && from != Origin::Endpoint(index))
                .then(|| longest(&endpoint.prefixes, to))
                .flatten()
                .map(|length| (length, Next::Endpoint(index)))
        };
        let routers = || {
            let there = self.routers.iter().enumerate();
            there
                .filter_map(|(index, router)| Some((index, router.as_ref()?)))
                .filter(move |(index, _)| from != Origin::Router(*index))
        };
        let below =
            routers().filter(|(_, router)| router.outside == segment).filter_map(|(index, router)| {
                router.translation.owns(to).map(|length| (length, Next::Down(index)))
            });
        let direct = self.endpoints.iter().enumerate().filter_map(here).chain(below);
        if let Some((_, next)) = direct.max_by_key(|(length, _)| *length) {
            return Some(next);
        }
        let above = routers().filter(|(_, router)| router.inside == segment).filter_map(|(index, router)| {
            router.translation.takes(to).map(|length| (length, Next::Up(index)))
        });
        if let Some((_, next)) = above.max_by_key(|(length, _)| *length) {
            return Some(next);
        }
        let gateway = self.segments[segment.0]?;
        (from != Origin::Endpoint(gateway.0)).then_some(Next::Endpoint(gateway.0))
    }

    /// Brings a packet to where its destination is, seen from a segment.
    fn route(&mut self, segment: SegmentId, mut packet: Vec<u8>, from: Origin, now: Instant) {
        let Some((source, to)) = packet::source(&packet).zip(packet::destination(&packet)) else {
            self.dropped += 1;
            return;
        };
        if matches!((source, to), (IpAddr::V4(source), IpAddr::V4(to)) if to.is_multicast() && !source.is_unspecified())
        {
            return self.multicast(segment, &packet, from);
        }
        if packet::stays_on_link(source) || packet::stays_on_link(to) {
            return;
        }
        let (index, fate) = match self.next(segment, to, from) {
            Some(Next::Endpoint(index)) => {
                let lanes = &mut self.endpoints[index].lanes;
                if let Some(packet) = lane::take(lanes, Direction::Received, packet, now) {
                    self.hand_over(EndpointId(index), packet);
                }
                return;
            }
            Some(Next::Down(index) | Next::Up(index)) if !packet::decrement_ttl(&mut packet) => {
                (index, Fate::Unplugged)
            }
            Some(Next::Down(index)) => (index, self.at(RouterId(index)).approach(packet, now)),
            Some(Next::Up(index)) => (index, self.at(RouterId(index)).leave(packet, now)),
            None => {
                self.dropped += 1;
                return;
            }
        };
        self.go_on(index, fate, now);
    }

    /// What hosts look for routers with, and routers announce.
    fn multicast(&mut self, segment: SegmentId, packet: &[u8], from: Origin) {
        let here = |(index, endpoint): (usize, &Endpoint)| {
            let hears = endpoint.segment == segment && from != Origin::Endpoint(index);
            hears.then_some(EndpointId(index))
        };
        let others: Vec<_> = self.endpoints.iter().enumerate().filter_map(here).collect();
        for other in others {
            self.hand_over(other, packet.to_vec());
        }
    }

    fn go_on(&mut self, index: usize, fate: Fate, now: Instant) {
        let router = self.at(RouterId(index));
        let (inside, outside) = (router.inside, router.outside);
        match fate {
            Fate::Done => {}
            Fate::Unplugged => self.dropped += 1,
            Fate::Inside(packet) => self.route(inside, packet, Origin::Router(index), now),
            Fate::Outside(packet) => self.route(outside, packet, Origin::Router(index), now),
        }
    }

    fn hand_over(&mut self, to: EndpointId, packet: Vec<u8>) {
        if self.ready.len() < MAX_READY {
            self.ready.push_back((to, packet));
        } else {
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
#[path = "fabric_router_tests.rs"]
mod router_tests;
#[cfg(test)]
#[path = "fabric_tests.rs"]
mod tests;
