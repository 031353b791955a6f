//! Packets written anew with the header of the other IP version (RFC 7915), given what each address becomes.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::lab::packet::{ICMP_HEADER, TCP, UDP, Unusable, sum, u16_at, v4, v6};

/// What IPv6's header is longer than IPv4's.
const LONGER: usize = v6::HEADER - v4::HEADER;
/// Packets up to this length may be fragmented on the way (RFC 7915 section 5.1).
const MAY_FRAGMENT: usize = 1260;
/// The least MTU of IPv6, for errors of old routers that name none.
const LEAST_MTU: u32 = 1280;

/// An IPv4 packet from an IPv6 packet. An address that `address` does not know makes it unusable.
pub fn to_v4(packet: &[u8], address: &impl Fn(Ipv6Addr) -> Option<Ipv4Addr>) -> Result<Vec<u8>, Unusable> {
    let whole = packet.get(..v6::total(packet)?).ok_or(Unusable::Malformed)?;
    let (protocol, at) = v6::transport(whole)?;
    if protocol != v6::ICMP || whole.get(at).is_some_and(|kind| *kind >= v6::FIRST_INFORMATIONAL) {
        return header_to_v4(whole, address);
    }
    let quoted = header_to_v4(whole.get(at + ICMP_HEADER..).ok_or(Unusable::Malformed)?, address)?;
    let value = u32::from_be_bytes([whole[at + 4], whole[at + 5], whole[at + 6], whole[at + 7]]);
    let (kind, code, rest) = error_to_v4(whole[at], whole[at + 1], value)?;
    let mut icmp = [&[kind, code, 0, 0][..], &rest.to_be_bytes(), &quoted].concat();
    let checksum = sum::checksum(&icmp);
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let known = |at| address(v6::address(whole, at)).ok_or(Unusable::Malformed);
    let mut error = v4::build(v4::ICMP, known(v6::SOURCE)?, known(v6::DESTINATION)?, &icmp);
    let hops = u16::from(whole[7]) << 8 | u16::from(v4::ICMP);
    sum::write_word(&mut error, 8, hops, &[10]);
    Ok(error)
}

