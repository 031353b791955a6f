//! The lease file of dnsmasq (dnsmasq(8), `--dhcp-leasefile`; the format is that of its `lease.c` and stable).

use std::net::Ipv4Addr;

/// An address that a device has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Ends then, in seconds since 1970; 0: never.
    pub expires: u64,
    /// The device's MAC address, as `52:54:00:12:34:56`.
    pub mac: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The name that it gave.
    pub name: Option<String>,
}

/// Reads the file's text. Lines that are none of IPv4 leases, and an unfinished last one, are left out.
pub fn read(text: &str) -> Vec<Lease> {
    text.lines().filter_map(lease).collect()
}

/// `EXPIRY MAC ADDRESS NAME CLIENT-ID`, with `*` for what is not known.
fn lease(line: &str) -> Option<Lease> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let (expires, mac, address, name, _client) = (next()?, next()?, next()?, next()?, next()?);
    // Other hardware than Ethernet has its type before it: `06-...`.
    let mac = mac.rsplit('-').next()?;
    Some(Lease {
        expires: expires.parse().ok()?,
        mac: mac.to_ascii_lowercase(),
        address: address.parse().ok()?,
        name: (name != "*").then(|| name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_read_and_all_else_is_left_out() {
        let text = "1700000120 52:54:00:12:34:56 192.168.1.10 board 01:52:54:00:12:34:56\n\
                    1700000121 52:54:00:AB:00:01 192.168.1.11 * *\n\
                    duid 00:01:00:01:2a:2b:2c:2d:52:54:00:12:34:56\n\
                    1700000122 5 2001:db8:1::10 board 00:01\n\
                    1700000123 52:54:00:12";
        let leases = read(text);
        assert_eq!(
            leases[0],
            Lease {
                expires: 1_700_000_120,
                mac: "52:54:00:12:34:56".into(),
                address: Ipv4Addr::new(192, 168, 1, 10),
                name: Some("board".into()),
            }
        );
        assert_eq!((leases[1].mac.as_str(), &leases[1].name), ("52:54:00:ab:00:01", &None));
        assert_eq!(leases.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(text in "[ 0-9a-f:.*\n-]{0,200}") {
            proptest::prop_assert!(read(&text).len() <= text.lines().count());
        }
    }
}
