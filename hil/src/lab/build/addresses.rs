//! Which addresses a lab gives to whom. Those of the internet are for documentation (RFC 5737, RFC 3849), so nothing
//! real is ever meant by one.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::scenario::plan::SideName;

/// The internet's host: servers listen on the first, probes use both.
pub const INTERNET: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
/// The same in IPv6.
pub const INTERNET6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)];
/// Length of the prefix of a LAN, IPv4.
pub const LAN_PREFIX: u8 = 24;
/// The same of IPv6 (RFC 4291 section 2.5.4).
pub const LAN6_PREFIX: u8 = 64;
/// The public addresses of a side that its first uplink and its spare one begin with; changes count on from there.
pub const FIRST_CHANGED_WAN: u8 = 3;

/// Addresses of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// IPv4, if its network has that.
    pub v4: Option<Ipv4Addr>,
    /// IPv6, if its network has that.
    pub v6: Option<Ipv6Addr>,
}

/// Who is where in a lab, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The internet's two, IPv4.
    pub internet: [Ipv4Addr; 2],
    /// The internet's two, IPv6.
    pub internet6: [Ipv6Addr; 2],
    /// The device's. On a LAN it is what the device should get: the first of the lease range.
    pub device: HostAddresses,
    /// The viewers'.
    pub viewer: HostAddresses,
}

/// A LAN that a board's network card is on; the lab's namespace is its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lan {
    /// The network's address, ...
    pub subnet: Ipv4Addr,
    /// ... and the length of its prefix.
    pub prefix: u8,
    /// The namespace's own address: gateway, DNS and DHCP server.
    pub gateway: Ipv4Addr,
    /// First and last address for leases. Port forwards go to the first one, so give them out in order.
    pub leases: (Ipv4Addr, Ipv4Addr),
    /// The IPv6 network's prefix, 64 bits long, ...
    pub subnet6: Ipv6Addr,
    /// ... and the gateway in it.
    pub gateway6: Ipv6Addr,
}

/// A side's address by number on the internet, or in the network of a carrier that both sides share.
pub(super) fn wan(side: SideName, number: u8, carrier: bool) -> Ipv4Addr {
    match (side, carrier) {
        (SideName::Device, false) => Ipv4Addr::new(198, 51, 100, number),
        (SideName::Viewer, false) => Ipv4Addr::new(203, 0, 113, number),
        (SideName::Device, true) => Ipv4Addr::new(100, 64, 1, number),
        (SideName::Viewer, true) => Ipv4Addr::new(100, 64, 2, number),
    }
}

/// The public address of a router with port mapping, instead of one for documentation: miniupnpd refuses those. It is
/// somebody's on the real internet, whom no packet reaches: a lab has no way out.
pub(super) fn mapped(wan: Ipv4Addr) -> Ipv4Addr {
    match wan.octets() {
        [198, 51, 100, number] => Ipv4Addr::new(198, 52, 100, number),
        [203, 0, 113, number] => Ipv4Addr::new(203, 1, 113, number),
        _ => wan,
    }
}

/// The address of the carrier's NAT that both sides share.
pub(super) const CARRIER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Third byte of a side's LAN behind its first (0) or spare (1) uplink.
fn network(side: SideName, uplink: usize) -> u8 {
    let number = match side {
        SideName::Device => 1,
        SideName::Viewer => 2,
    };
    if uplink == 0 { number } else { number + 10 }
}

/// A side's host in its LAN.
pub(super) fn host(side: SideName, uplink: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, network(side, uplink), 2)
}

/// The address, behind the first uplink, of a viewer that has a line of its own.
pub fn own(viewer: usize) -> Ipv4Addr {
    // A scenario has at most 64 viewers.
    Ipv4Addr::new(192, 168, network(SideName::Viewer, 0), 10 + viewer as u8)
}

/// The same in IPv6.
pub(super) fn host6(side: SideName, uplink: usize) -> Ipv6Addr {
    let mut segments = network6(side, uplink).addr().segments();
    segments[7] = 2;
    segments.into()
}

/// A side's IPv6 network. The group's digits are those of the IPv4 network.
pub(super) fn network6(side: SideName, uplink: usize) -> Ipv6Net {
    let group = match (side, uplink) {
        (SideName::Device, 0) => 0x1,
        (SideName::Viewer, 0) => 0x2,
        (SideName::Device, _) => 0x11,
        (SideName::Viewer, _) => 0x12,
    };
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, group, 0, 0, 0, 0, 0), LAN6_PREFIX)
}

/// The network between two routers of a chain: the inner one's position from the host outwards, from 0. The inner
/// router has its second address, the outer one its first.
pub(super) fn inner(side: SideName, uplink: usize, position: usize) -> [Ipv4Addr; 2] {
    // Networks of different chains differ, so that a capture can be read.
    let network = network(side, uplink) * 10 + position as u8;
    [Ipv4Addr::new(100, 64, network, 1), Ipv4Addr::new(100, 64, network, 2)]
}

/// The address that a Linux router has in a side's LAN.
pub(super) fn gateway(side: SideName, uplink: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, network(side, uplink), 254)
}

/// The LAN of a board behind routers.
pub(super) fn lan() -> Lan {
    let address = |last| Ipv4Addr::new(192, 168, 1, last);
    Lan {
        subnet: address(0),
        prefix: LAN_PREFIX,
        gateway: address(1),
        leases: (address(2), address(99)),
        subnet6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0),
        gateway6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    }
}

/// The LAN of a board with a public address.
pub(super) fn public_lan(carrier: bool) -> Lan {
    let address = |last| wan(SideName::Device, last, carrier);
    Lan { subnet: address(0), gateway: address(254), leases: (address(1), address(1)), ..lan() }
}
