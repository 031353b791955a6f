//! A NAT64 (RFC 6146) as a pure type: hosts that have only IPv6 reach IPv4 by addresses under [`PREFIX`].
//!
//! Each packet is written anew with the header of the other version (RFC 7915); the mappings in between are those of
//! the lab's [`Nat`], which knows each IPv6 host by a stand-in address. So mapping, filtering, ports and lives are as
//! exact as with IPv4 alone. UDP, TCP, ICMP echo and the common errors are translated; fragments are dropped.

mod translate;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use super::{
    nat::{Behaviour, Nat, Verdict, Why},
    packet::v6,
};
use translate::{to_v4, to_v6};

/// The well-known prefix (RFC 6052 section 2.1), 96 bits long; an IPv4 address is written into the last 32.
pub const PREFIX: ipnet::Ipv6Net =
    match ipnet::Ipv6Net::new(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
        Ok(prefix) => prefix,
        Err(_) => panic!("96 bits are fewer than 128"),
    };

/// Hosts of one inside network with all their temporary addresses; a lab has one or two.
const MAX_HOSTS: usize = 1024;
/// Stand-ins are of the block that is reserved for ever (RFC 1112 section 4), so no real address is one of them.
const FIRST_STAND_IN: u32 = 0xf000_0001;

/// An IPv4 address as those inside write it.
pub fn embed(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    let mut octets = PREFIX.addr().octets();
    octets[12..].copy_from_slice(&[a, b, c, d]);
    octets.into()
}

/// The IPv4 address in one under [`PREFIX`].
pub fn extract(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    PREFIX.contains(&address).then_some(Ipv4Addr::new(a, b, c, d))
}

/// See the module.
#[derive(Debug)]
pub struct Nat64 {
    nat: Nat,
    hosts: Vec<Ipv6Addr>,
}

impl Nat64 {
    /// A translator without mappings. All its choices follow from the seed. RFC 6146 section 3.2 asks for
    /// endpoint-independent mapping; other kinds work as well.
    pub fn new(behaviour: Behaviour, pool: Ipv4Addr, seed: u64) -> Self {
        Self { nat: Nat::new(behaviour, pool, seed), hosts: Vec::new() }
    }

    /// Its address outside.
    pub fn external(&self) -> Ipv4Addr {
        self.nat.external()
    }

    /// How it behaves.
    pub fn behaviour(&self) -> &Behaviour {
        self.nat.behaviour()
    }

    /// Forgets all mappings and gives other ports from now on, perhaps at a new address.
    pub fn reboot(&mut self, pool: Ipv4Addr) {
        self.nat.reboot(pool);
        self.hosts.clear();
    }

    /// Mappings that live.
    pub fn mappings(&mut self, now: Instant) -> usize {
        self.nat.mappings(now)
    }

    /// Makes an IPv4 packet of an IPv6 packet from the inside. With [`Verdict::In`] it was for another of our own, and
    /// is IPv6 again.
    pub fn from_inside(&mut self, packet: &mut Vec<u8>, now: Instant) -> Verdict {
        let Some(source) = (packet.len() >= v6::HEADER).then(|| v6::address(packet, v6::SOURCE)) else {
            return Verdict::Drop(Why::Unusable);
        };
        // RFC 6146 section 3.5: such a packet would be translated twice.
        if extract(source).is_some() {
            return Verdict::Drop(Why::Foreign);
        }
        if !self.hosts.contains(&source) {
            if self.hosts.len() >= MAX_HOSTS {
                return Verdict::Drop(Why::Full);
            }
            self.hosts.push(source);
        }
        let Ok(mut translated) = to_v4(packet, &|address| self.stand_in(address)) else {
            return Verdict::Drop(Why::Unusable);
        };
        let verdict = self.nat.from_inside(&mut translated, now);
        match verdict {
            Verdict::In => self.back(&translated, packet),
            Verdict::Out => *packet = translated,
            Verdict::Drop(_) => {}
        }
        verdict
    }

    /// Makes an IPv6 packet of an IPv4 packet from the outside.
    pub fn from_outside(&mut self, packet: &mut Vec<u8>, now: Instant) -> Verdict {
        match self.nat.from_outside(packet, now) {
            Verdict::In => {
                let Ok(translated) = to_v6(packet, &|address| self.stands_for(address)) else {
                    return Verdict::Drop(Why::Unusable);
                };
                *packet = translated;
                Verdict::In
            }
            other => other,
        }
    }

    fn back(&self, translated: &[u8], packet: &mut Vec<u8>) {
        if let Ok(back) = to_v6(translated, &|address| self.stands_for(address)) {
            *packet = back;
        }
    }

    fn stand_in(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let known = |index: usize| Ipv4Addr::from(FIRST_STAND_IN + index as u32);
        extract(address).or_else(|| self.hosts.iter().position(|host| *host == address).map(known))
    }

    fn stands_for(&self, address: Ipv4Addr) -> Ipv6Addr {
        let index = u32::from(address).checked_sub(FIRST_STAND_IN);
        let host = index.and_then(|index| self.hosts.get(index as usize));
        host.copied().unwrap_or_else(|| embed(address))
    }
}

#[cfg(test)]
#[path = "nat64_tests.rs"]
mod tests;
