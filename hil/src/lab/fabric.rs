//! The network of a lab as a pure type: endpoints, routers and the wires between them. Packets and time go in, packets
//! for endpoints come out when they are due.
//!
//! Everything but the endpoints is computed here: no router takes a namespace of the kernel's, so that a lab is built
//! in milliseconds, each NAT is exact, and a virtual clock can drive it all.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use super::{
    nat::{Nat, Verdict},
    packet::{self, Kind, Protocol},
    wire::{Count, Faults, Wire},
};

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

/// A router between two segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouterId(usize);

/// What a router lets out, besides what its NAT does. Answers come back in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub enum Policy {
    /// Everything.
    #[default]
    Open,
    /// Everything but UDP.
    NoUdp,
    /// TCP to this port and nothing else.
    OnlyTcp(u16),
}

impl Policy {
    fn lets_out(self, protocol: Protocol, port: u16) -> bool {
        match self {
            Self::Open => true,
            Self::NoUdp => protocol != Protocol::Udp,
            Self::OnlyTcp(only) => protocol == Protocol::Tcp && port == only,
        }
    }
}

/// What happened at a router, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterCount {
    /// Of the line towards the outside.
    pub up: Count,
    /// Of the line towards the inside.
    pub down: Count,
    /// Dropped by the policy.
    pub forbidden: u64,
    /// Dropped by the NAT, whatever the reason.
    pub refused: u64,
}

#[derive(Debug)]
struct Router {
    inside: SegmentId,
    outside: SegmentId,
    nat: Nat,
    policy: Policy,
    up: Wire<Vec<u8>>,
    down: Wire<Vec<u8>>,
    connected: bool,
    forbidden: u64,
    refused: u64,
}

#[derive(Debug)]
struct Endpoint {
    segment: SegmentId,
    addresses: Vec<Ipv4Addr>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Fabric {
    segments: usize,
    endpoints: Vec<Endpoint>,
    routers: Vec<Router>,
    ready: VecDeque<(EndpointId, Vec<u8>)>,
    dropped: u64,
}

impl Fabric {
    /// A segment with nobody on it.
    pub fn segment(&mut self) -> SegmentId {
        self.segments += 1;
        SegmentId(self.segments - 1)
    }

    /// Puts an endpoint on a segment.
    pub fn endpoint(&mut self, segment: SegmentId, addresses: Vec<Ipv4Addr>) -> EndpointId {
        self.endpoints.push(Endpoint { segment, addresses });
        EndpointId(self.endpoints.len() - 1)
    }

    /// Puts a router between two segments: those inside reach the rest of the world through it.
    pub fn router(&mut self, inside: SegmentId, outside: SegmentId, nat: Nat, seed: u64) -> RouterId {
        let wire = |salt| Wire::new(Faults::default(), seed ^ salt);
        self.routers.push(Router {
            inside,
            outside,
            nat,
            policy: Policy::Open,
            // Two directions lose different packets.
            up: wire(0x5550),
            down: wire(0xd0d0),
            connected: true,
            forbidden: 0,
            refused: 0,
        });
        RouterId(self.routers.len() - 1)
    }

    /// The router's NAT, to be forwarded, rebooted or asked.
    pub fn nat(&mut self, router: RouterId) -> &mut Nat {
        &mut self.routers[router.0].nat
    }

    /// Changes what the router lets out.
    pub fn set_policy(&mut self, router: RouterId, policy: Policy) {
        self.routers[router.0].policy = policy;
    }

    /// Changes the router's line, towards the outside and towards the inside.
    pub fn set_faults(&mut self, router: RouterId, up: Faults, down: Faults) {
        self.routers[router.0].up.set(up);
        self.routers[router.0].down.set(down);
    }

    /// Pulls the router's line to the outside, or plugs it in again. Those inside keep their route, as with a Wi-Fi
    /// whose access point is gone from the net.
    pub fn set_connected(&mut self, router: RouterId, connected: bool) {
        self.routers[router.0].connected = connected;
    }

