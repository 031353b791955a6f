//! Which of the device's addresses are offered to viewers, and in which order.

use std::net::{IpAddr, Ipv6Addr};

use tracing::warn;

use super::MAX_ADDRESSES;
use crate::transport::InterfaceAddress;

/// The addresses to offer, best first: IPv6 and IPv4 in turn (RFC 8421 section 4), those that reach far first. Without
/// deprecated ones, without IPv6 addresses that have a temporary one beside them (RFC 8981), and without link-local
/// IPv6, which browsers cannot use; loopback if `loopback`, or if there is nothing else.
pub(in crate::transport) fn choose(found: &[InterfaceAddress], loopback: bool) -> Vec<IpAddr> {
    let mut usable: Vec<IpAddr> = Vec::new();
    for address in found.iter().filter(|a| is_usable(a) && !is_covered(a, found)) {
        if !usable.contains(&address.ip) {
            usable.push(address.ip);
        }
    }
    let (lo, mut far): (Vec<_>, Vec<_>) = usable.into_iter().partition(IpAddr::is_loopback);
    far.sort_by_key(reach);
    let (v6, v4): (Vec<_>, Vec<_>) = far.into_iter().partition(IpAddr::is_ipv6);
    let mut chosen = Vec::new();
    for n in 0..v6.len().max(v4.len()) {
        chosen.extend(v6.get(n));
        chosen.extend(v4.get(n));
    }
    if loopback || chosen.is_empty() {
        chosen.extend(lo);
    }
    if chosen.len() > MAX_ADDRESSES {
        warn!("{} local addresses; only {MAX_ADDRESSES} are offered to viewers", chosen.len());
        chosen.truncate(MAX_ADDRESSES);
    }
    chosen
}

fn is_usable(address: &InterfaceAddress) -> bool {
    let link_local_v6 = matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !address.deprecated && !link_local_v6 && !address.ip.is_unspecified()
}

/// A lasting address with a temporary one of the same prefix on its interface: the one would tell for years whose
/// camera it is, and the other reaches as far.
fn is_covered(address: &InterfaceAddress, found: &[InterfaceAddress]) -> bool {
    let IpAddr::V6(ip) = address.ip else { return false };
    let covers = |other: &InterfaceAddress| {
        other.temporary
            && other.index == address.index
            && is_usable(other)
            && matches!(other.ip, IpAddr::V6(other) if prefix(other) == prefix(ip))
    };
    !address.temporary && found.iter().any(covers)
}

/// The first 64 bits: what the kernel makes temporary addresses for (RFC 4862 section 5.5.3).
fn prefix(ip: Ipv6Addr) -> u128 {
    ip.to_bits() >> 64
}

/// 0: as far as it goes; 1: within the site; 2: within the link.
fn reach(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) => 2 * u8::from(ip.is_link_local()),
        IpAddr::V6(ip) => u8::from(ip.is_unique_local()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(index: u32, ip: &str) -> InterfaceAddress {
        let ip = ip.parse().unwrap();
        InterfaceAddress { ip, interface: format!("eth{index}"), index, temporary: false, deprecated: false }
    }

    fn found(list: &[&str]) -> Vec<InterfaceAddress> {
        list.iter().map(|ip| at(1, ip)).collect()
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn both_ip_versions_are_offered_in_turn_and_the_far_reaching_first() {
        let found =
            found(&["127.0.0.1", "169.254.3.4", "192.168.0.7", "::1", "fe80::1", "fd00::7", "2001:db8::7"]);
        assert_eq!(choose(&found, false), ips(&["2001:db8::7", "192.168.0.7", "fd00::7", "169.254.3.4"]));
    }

    #[test]
    fn loopback_is_offered_when_wanted_or_alone() {
        let far = found(&["127.0.0.1", "192.168.0.7", "192.168.0.7"]);
        assert_eq!(choose(&far, true), ips(&["192.168.0.7", "127.0.0.1"]));
        assert_eq!(choose(&found(&["127.0.0.1", "fe80::1"]), false), ips(&["127.0.0.1"]));
    }

    #[test]
    fn temporary_addresses_stand_for_the_lasting_ones_of_their_prefix_and_interface() {
        let temporary = |ip| InterfaceAddress { temporary: true, ..at(1, ip) };
        let found = [
            at(1, "2001:db8:0:1::1"),
            temporary("2001:db8:0:1::aaaa"),
            at(1, "2001:db8:0:2::1"),
            at(2, "2001:db8:0:1::2"),
            InterfaceAddress { deprecated: true, ..temporary("2001:db8:0:2::bbbb") },
        ];
        assert_eq!(choose(&found, false), ips(&["2001:db8:0:1::aaaa", "2001:db8:0:2::1", "2001:db8:0:1::2"]));
    }

    #[test]
    fn deprecated_addresses_are_not_offered() {
        let found = [InterfaceAddress { deprecated: true, ..at(1, "192.168.0.7") }, at(1, "192.168.0.8")];
        assert_eq!(choose(&found, false), ips(&["192.168.0.8"]));
    }

    #[test]
    fn never_more_than_the_bound() {
        let many: Vec<_> = (0..40).map(|n| at(1, &format!("192.168.1.{n}"))).collect();
        assert_eq!(choose(&many, false).len(), MAX_ADDRESSES);
    }
}