/// An IPv6 packet from an IPv4 packet.
pub fn to_v6(packet: &[u8], address: &impl Fn(Ipv4Addr) -> Ipv6Addr) -> Result<Vec<u8>, Unusable> {
    let header = v4::header_length(packet)?;
    let total = usize::from(u16_at(packet, 2).ok_or(Unusable::Malformed)?);
    let whole = packet.get(..total).ok_or(Unusable::Malformed)?;
    let kind = whole.get(header).copied();
    if packet[9] != v4::ICMP || matches!(kind, Some(v4::ECHO_REQUEST | v4::ECHO_REPLY)) {
        return header_to_v6(whole, address);
    }
    let quoted = header_to_v6(whole.get(header + ICMP_HEADER..).ok_or(Unusable::Malformed)?, address)?;
    let mtu = u16_at(whole, header + 6).ok_or(Unusable::Malformed)?;
    let (kind, code, rest) = error_to_v6(whole[header], whole[header + 1], mtu)?;
    let mut icmp = [&[kind, code, 0, 0][..], &rest.to_be_bytes(), &quoted].concat();
    let (source, destination) = ends_v6(whole, address);
    let pseudo = sum::pseudo_v6(source, destination, v6::ICMP, icmp.len() as u16);
    let checksum = !sum::fold(pseudo + sum::add(&icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut error = v6::build(v6::ICMP, source, destination, &icmp);
    error[7] = whole[8];
    Ok(error)
}

/// Translates all but errors; the packet may be one that is quoted in an error and cut off.
fn header_to_v4(packet: &[u8], address: &impl Fn(Ipv6Addr) -> Option<Ipv4Addr>) -> Result<Vec<u8>, Unusable> {
    let (next, at) = v6::transport(packet)?;
    // Of the packet as it was sent, which may be longer than what is here.
    let length = v6::total(packet)?.checked_sub(at).ok_or(Unusable::Malformed)?;
    let total = u16::try_from(v4::HEADER + length).map_err(|_| Unusable::Malformed)?;
    let ends = (v6::address(packet, v6::SOURCE), v6::address(packet, v6::DESTINATION));
    let known = |end| address(end).ok_or(Unusable::Malformed);
    let (source, destination) = (known(ends.0)?, known(ends.1)?);
    let protocol = if next == v6::ICMP { v4::ICMP } else { next };
    let old = sum::pseudo_v6(ends.0, ends.1, next, length as u16);
    let new = sum::pseudo_v4(source, destination, protocol, length as u16);

    let mut out = Vec::with_capacity(v4::HEADER + packet.len() - at);
    let traffic_class = packet[0] << 4 | packet[1] >> 4;
    out.extend([0x45, traffic_class]);
    out.extend(total.to_be_bytes());
    let dont_fragment = if usize::from(total) > MAY_FRAGMENT { 0x40 } else { 0 };
    out.extend([0, 0, dont_fragment, 0, packet[7], protocol, 0, 0]);
    out.extend(source.octets());
    out.extend(destination.octets());
    let checksum = sum::checksum(&out);
    out[10..12].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&packet[at..]);
    let transport = &mut out[v4::HEADER..];
    if next == v6::ICMP {
        let kind = match transport.first() {
            Some(&v6::ECHO_REQUEST) => v4::ECHO_REQUEST,
            Some(&v6::ECHO_REPLY) => v4::ECHO_REPLY,
            _ => return Err(Unusable::Protocol(next)),
        };
        // IPv4's ICMP has no pseudo-header in its checksum.
        change_type(transport, kind, old, 0);
    } else {
        change_sum(transport, protocol, old, new)?;
    }
    Ok(out)
}

fn header_to_v6(packet: &[u8], address: &impl Fn(Ipv4Addr) -> Ipv6Addr) -> Result<Vec<u8>, Unusable> {
    let header = v4::header_length(packet)?;
    let total = u16_at(packet, 2).ok_or(Unusable::Malformed)?;
    let length = usize::from(total).checked_sub(header).ok_or(Unusable::Malformed)?;
    // Offset, and the flag for more.
    if u16_at(packet, 6).ok_or(Unusable::Malformed)? & 0x3fff != 0 {
        return Err(Unusable::Fragment);
    }
    let protocol = packet[9];
    let next = if protocol == v4::ICMP { v6::ICMP } else { protocol };
    let (source, destination) = ends_v6(packet, address);
    let ends = (v4::address(packet, v4::SOURCE), v4::address(packet, v4::DESTINATION));
    let old = sum::pseudo_v4(ends.0, ends.1, protocol, length as u16);
    let new = sum::pseudo_v6(source, destination, next, length as u16);

    let mut out = v6::build(next, source, destination, &packet[header..]);
    out[0] |= packet[1] >> 4;
    out[1] = packet[1] << 4;
    out[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    out[7] = packet[8];
    let transport = &mut out[v6::HEADER..];
    if protocol == v4::ICMP {
        let kind = match transport.first() {
            Some(&v4::ECHO_REQUEST) => v6::ECHO_REQUEST,
            Some(&v4::ECHO_REPLY) => v6::ECHO_REPLY,
            _ => return Err(Unusable::Protocol(protocol)),
        };
        change_type(transport, kind, 0, new);
    } else if protocol == UDP && u16_at(transport, 6) == Some(0) && transport.len() == length {
        // IPv6 knows no datagram without a checksum (RFC 7915 section 4.5).
        let checksum = !sum::fold(new + sum::add(transport));
        transport[6..8].copy_from_slice(&not_zero(checksum).to_be_bytes());
    } else {
        change_sum(transport, protocol, old, new)?;
    }
    Ok(out)
}

fn ends_v6(packet: &[u8], address: &impl Fn(Ipv4Addr) -> Ipv6Addr) -> (Ipv6Addr, Ipv6Addr) {
    (address(v4::address(packet, v4::SOURCE)), address(v4::address(packet, v4::DESTINATION)))
}

/// Another type for an ICMP message, whose pseudo-header changes from `old` to `new`. A quoted one may be cut off
/// before its checksum.
fn change_type(icmp: &mut [u8], kind: u8, old: u32, new: u32) {
    let Some(before) = u16_at(icmp, 0) else { return };
    let after = u16::from(kind) << 8 | before & 0xff;
    icmp[..2].copy_from_slice(&after.to_be_bytes());
    if let Some(sum) = u16_at(icmp, 2) {
        let sum = sum::changed(sum, old + u32::from(before), new + u32::from(after));
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Brings the checksum of UDP or TCP up to date, if it is there.
fn change_sum(transport: &mut [u8], protocol: u8, old: u32, new: u32) -> Result<(), Unusable> {
    let at = match protocol {
        UDP => 6,
        TCP => 16,
        other => return Err(Unusable::Protocol(other)),
    };
    match u16_at(transport, at) {
        None => {}
        Some(0) if protocol == UDP => {}
        Some(before) => {
            let after = sum::changed(before, old, new);
            let after = if protocol == UDP { not_zero(after) } else { after };
            transport[at..at + 2].copy_from_slice(&after.to_be_bytes());
        }
    }
    Ok(())
}

/// Zero would say that there is no checksum (RFC 768).
fn not_zero(sum: u16) -> u16 {
    if sum == 0 { 0xffff } else { sum }
}

/// Type, code and the second word of an error (RFC 7915 section 5.2).
fn error_to_v4(kind: u8, code: u8, value: u32) -> Result<(u8, u8, u32), Unusable> {
    Ok(match (kind, code) {
        (v6::UNREACHABLE, 1) => (v4::UNREACHABLE, 10, 0),
        (v6::UNREACHABLE, 4) => (v4::UNREACHABLE, 3, 0),
        (v6::UNREACHABLE, _) => (v4::UNREACHABLE, 1, 0),
        (v6::TOO_BIG, _) => {
            let mtu = value.saturating_sub(LONGER as u32).min(u32::from(u16::MAX));
            (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, mtu)
        }
        (v6::TIME_EXCEEDED, code) => (v4::TIME_EXCEEDED, code, 0),
        (v6::PARAMETER_PROBLEM, 1) => (v4::UNREACHABLE, 2, 0),
        _ => return Err(Unusable::Protocol(v6::ICMP)),
    })
}

/// The same the other way (RFC 7915 section 4.2).
fn error_to_v6(kind: u8, code: u8, mtu: u16) -> Result<(u8, u8, u32), Unusable> {
    // Where IPv6's header names what comes next.
    const NEXT_HEADER: u32 = 6;
    Ok(match (kind, code) {
        (v4::UNREACHABLE, 2) => (v6::PARAMETER_PROBLEM, 1, NEXT_HEADER),
        (v4::UNREACHABLE, 3) => (v6::UNREACHABLE, 4, 0),
        (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
            (v6::TOO_BIG, 0, (u32::from(mtu) + LONGER as u32).max(LEAST_MTU))
        }
        (v4::UNREACHABLE, 9 | 10 | 13 | 15) => (v6::UNREACHABLE, 1, 0),
        (v4::UNREACHABLE, 14) => return Err(Unusable::Protocol(v4::ICMP)),
        (v4::UNREACHABLE, _) => (v6::UNREACHABLE, 0, 0),
        (v4::TIME_EXCEEDED, code) => (v6::TIME_EXCEEDED, code, 0),
        _ => return Err(Unusable::Protocol(v4::ICMP)),
    })
}