    /// Moves an endpoint to another segment with other addresses.
    pub fn move_endpoint(&mut self, endpoint: EndpointId, segment: SegmentId, addresses: Vec<Ipv4Addr>) {
        self.endpoints[endpoint.0] = Endpoint { segment, addresses };
    }

    /// What happened at a router.
    pub fn count(&self, router: RouterId) -> RouterCount {
        let router = &self.routers[router.0];
        let (up, down) = (router.up.count(), router.down.count());
        RouterCount { up, down, forbidden: router.forbidden, refused: router.refused }
    }

    /// Packets that had nowhere to go.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// An endpoint sends a packet.
    pub fn send(&mut self, from: EndpointId, packet: Vec<u8>, now: Instant) {
        let segment = self.endpoints[from.0].segment;
        self.route(segment, packet, now);
    }

    /// A packet for an endpoint that is due.
    pub fn receive(&mut self, now: Instant) -> Option<(EndpointId, Vec<u8>)> {
        self.advance(now);
        self.ready.pop_front()
    }

    /// When [`Self::receive`] may give the next packet.
    pub fn next_due(&self) -> Option<Instant> {
        let dues = self.routers.iter().flat_map(|router| [router.up.next_due(), router.down.next_due()]);
        dues.flatten().min()
    }

    /// How long to wait from now for the next packet; `None`: until one is sent.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        self.next_due().map(|due| due.saturating_duration_since(now))
    }

    /// Takes from the wires what is due.
    fn advance(&mut self, now: Instant) {
        for _ in 0..MAX_HOPS {
            let mut moved = false;
            for index in 0..self.routers.len() {
                while let Some(packet) = self.routers[index].up.receive(now) {
                    let outside = self.routers[index].outside;
                    self.route(outside, packet, now);
                    moved = true;
                }
                while let Some(mut packet) = self.routers[index].down.receive(now) {
                    let router = &mut self.routers[index];
                    let inside = router.inside;
                    match router.nat.from_outside(&mut packet, now) {
                        Verdict::In => self.route(inside, packet, now),
                        Verdict::Out | Verdict::Drop(_) => router.refused += 1,
                    }
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Brings a packet to where its destination is, seen from a segment.
    fn route(&mut self, segment: SegmentId, mut packet: Vec<u8>, now: Instant) {
        let Some(to) = packet::destination(&packet) else {
            self.dropped += 1;
            return;
        };
        let here = |endpoint: &Endpoint| endpoint.segment == segment && endpoint.addresses.contains(&to);
        if let Some(index) = self.endpoints.iter().position(here) {
            if self.ready.len() < MAX_READY {
                self.ready.push_back((EndpointId(index), packet));
            } else {
                self.dropped += 1;
            }
            return;
        }
        let bytes = packet.len();
        let below = |router: &&mut Router| router.outside == segment && router.nat.external() == to;
        if let Some(router) = self.routers.iter_mut().find(below) {
            if router.connected && packet::decrement_ttl(&mut packet) {
                router.down.send(packet, bytes, now);
            } else {
                self.dropped += 1;
            }
            return;
        }
        let Some(index) = self.routers.iter().position(|router| router.inside == segment) else {
            self.dropped += 1;
            return;
        };
        if !packet::decrement_ttl(&mut packet) {
            self.dropped += 1;
            return;
        }
        let router = &mut self.routers[index];
        if let Ok(Kind::Flow(flow)) = packet::parse(&packet)
            && !router.policy.lets_out(flow.protocol, flow.destination.port())
        {
            router.forbidden += 1;
            return;
        }
        match router.nat.from_inside(&mut packet, now) {
            Verdict::Out if router.connected => router.up.send(packet, bytes, now),
            Verdict::Out => self.dropped += 1,
            Verdict::In => self.route(segment, packet, now),
            Verdict::Drop(_) => router.refused += 1,
        }
    }
}

#[cfg(test)]
#[path = "fabric_tests.rs"]
mod tests;
