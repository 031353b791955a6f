//! A computed router: what it translates, what its policy forbids, and its line in both directions.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use ipnet::{IpNet, Ipv4Net};

use crate::lab::{
    firewall6::Firewall,
    nat::{Nat, Verdict, Why},
    nat64::{self, Nat64},
    packet::{self, Kind, Protocol},
    wire::{Count, Faults, Wire},
};

use super::SegmentId;

/// What a router lets through, besides what its NAT does; by the protocol and the port of who is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub enum Policy {
    /// Everything.
    #[default]
    Open,
    /// Everything but UDP.
    NoUdp,
    /// TCP to this port with its answers, and nothing else.
    OnlyTcp(u16),
}

impl Policy {
    /// Whether a packet of a flow to or from an outside port passes.
    pub(super) fn allows(self, protocol: Protocol, outside: u16) -> bool {
        match self {
            Self::Open => true,
            Self::NoUdp => protocol != Protocol::Udp,
            Self::OnlyTcp(only) => protocol == Protocol::Tcp && outside == only,
        }
    }

    fn allows_packet(self, packet: &[u8], way: Way) -> bool {
        if self == Self::Open {
            return true;
        }
        match (packet::parse(packet), way) {
            (Ok(Kind::Flow(flow)), Way::Out) => self.allows(flow.protocol, flow.destination.port()),
            (Ok(Kind::Flow(flow)), Way::In) => self.allows(flow.protocol, flow.source.port()),
            // What an error is about was let through before.
            (Ok(Kind::Error(_)), _) => true,
            // What cannot be looked into, as firewalls do.
            (Err(_), _) => false,
        }
    }
}

/// A direction through a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
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
    /// Dropped by the NAT or the firewall, whatever the reason.
    pub refused: u64,
}

/// A router without NAT.
#[derive(Debug)]
pub struct Plain {
    /// What is behind it; packets with other sources do not get out (RFC 2827).
    prefixes: Vec<IpNet>,
    /// None: everything comes in.
    firewall: Option<Firewall>,
}

impl Plain {
    /// A router for these networks inside, with a stateful firewall or without.
    pub fn new(prefixes: Vec<IpNet>, firewall: Option<Firewall>) -> Self {
        Self { prefixes, firewall }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    fn outward(&mut self, packet: &[u8], now: Instant) -> Verdict {
        let ends = packet::source(packet).zip(packet::destination(packet));
        // What is for another one inside, and not there, would come back for ever.
        if ends.is_none_or(|(source, destination)| !self.has(source) || self.has(destination)) {
            return Verdict::Drop(Why::Foreign);
        }
        self.firewall.as_mut().map_or(Verdict::Out, |firewall| firewall.from_inside(packet, now))
    }
}

/// What a router makes of addresses.
#[derive(Debug)]
pub enum Translation {
    /// IPv4 inside and outside, one address outside.
    Nat44(Nat),
    /// The same addresses inside and outside, either version or both.
    Plain(Plain),
    /// IPv6 inside, IPv4 outside.
    Nat64(Nat64),
}

impl Translation {
    /// How well it fits as the way out to an address: the length of its prefix; `None`: not at all.
    pub(super) fn takes(&self, to: IpAddr) -> Option<u8> {
        match (self, to) {
            (Self::Nat44(_), IpAddr::V4(_)) => Some(0),
            (Self::Nat64(_), IpAddr::V6(to)) if nat64::PREFIX.contains(&to) => {
                Some(nat64::PREFIX.prefix_len())
            }
            (Self::Plain(plain), _) => {
                plain.prefixes.iter().any(|prefix| prefix.addr().is_ipv4() == to.is_ipv4()).then_some(0)
            }
            _ => None,
        }
    }

    /// Whether an address of the outside leads in, and the length of the prefix that says so.
    pub(super) fn owns(&self, to: IpAddr) -> Option<u8> {
        match self {
            Self::Nat44(nat) => (to == nat.external()).then_some(32),
            Self::Nat64(nat) => (to == nat.external()).then_some(32),
            Self::Plain(plain) => longest(&plain.prefixes, to),
        }
    }

    fn outward(&mut self, packet: &mut Vec<u8>, now: Instant) -> Verdict {
        match self {
            Self::Nat44(nat) => nat.from_inside(packet, now),
            Self::Nat64(nat) => nat.from_inside(packet, now),
            Self::Plain(plain) => plain.outward(packet, now),
        }
    }

