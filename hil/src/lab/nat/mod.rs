//! A NAT with an exactly given behaviour (RFC 4787), as a pure type: packets and time go in, packets come out.
//!
//! Mapping, filtering, port choice, life and hairpinning are independent of each other, which no kernel offers. It
//! translates IPv4 UDP, TCP and ICMP echo, and the ICMP errors that belong to them; what it does not know it drops and
//! counts. TCP is mapped and filtered like UDP (RFC 5382 asks for the same kinds), only with a longer life.

mod behaviour;
mod ports;
mod table;
pub mod truth;

pub use super::packet::Protocol;
pub use behaviour::{BadKind, Behaviour, Filtering, Kind, Mapping, PortChoice};

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

use super::packet::{
    self, End, Flow,
    v4::{parse, rewrite, rewrite_error},
};
use ports::Ports;
use table::Table;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, towards the outside.
    Out,
    /// It goes on, towards the inside.
    In,
    /// It goes nowhere.
    Drop(Why),
}

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// It is no whole packet, a fragment, or of a protocol that is not translated.
    Unusable,
    /// It came from outside and nobody inside has that port.
    NoMapping,
    /// It came from somebody whom the filter does not let in.
    Filtered,
    /// It was for another of our own, and this router does not hairpin.
    Hairpin,
    /// All ports or all places in the table are taken.
    Full,
    /// It came from inside with an address that nobody inside has (RFC 2827).
    Foreign,
}

/// See the module.
#[derive(Debug)]
pub struct Nat {
    behaviour: Behaviour,
    external: Ipv4Addr,
    table: Table,
    ports: Ports,
    forwards: Vec<(Protocol, u16, SocketAddrV4)>,
}

impl Nat {
    /// A router without mappings. All its choices follow from the seed.
    pub fn new(behaviour: Behaviour, external: Ipv4Addr, seed: u64) -> Self {
        let ports = Ports::new(behaviour.ports, seed);
        Self { behaviour, external, table: Table::default(), ports, forwards: Vec::new() }
    }

    /// How it behaves.
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// Its address outside.
    pub fn external(&self) -> Ipv4Addr {
        self.external
    }

    /// Hands an external port to an inside address for good, as a person does in a router's settings.
    pub fn forward(&mut self, protocol: Protocol, port: u16, inside: SocketAddrV4) {
        self.forwards.retain(|(p, external, _)| (*p, *external) != (protocol, port));
        self.forwards.push((protocol, port, inside));
    }

    /// Forgets all mappings and gives new ports from now on: a reboot, perhaps with a new address. Forwards stay.
    pub fn reboot(&mut self, external: Ipv4Addr) {
        self.external = external;
        self.table = Table::default();
        self.ports.reboot();
    }

    /// Mappings that live.
    pub fn mappings(&mut self, now: Instant) -> usize {
        self.table.expire(now);
        self.table.len()
    }

    /// Translates a packet that came from the inside. With [`Verdict::In`] it was for another of our own.
    pub fn from_inside(&mut self, packet: &mut [u8], now: Instant) -> Verdict {
        let flow = match parse(packet) {
            Ok(packet::Kind::Flow(flow)) => flow,
            Ok(packet::Kind::Error(flow)) => return self.error_from_inside(packet, flow, now),
            Err(_) => return Verdict::Drop(Why::Unusable),
        };
        let hairpins = *flow.destination.ip() == self.external;
        if hairpins && !self.behaviour.hairpin {
            return Verdict::Drop(Why::Hairpin);
        }
        let Some(port) = self.outbound_port(&flow, now) else { return Verdict::Drop(Why::Full) };
        rewrite(packet, End::Source, SocketAddrV4::new(self.external, port));
        if hairpins { self.from_outside(packet, now) } else { Verdict::Out }
    }

