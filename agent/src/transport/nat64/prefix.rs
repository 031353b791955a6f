//! A NAT64 prefix: IPv4 addresses written into IPv6 addresses and read out of them again (RFC 6052 section 2.2). Pure.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// All lengths that a prefix may have, in bits, the usual one first.
pub const LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];
/// Byte 8 (bits 64 to 71) is left zero by every prefix that is shorter than 96 bits (RFC 6052 section 2.2).
const RESERVED: usize = 8;
/// The prefix that everybody may use, 96 bits long (RFC 6052 section 2.1).
const WELL_KNOWN: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// See the module. Bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    network: Ipv6Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of an address. `None`: no prefix of RFC 6052 has this length.
    pub fn of(address: Ipv6Addr, length: u8) -> Option<Self> {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        LENGTHS.contains(&length).then(|| Self { network: (address.to_bits() & mask).into(), length })
    }

    /// The IPv6 address under which those behind the NAT64 reach `address`.
    pub fn synthesize(&self, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.network.octets();
        for (place, octet) in self.places().zip(address.octets()) {
            octets[place] = octet;
        }
        octets.into()
    }

    /// The IPv4 address in an address under this prefix.
    pub fn extract(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        if Self::of(address, self.length)? != *self {
            return None;
        }
        let (octets, mut found) = (address.octets(), [0; 4]);
        for (place, octet) in self.places().zip(&mut found) {
            *octet = octets[place];
        }
        let reserved_is_free = self.length == 96 || octets[RESERVED] == 0;
        reserved_is_free.then(|| found.into())
    }

    /// Whether `address` may be reached through it. Nobody's NAT64 leads to addresses of one host or link, and the
    /// well-known prefix to none of a private network either (RFC 6052 section 3.1).
    pub fn may_reach(&self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        let shared = first == 100 && (64..128).contains(&second);
        let never = address.is_loopback() || address.is_link_local() || address.is_multicast();
        let nowhere = first == 0 || first >= 240;
        let private = (address.is_private() || shared) && self.network == WELL_KNOWN;
        !(never || nowhere || private)
    }

    /// Where the four octets stand.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let jumps = self.length != 96;
        (usize::from(self.length / 8)..16).filter(move |place| !jumps || *place != RESERVED)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix::of(address.parse().unwrap(), length).unwrap()
    }

    #[test]
    fn addresses_are_written_as_the_table_of_rfc_6052_says() {
        // Section 2.4: 192.0.2.33 under each length.
        for (under, length, written) in [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
        ] {
            let (prefix, address) = (prefix(under, length), "192.0.2.33".parse().unwrap());
            let written: Ipv6Addr = written.parse().unwrap();
            assert_eq!((prefix.synthesize(address), prefix.extract(written)), (written, Some(address)));
        }
    }

    #[test]
    fn other_lengths_and_other_networks_are_none() {
        assert_eq!(Prefix::of("64:ff9b::".parse().unwrap(), 80), None);
        assert_eq!(prefix("64:ff9b::", 96).extract("64:ff9c::1".parse().unwrap()), None);
        assert_eq!(prefix("64:ff9b::c000:aa", 96).to_string(), "64:ff9b::/96");
    }

    #[test]
    fn private_addresses_are_reached_only_through_a_network_s_own_prefix() {
        let (known, own) = (prefix("64:ff9b::", 96), prefix("2001:db8:64::", 96));
        for (address, by_known, by_own) in [
            ("203.0.113.9", true, true),
            ("192.168.0.7", false, true),
            ("100.64.0.1", false, true),
            ("169.254.1.1", false, false),
            ("127.0.0.1", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.251", false, false),
            ("255.255.255.255", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((known.may_reach(address), own.may_reach(address)), (by_known, by_own), "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(network: u128, v4: u32, n in 0..LENGTHS.len()) {
            let prefix = Prefix::of(network.into(), LENGTHS[n]).unwrap();
            let written = prefix.synthesize(v4.into());
            prop_assert_eq!(prefix.extract(written), Some(v4.into()));
            prop_assert_eq!(Prefix::of(written, LENGTHS[n]), Some(prefix));
        }

        #[test]
        fn what_can_be_read_is_what_would_be_written(address: u128, n in 0..LENGTHS.len()) {
            let address = Ipv6Addr::from(address);
            let prefix = Prefix::of(address, LENGTHS[n]).unwrap();
            if let Some(v4) = prefix.extract(address) {
                // But for a suffix, which is the network's own.
                prop_assert_eq!(prefix.extract(prefix.synthesize(v4)), Some(v4));
            }
        }
    }
}
