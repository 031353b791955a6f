//! Finds NAT64 prefixes in the addresses of a well-known name (RFC 7050 section 3), and tells where they are needed. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    super::interfaces::Interfaces,
    prefix::{LENGTHS, Prefix},
};

/// The name that has IPv4 addresses only (RFC 7050 section 2): IPv6 addresses of it were made by a DNS64.
pub const NAME: &str = "ipv4only.arpa";
/// Its addresses (RFC 7050 section 2.2).
const WELL_KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
/// Prefixes that are used. Each costs an address for each of a viewer's; networks have one, at times two.
pub const MAX_PREFIXES: usize = 2;
/// Addresses of an answer that are looked at; a network with all its prefixes has two for each.
const MAX_ANSWERS: usize = 16;

/// The prefixes that `answers`, the addresses of [`NAME`], were made with, in the order of the answer.
pub fn prefixes(answers: &[IpAddr]) -> Vec<Prefix> {
    let v6 = answers.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    let answers: Vec<_> = v6.take(MAX_ANSWERS).collect();
    let mut found: Vec<Prefix> = Vec::new();
    for (n, answer) in answers.iter().enumerate() {
        let readings = readings(*answer);
        // Found at several places, only what the other address of the name was made with too is certain.
        let certain = |(prefix, known): &&(Prefix, Ipv4Addr)| {
            let others = answers.iter().enumerate().filter(|(other, _)| *other != n);
            let mut others = others.filter_map(|(_, answer)| prefix.extract(*answer));
            readings.len() == 1 || others.any(|other| other != *known && WELL_KNOWN.contains(&other))
        };
        for (prefix, _) in readings.iter().filter(certain) {
            if !found.contains(prefix) {
                found.push(*prefix);
            }
        }
    }
    found.truncate(MAX_PREFIXES);
    found
}

/// Each place at which a well-known address stands.
fn readings(answer: Ipv6Addr) -> Vec<(Prefix, Ipv4Addr)> {
    let at = |length: &u8| {
        let prefix = Prefix::of(answer, *length)?;
        let known = prefix.extract(answer).filter(|found| WELL_KNOWN.contains(found))?;
        Some((prefix, known))
    };
    LENGTHS.iter().filter_map(at).collect()
}

/// Whether IPv4 is reached through a NAT64 alone: there is an IPv6 address, and no IPv4 address beyond the link. With
/// 464XLAT (RFC 6877) the device has an IPv4 address, and its system translates by itself.
pub fn needed(interfaces: &Interfaces) -> bool {
    let any = |wanted: fn(&IpAddr) -> bool| interfaces.addresses.iter().any(|a| wanted(&a.ip));
    let six = any(
        |ip| matches!(ip, IpAddr::V6(ip) if !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified()),
    );
    let four = any(
        |ip| matches!(ip, IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified()),
    );
    six && !four
}

/// What tells one network from another: interfaces with their IPv6 networks, and routers. Addresses of one network that
/// come and go for privacy (RFC 8981) change nothing.
pub fn network(interfaces: &Interfaces) -> Vec<(u32, IpAddr)> {
    let halves = interfaces.addresses.iter().filter_map(|a| match a.ip {
        IpAddr::V6(ip) if !ip.is_loopback() && !ip.is_unicast_link_local() => {
            Some((a.index, Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()))
        }
        _ => None,
    });
    let mut all: Vec<_> =
        halves.chain(interfaces.gateways.iter().map(|gateway| (gateway.index, gateway.address))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::interfaces::InterfaceAddress;

    fn found(answers: &[&str]) -> Vec<String> {
        let answers: Vec<IpAddr> = answers.iter().map(|a| a.parse().unwrap()).collect();
        prefixes(&answers).iter().map(ToString::to_string).collect()
    }

    fn device(addresses: &[&str]) -> Interfaces {
        let address = |ip: &&str| InterfaceAddress {
            ip: ip.parse().unwrap(),
            interface: "eth0".into(),
            index: 2,
            temporary: false,
            deprecated: false,
        };
        Interfaces { addresses: addresses.iter().map(address).collect(), gateways: Vec::new() }
    }

    #[test]
    fn the_prefix_stands_around_the_well_known_address() {
        assert_eq!(found(&["64:ff9b::192.0.0.170", "64:ff9b::192.0.0.171"]), ["64:ff9b::/96"]);
        assert_eq!(found(&["2001:db8:122:344:c0:0:aa00::"]), ["2001:db8:122:344::/64"]);
        assert_eq!(found(&["192.0.0.170", "192.0.0.171"]), [""; 0]);
        assert_eq!(found(&["2001:db8::1"]), [""; 0]);
    }

    #[test]
    fn several_prefixes_are_taken_in_their_order() {
        let answers =
            ["2001:db8:1::c000:aa", "64:ff9b::c000:aa", "2001:db8:1::c000:ab", "2001:db8:2::c000:aa"];
        assert_eq!(found(&answers), ["2001:db8:1::/96", "64:ff9b::/96"]);
    }

    #[test]
    fn of_two_places_the_one_counts_where_both_addresses_stand() {
        // A network whose own number looks like the well-known address: 32 bits in, and at the end.
        let both = ["2001:db8:c000:aa::c000:aa", "2001:db8:c000:aa::c000:ab"];
        assert_eq!(found(&both), ["2001:db8:c000:aa::/96"]);
        assert_eq!(found(&both[..1]), [""; 0]);
    }

    #[test]
    fn only_a_device_without_ipv4_needs_it() {
        assert!(needed(&device(&["127.0.0.1", "::1", "fe80::1", "2001:db8::7"])));
        assert!(needed(&device(&["169.254.1.1", "fd00::7"])));
        assert!(!needed(&device(&["192.168.0.7", "2001:db8::7"])));
        // The address of a 464XLAT (RFC 7335).
        assert!(!needed(&device(&["192.0.0.4", "2001:db8::7"])));
        assert!(!needed(&device(&["127.0.0.1", "::1", "fe80::1"])));
    }

    #[test]
    fn a_new_address_in_the_same_network_is_no_other_network() {
        let one = network(&device(&["2001:db8::7", "fe80::1"]));
        assert_eq!(one, network(&device(&["2001:db8::8888:1", "2001:db8::7", "fe80::1"])));
        assert_ne!(one, network(&device(&["2001:db8:0:1::7"])));
    }

    proptest! {
        #[test]
        fn each_length_is_found_by_the_pair_of_addresses(bits: u128, n in 0..LENGTHS.len()) {
            let prefix = Prefix::of(bits.into(), LENGTHS[n]).unwrap();
            let answers = WELL_KNOWN.map(|known| IpAddr::V6(prefix.synthesize(known)));
            prop_assert!(prefixes(&answers).contains(&prefix));
        }

        #[test]
        fn any_answer_is_read(answers in prop::collection::vec(any::<IpAddr>(), 0..20)) {
            prop_assert!(prefixes(&answers).len() <= MAX_PREFIXES);
        }
    }
}
