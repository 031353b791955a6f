//! IPv4 packets (RFC 791): what flow they belong to, and new addresses written into them in place.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    End, Flow, ICMP_HEADER, Kind, Protocol, TCP, UDP, Unusable,
    sum::{checksum, write_word},
    u16_at,
};

pub(crate) const HEADER: usize = 20;
pub(crate) const SOURCE: usize = 12;
pub(crate) const DESTINATION: usize = 16;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ECHO_REPLY: u8 = 0;
pub(crate) const UNREACHABLE: u8 = 3;
/// A code of [`UNREACHABLE`].
pub(crate) const FRAGMENTATION_NEEDED: u8 = 4;
pub(crate) const ECHO_REQUEST: u8 = 8;
pub(crate) const TIME_EXCEEDED: u8 = 11;
/// Fragment offset in the field that it shares with three flags.
pub(crate) const OFFSET_MASK: u16 = 0x1fff;
/// Where a fresh packet's time to live begins.
const TTL: u8 = 64;

/// Says what a packet is.
pub fn parse(packet: &[u8]) -> Result<Kind, Unusable> {
    let header = header_length(packet)?;
    let total = usize::from(u16_at(packet, 2).ok_or(Unusable::Malformed)?);
    if total < header || total > packet.len() {
        return Err(Unusable::Malformed);
    }
    if packet[9] == ICMP && matches!(packet.get(header), Some(&(UNREACHABLE | TIME_EXCEEDED))) {
        let quoted = packet.get(header + ICMP_HEADER..).ok_or(Unusable::Malformed)?;
        return flow(quoted, true).map(Kind::Error);
    }
    flow(packet, false).map(Kind::Flow)
}

/// The flow of a packet. A quoted one may be cut off after eight bytes of its transport header.
fn flow(packet: &[u8], quoted: bool) -> Result<Flow, Unusable> {
    let header = header_length(packet)?;
    if u16_at(packet, 6).ok_or(Unusable::Malformed)? & OFFSET_MASK != 0 {
        return Err(Unusable::Fragment);
    }
    let (source, destination) = (address(packet, 12), address(packet, 16));
    let needed = match packet[9] {
        TCP if !quoted => 20,
        _ => 8,
    };
    if packet.len() < header + needed {
        return Err(Unusable::Malformed);
    }
    let port = |at: usize| u16_at(packet, header + at).ok_or(Unusable::Malformed);
    let protocol = match packet[9] {
        UDP => Protocol::Udp,
        TCP => Protocol::Tcp,
        ICMP => match packet[header] {
            ECHO_REQUEST | ECHO_REPLY => Protocol::Echo,
            _ => return Err(Unusable::Protocol(ICMP)),
        },
        other => return Err(Unusable::Protocol(other)),
    };
    let (from, to) = match (protocol, packet[header]) {
        // The side that asked is the one with the identifier.
        (Protocol::Echo, ECHO_REQUEST) => (port(4)?, 0),
        (Protocol::Echo, _) => (0, port(4)?),
        _ => (port(0)?, port(2)?),
    };
    Ok(Flow {
        protocol,
        source: SocketAddrV4::new(source, from),
        destination: SocketAddrV4::new(destination, to),
    })
}

/// Writes another address and port into a packet that [`parse`] called a flow.
pub fn rewrite(packet: &mut [u8], end: End, to: SocketAddrV4) {
    let Ok(header) = header_length(packet) else { return };
    rewrite_at(packet, 0, header, end, to, true);
}

/// Writes the other end of the quoted packet of an ICMP error, and the error's own source or destination as well.
/// The quoted packet went the opposite way: what is its source is the error's destination.
pub fn rewrite_error(packet: &mut [u8], quoted_end: End, to: SocketAddrV4) {
    let Ok(header) = header_length(packet) else { return };
    let inner = header + ICMP_HEADER;
    let Some(inner_header) = packet.get(inner..).and_then(|quoted| header_length(quoted).ok()) else {
        return;
    };
    rewrite_at(packet, inner, inner_header, quoted_end, to, false);
    let outer = match quoted_end {
        End::Source => 16,
        End::Destination => 12,
    };
    write_address(packet, outer, *to.ip(), &[10]);
    // All that the ICMP checksum covers may have changed: it is made anew.
    let end = usize::from(u16_at(packet, 2).unwrap_or_default()).min(packet.len());
    if let Some(icmp) = packet.get_mut(header..end) {
        icmp[2..4].fill(0);
        let sum = checksum(icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn rewrite_at(packet: &mut [u8], start: usize, header: usize, end: End, to: SocketAddrV4, whole: bool) {
    let (address_at, port_at) = match end {
        End::Source => (start + 12, 0),
        End::Destination => (start + 16, 2),
    };
    let transport = start + header;
    // Where the transport checksum lies, if it covers the addresses.
    let (sum, port) = match packet[start + 9] {
        UDP => (Some(transport + 6), transport + port_at),
        TCP => (Some(transport + 16), transport + port_at),
        _ => (None, transport + 4),
    };
    // A UDP checksum of zero means that there is none; a quoted packet may be cut off before its checksum.
    let sum = sum
        .filter(|at| u16_at(packet, *at).is_some_and(|sum| whole && (packet[start + 9] != UDP || sum != 0)));
    match sum {
        Some(sum) => write_address(packet, address_at, *to.ip(), &[start + 10, sum]),
        None => write_address(packet, address_at, *to.ip(), &[start + 10]),
    }
    let echo = packet[start + 9] == ICMP;
    // Only the side that asked has the identifier.
    if echo && packet[transport] == ECHO_REQUEST && end == End::Destination
        || echo && packet[transport] == ECHO_REPLY && end == End::Source
    {
        return;
    }
    let sum_of_port = if echo && whole { Some(transport + 2) } else { sum };
    write_word(packet, port, to.port(), sum_of_port.as_slice());
    if packet[start + 9] == UDP && sum.is_some_and(|at| u16_at(packet, at) == Some(0)) {
        // Zero would say that there is no checksum (RFC 768).
        packet[transport + 6..transport + 8].fill(0xff);
    }
}

pub(crate) fn header_length(packet: &[u8]) -> Result<usize, Unusable> {
    let first = *packet.first().ok_or(Unusable::Malformed)?;
    let length = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || length < 20 || packet.len() < length {
        return Err(Unusable::Malformed);
    }
    Ok(length)
}

/// The address at an offset of a packet that has a whole header.
pub(crate) fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3])
}

fn write_address(packet: &mut [u8], at: usize, address: Ipv4Addr, sums: &[usize]) {
    let [a, b, c, d] = address.octets();
    write_word(packet, at, u16::from_be_bytes([a, b]), sums);
    write_word(packet, at + 2, u16::from_be_bytes([c, d]), sums);
}

/// A packet with a plain header, not to be fragmented.
pub(crate) fn build(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, transport: &[u8]) -> Vec<u8> {
    let total = (HEADER + transport.len()) as u16;
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, TTL, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(transport);
    packet
}

#[cfg(test)]
#[path = "v4_tests.rs"]
pub(crate) mod tests;