    fn inward(&mut self, packet: &mut Vec<u8>, now: Instant) -> Verdict {
        match self {
            Self::Nat44(nat) => nat.from_outside(packet, now),
            Self::Nat64(nat) => nat.from_outside(packet, now),
            Self::Plain(Plain { firewall: Some(firewall), .. }) => firewall.from_outside(packet, now),
            Self::Plain(_) => Verdict::In,
        }
    }

    pub(super) fn reboot(&mut self) {
        match self {
            Self::Nat44(nat) => nat.reboot(nat.external()),
            Self::Nat64(nat) => nat.reboot(nat.external()),
            Self::Plain(plain) => {
                if let Some(firewall) = &mut plain.firewall {
                    firewall.reboot();
                }
            }
        }
    }

    pub(super) fn set_external(&mut self, external: Ipv4Addr) {
        match self {
            Self::Nat44(nat) => nat.reboot(external),
            Self::Nat64(nat) => nat.reboot(external),
            Self::Plain(plain) => {
                plain.prefixes.retain(|prefix| !(prefix.addr().is_ipv4() && prefix.prefix_len() == 32));
                plain.prefixes.push(Ipv4Net::from(external).into());
                self.reboot();
            }
        }
    }
}

/// The length of the longest prefix that has an address.
pub(super) fn longest(prefixes: &[IpNet], address: IpAddr) -> Option<u8> {
    prefixes.iter().filter(|prefix| prefix.contains(&address)).map(IpNet::prefix_len).max()
}

/// What becomes of a packet at a router.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is on the line, or it ends here and is counted here.
    Done,
    /// The line is pulled.
    Unplugged,
    /// It goes on, on the segment inside.
    Inside(Vec<u8>),
    /// It goes on, on the segment outside.
    Outside(Vec<u8>),
}

/// A router between two segments.
#[derive(Debug)]
pub(super) struct Router {
    pub inside: SegmentId,
    pub outside: SegmentId,
    pub translation: Translation,
    pub policy: Policy,
    pub up: Wire<Vec<u8>>,
    pub down: Wire<Vec<u8>>,
    pub connected: bool,
    forbidden: u64,
    refused: u64,
}

impl Router {
    pub fn new(inside: SegmentId, outside: SegmentId, translation: Translation, seed: u64) -> Self {
        let wire = |salt| Wire::new(Faults::default(), seed ^ salt);
        Self {
            inside,
            outside,
            translation,
            policy: Policy::Open,
            // Two directions lose different packets.
            up: wire(0x5550),
            down: wire(0xd0d0),
            connected: true,
            forbidden: 0,
            refused: 0,
        }
    }

    pub fn count(&self) -> RouterCount {
        let (up, down) = (self.up.count(), self.down.count());
        RouterCount { up, down, forbidden: self.forbidden, refused: self.refused }
    }

    /// A packet from the inside, whose time to live was counted already.
    pub fn leave(&mut self, mut packet: Vec<u8>, now: Instant) -> Fate {
        if !self.policy.allows_packet(&packet, Way::Out) {
            self.forbidden += 1;
            return Fate::Done;
        }
        match self.translation.outward(&mut packet, now) {
            Verdict::Out if !self.connected => Fate::Unplugged,
            Verdict::Out => {
                let bytes = packet.len();
                match self.up.send(packet, bytes, now) {
                    // As if the next router said so: it finds its way in like any other error.
                    Some((packet, mtu)) => packet::too_long(&packet, mtu)
                        .map_or(Fate::Done, |error| self.translate_in(error, now)),
                    None => Fate::Done,
                }
            }
            Verdict::In => Fate::Inside(packet),
            Verdict::Drop(_) => {
                self.refused += 1;
                Fate::Done
            }
        }
    }

    /// A packet from the outside reaches the line.
    pub fn approach(&mut self, packet: Vec<u8>, now: Instant) -> Fate {
        if !self.connected {
            return Fate::Unplugged;
        }
        let bytes = packet.len();
        let refused = self.down.send(packet, bytes, now);
        let error = refused.and_then(|(packet, mtu)| packet::too_long(&packet, mtu));
        error.map_or(Fate::Done, Fate::Outside)
    }

    /// A packet from the outside comes off the line.
    pub fn enter(&mut self, packet: Vec<u8>, now: Instant) -> Fate {
        if !self.policy.allows_packet(&packet, Way::In) {
            self.forbidden += 1;
            return Fate::Done;
        }
        self.translate_in(packet, now)
    }

    fn translate_in(&mut self, mut packet: Vec<u8>, now: Instant) -> Fate {
        match self.translation.inward(&mut packet, now) {
            Verdict::In => Fate::Inside(packet),
            Verdict::Out | Verdict::Drop(_) => {
                self.refused += 1;
                Fate::Done
            }
        }
    }
}