    /// Translates a packet that came from the outside.
    pub fn from_outside(&mut self, packet: &mut [u8], now: Instant) -> Verdict {
        let flow = match parse(packet) {
            Ok(packet::Kind::Flow(flow)) => flow,
            Ok(packet::Kind::Error(flow)) => return self.error_from_outside(packet, flow, now),
            Err(_) => return Verdict::Drop(Why::Unusable),
        };
        match self.inbound(&flow, now) {
            Ok(inside) => {
                rewrite(packet, End::Destination, inside);
                Verdict::In
            }
            Err(why) => Verdict::Drop(why),
        }
    }

    /// The external port of an outbound flow; it has sent to this destination from now on.
    fn outbound_port(&mut self, flow: &Flow, now: Instant) -> Option<u16> {
        self.table.expire(now);
        if let Some(port) = self.forwarded_port(flow) {
            return Some(port);
        }
        let remote = self.behaviour.mapping.remote(flow.destination);
        let life = self.behaviour.life(flow.protocol);
        if let Some(port) = self.table.outbound(flow, remote, now, life) {
            return Some(port);
        }
        let taken = |port: u16| {
            self.table.is_taken(flow.protocol, port)
                || self.forwards.iter().any(|(p, external, _)| (*p, *external) == (flow.protocol, port))
        };
        let port = self.ports.choose(flow.source.port(), taken)?;
        self.table.insert(flow, remote, port, now, life).then_some(port)
    }

    fn inbound(&mut self, flow: &Flow, now: Instant) -> Result<SocketAddrV4, Why> {
        self.table.expire(now);
        let port = flow.destination.port();
        if let Some(inside) = self.forwarded_to(flow.protocol, port) {
            return Ok(inside);
        }
        if *flow.destination.ip() != self.external {
            return Err(Why::NoMapping);
        }
        let filtering = self.behaviour.filtering;
        self.table.inbound(flow.protocol, port, |sent_to| filtering.lets_in(sent_to, flow.source))
    }

    /// The outside port that an inside address was given for good.
    fn forwarded_port(&self, flow: &Flow) -> Option<u16> {
        let found = self.forwards.iter().find(|(p, _, inside)| (*p, *inside) == (flow.protocol, flow.source));
        found.map(|(_, port, _)| *port)
    }

    fn forwarded_to(&self, protocol: Protocol, port: u16) -> Option<SocketAddrV4> {
        let found = self.forwards.iter().find(|(p, external, _)| (*p, *external) == (protocol, port));
        found.map(|(_, _, inside)| *inside)
    }

    /// An error that somebody inside sends about a packet that came in: only for packets of a live mapping.
    fn error_from_inside(&mut self, packet: &mut [u8], quoted: Flow, now: Instant) -> Verdict {
        self.table.expire(now);
        // The quoted packet went in: its destination is the inside address.
        let back = Flow { source: quoted.destination, destination: quoted.source, ..quoted };
        let remote = self.behaviour.mapping.remote(back.destination);
        match self.forwarded_port(&back).or_else(|| self.table.external_port(&back, remote)) {
            Some(port) => {
                rewrite_error(packet, End::Destination, SocketAddrV4::new(self.external, port));
                Verdict::Out
            }
            None => Verdict::Drop(Why::NoMapping),
        }
    }

    /// An error about a packet that went out, from whatever router on the way (RFC 5508 section 4.2).
    fn error_from_outside(&mut self, packet: &mut [u8], quoted: Flow, now: Instant) -> Verdict {
        self.table.expire(now);
        let back = Flow { source: quoted.destination, destination: quoted.source, ..quoted };
        let port = back.destination.port();
        let forwarded = self.forwarded_to(back.protocol, port).ok_or(Why::NoMapping);
        match forwarded.or_else(|_| self.table.inbound(back.protocol, port, |_| true)) {
            Ok(inside) if *quoted.source.ip() == self.external => {
                rewrite_error(packet, End::Source, inside);
                Verdict::In
            }
            _ => Verdict::Drop(Why::NoMapping),
        }
    }
}

#[cfg(test)]
#[path = "../nat_tests.rs"]
mod tests;
