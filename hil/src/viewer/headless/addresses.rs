//! Own addresses that a viewer gathers from: those that the kernel would send from, one of each IP version.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Anywhere on the internet: no packet is sent there (RFC 5737, RFC 3849).
const ANYWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// Any port will do; this one is discard's (RFC 863).
const PORT: u16 = 9;

/// Addresses towards the hub and towards the internet.
pub fn own(hub: &[SocketAddr]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for target in hub.iter().copied().chain(ANYWHERE.map(|ip| SocketAddr::new(ip, PORT))) {
        if let Some(own) = source(target).filter(|own| !found.contains(own)) {
            found.push(own);
        }
    }
    found
}

/// The address that the kernel's routes choose (a connected UDP socket sends nothing).
fn source(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|own| own.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_on_loopback_is_reached_from_loopback() {
        let own = own(&[SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080)]);
        assert_eq!(own.first(), Some(&Ipv4Addr::LOCALHOST.into()));
        let unique: std::collections::BTreeSet<_> = own.iter().collect();
        assert_eq!(unique.len(), own.len());
    }
}
