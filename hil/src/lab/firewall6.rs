//! A stateful firewall as home routers have it for IPv6 (RFC 6092), as a pure type: what goes out may be answered,
//! nothing else comes in. It translates nothing, so it takes both IP versions.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    nat::{Verdict, Why},
    packet::{self, Flow, Kind, Protocol},
};

/// As many as a router's table of mappings.
const MAX_FLOWS: usize = 4096;

/// How long a flow is known after its last packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// Of UDP and ICMP echo.
    pub udp: Duration,
    /// Of TCP.
    pub tcp: Duration,
}

impl Default for Lives {
    fn default() -> Self {
        // RFC 6092 section 3.2.1 (two minutes), section 3.3.1 (two hours and four minutes).
        Self { udp: Duration::from_secs(120), tcp: Duration::from_secs(7440) }
    }
}

/// Protocol, who is inside, who is outside.
type Key = (Protocol, SocketAddr, SocketAddr);

/// See the module.
#[derive(Debug, Default)]
pub struct Firewall {
    lives: Lives,
    flows: HashMap<Key, Instant>,
    /// No flow ends before this.
    earliest_end: Option<Instant>,
}

impl Firewall {
    /// One that knows no flow.
    pub fn new(lives: Lives) -> Self {
        Self { lives, ..Self::default() }
    }

    /// Forgets all flows: a reboot.
    pub fn reboot(&mut self) {
        self.flows.clear();
        self.earliest_end = None;
    }

    /// Flows that are known.
    pub fn flows(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.flows.len()
    }

    /// Judges a packet from the inside; its flow is known from now on.
    pub fn from_inside(&mut self, packet: &[u8], now: Instant) -> Verdict {
        self.expire(now);
        match packet::parse(packet) {
            Ok(Kind::Flow(Flow { protocol, source, destination })) => {
                if self.keep((protocol, source, destination), now) {
                    Verdict::Out
                } else {
                    Verdict::Drop(Why::Full)
                }
            }
            // The quoted packet came in.
            Ok(Kind::Error(Flow { protocol, source, destination })) => {
                self.known((protocol, destination, source), Verdict::Out)
            }
            Err(_) => Verdict::Drop(Why::Unusable),
        }
    }

    /// Judges a packet from the outside.
    pub fn from_outside(&mut self, packet: &[u8], now: Instant) -> Verdict {
        self.expire(now);
        match packet::parse(packet) {
            Ok(Kind::Flow(Flow { protocol, source, destination })) => {
                let key = (protocol, destination, source);
                if self.flows.contains_key(&key) {
                    self.keep(key, now);
                }
                self.known(key, Verdict::In)
            }
            // The quoted packet went out.
            Ok(Kind::Error(Flow { protocol, source, destination })) => {
                self.known((protocol, source, destination), Verdict::In)
            }
            Err(_) => Verdict::Drop(Why::Unusable),
        }
    }

    fn known(&self, key: Key, verdict: Verdict) -> Verdict {
        if self.flows.contains_key(&key) { verdict } else { Verdict::Drop(Why::NoMapping) }
    }

    /// Makes a flow live from now on; false if there is no room for it.
    fn keep(&mut self, key: Key, now: Instant) -> bool {
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&key) {
            return false;
        }
        let ends = now + if key.0 == Protocol::Tcp { self.lives.tcp } else { self.lives.udp };
        self.flows.insert(key, ends);
        self.earliest_end = Some(self.earliest_end.map_or(ends, |earliest| earliest.min(ends)));
        true
    }

    fn expire(&mut self, now: Instant) {
        if self.earliest_end.is_none_or(|end| now < end) {
            return;
        }
        self.flows.retain(|_, ends| *ends > now);
        self.earliest_end = self.flows.values().copied().min();
    }
}

#[cfg(test)]
#[path = "firewall6_tests.rs"]
mod tests;
