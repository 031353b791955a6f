//! What a router says about a packet that is longer than the next line takes: "fragmentation needed" (RFC 1191
//! section 4) or "packet too big" (RFC 4443 section 3.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ICMP_HEADER, source, stays_on_link, sum, u16_at, v4, v6, version};

/// Where IPv4 errors of the lab's routers come from: the dummy address for routers without one (RFC 7600 section 4.8).
pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// The same for IPv6, as a NAT64 would write it.
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 8);

/// Longest IPv4 error (RFC 1812 section 4.3.2.3).
const MAX_V4: usize = 576;
/// Longest IPv6 error: the least MTU of IPv6 (RFC 4443 section 2.4 c).
const MAX_V6: usize = 1280;
const DONT_FRAGMENT: u16 = 0x4000;

/// The error to send back, `mtu` in bytes with IP headers; `None` where none is to be sent: about an ICMP error, to an
/// address that is nobody's, and about IPv4 packets that may be fragmented (the lab carries no fragments).
pub fn too_long(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    if stays_on_link(source(packet)?) {
        return None;
    }
    let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
    match version(packet)? {
        4 => fragmentation_needed(packet, mtu),
        _ => packet_too_big(packet, mtu),
    }
}

fn fragmentation_needed(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    let header = v4::header_length(packet).ok()?;
    let fragment = u16_at(packet, 6)?;
    if fragment & DONT_FRAGMENT == 0 || fragment & v4::OFFSET_MASK != 0 {
        return None;
    }
    if packet[9] == v4::ICMP && !matches!(packet.get(header), Some(&(v4::ECHO_REPLY | v4::ECHO_REQUEST))) {
        return None;
    }
    let mut icmp = vec![v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(packet.iter().take(MAX_V4 - v4::HEADER - ICMP_HEADER));
    let checksum = sum::checksum(&icmp);
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(v4::build(v4::ICMP, ROUTER_V4, v4::address(packet, v4::SOURCE), &icmp))
}

fn packet_too_big(packet: &[u8], mtu: u16) -> Option<Vec<u8>> {
    if let Ok((v6::ICMP, at)) = v6::transport(packet)
        && packet.get(at).is_none_or(|kind| *kind < v6::FIRST_INFORMATIONAL)
    {
        return None;
    }
    let mut icmp = vec![v6::TOO_BIG, 0, 0, 0, 0, 0];
    icmp.extend(mtu.to_be_bytes());
    icmp.extend(packet.iter().take(MAX_V6 - v6::HEADER - ICMP_HEADER));
    let to = v6::address(packet, v6::SOURCE);
    let pseudo = sum::pseudo_v6(ROUTER_V6, to, v6::ICMP, icmp.len() as u16);
    let checksum = !sum::fold(pseudo + sum::add(&icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(v6::build(v6::ICMP, ROUTER_V6, to, &icmp))
}
