//! The mappings of a NAT and whom each was used to send to.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use super::{Flow, Protocol, Why, behaviour::Remote};

/// Home routers hold a few thousand; a lab's session needs a dozen.
const MAX_MAPPINGS: usize = 4096;
/// Destinations that one mapping remembers for its filter.
const MAX_DESTINATIONS: usize = 1024;

type Key = (Protocol, SocketAddrV4, Remote);

#[derive(Debug)]
struct Entry {
    port: u16,
    inside: SocketAddrV4,
    sent_to: BTreeSet<SocketAddrV4>,
    ends: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Table {
    entries: HashMap<Key, Entry>,
    by_port: HashMap<(Protocol, u16), Key>,
    /// No entry ends before this.
    earliest_end: Option<Instant>,
}

impl Table {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_taken(&self, protocol: Protocol, port: u16) -> bool {
        self.by_port.contains_key(&(protocol, port))
    }

    /// Drops what has not been used to send for its life.
    pub fn expire(&mut self, now: Instant) {
        if self.earliest_end.is_none_or(|end| now < end) {
            return;
        }
        let by_port = &mut self.by_port;
        self.entries.retain(|(protocol, ..), entry| {
            let lives = entry.ends > now;
            if !lives {
                by_port.remove(&(*protocol, entry.port));
            }
            lives
        });
        self.earliest_end = self.entries.values().map(|entry| entry.ends).min();
    }

    /// The port of a mapping that lives, which is used to send now.
    pub fn outbound(&mut self, flow: &Flow, remote: Remote, now: Instant, life: Duration) -> Option<u16> {
        let entry = self.entries.get_mut(&(flow.protocol, flow.source, remote))?;
        entry.ends = now + life;
        if entry.sent_to.len() < MAX_DESTINATIONS {
            entry.sent_to.insert(flow.destination);
        }
        Some(entry.port)
    }

    /// A new mapping; false if there is no room.
    pub fn insert(&mut self, flow: &Flow, remote: Remote, port: u16, now: Instant, life: Duration) -> bool {
        if self.entries.len() >= MAX_MAPPINGS {
            return false;
        }
        let key = (flow.protocol, flow.source, remote);
        let ends = now + life;
        let entry = Entry { port, inside: flow.source, sent_to: BTreeSet::from([flow.destination]), ends };
        self.entries.insert(key, entry);
        self.by_port.insert((flow.protocol, port), key);
        self.earliest_end = Some(self.earliest_end.map_or(ends, |earliest| earliest.min(ends)));
        true
    }

    /// The port that a flow from inside has, without using it.
    pub fn external_port(&self, flow: &Flow, remote: Remote) -> Option<u16> {
        self.entries.get(&(flow.protocol, flow.source, remote)).map(|entry| entry.port)
    }

    /// Who has an external port, if the filter lets the packet in.
    pub fn inbound(
        &self,
        protocol: Protocol,
        port: u16,
        lets_in: impl FnOnce(&BTreeSet<SocketAddrV4>) -> bool,
    ) -> Result<SocketAddrV4, Why> {
        let entry = self
            .by_port
            .get(&(protocol, port))
            .and_then(|key| self.entries.get(key))
            .ok_or(Why::NoMapping)?;
        if lets_in(&entry.sent_to) { Ok(entry.inside) } else { Err(Why::Filtered) }
    }
}
