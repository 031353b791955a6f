//! IPv4 packets as a translator sees them: what flow they belong to, and new addresses written into them in place.
//!
//! Checksums are updated by difference (RFC 1624), so a packet that was damaged before stays damaged. Fragments other
//! than the first carry no ports; the lab drops them, as many routers do, and says so in its counters.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Transport protocols that a translator follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Protocol {
    /// UDP (RFC 768).
    Udp,
    /// TCP (RFC 9293).
    Tcp,
    /// ICMP echo (RFC 792); its identifier stands in the place of a port (RFC 5508 section 3.1).
    Echo,
}

/// Why a packet is not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No IPv4 header, or one that does not fit its length.
    #[error("the packet is no whole IPv4 packet")]
    Malformed,
    /// A fragment without the transport header.
    #[error("the packet is a fragment without ports")]
    Fragment,
    /// A protocol that is not followed.
    #[error("the packet's protocol {0} is not translated")]
    Protocol(u8),
}

/// Where a packet comes from and goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Source; for an echo request the port is its identifier.
    pub source: SocketAddrV4,
    /// Destination; for an echo reply the port is its identifier.
    pub destination: SocketAddrV4,
}

/// What a packet is to a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Part of a flow.
    Flow(Flow),
    /// An ICMP error (RFC 792: unreachable, time exceeded) about a packet of this flow, which is quoted in it.
    Error(Flow),
}

/// Which end of a packet is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
/// An ICMP header; the quoted packet of an error comes after it.
const ICMP_HEADER: usize = 8;
/// Fragment offset in the field that it shares with three flags.
const OFFSET_MASK: u16 = 0x1fff;

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
    let mut sums = vec![start + 10];
    sums.extend(sum);
    write_address(packet, address_at, *to.ip(), &sums);
    let echo = packet[start + 9] == ICMP;
    // Only the side that asked has the identifier.
    if echo && packet[transport] == ECHO_REQUEST && end == End::Destination
        || echo && packet[transport] == ECHO_REPLY && end == End::Source
    {
        return;
    }
    let sums = match (sum, echo && whole) {
        (_, true) => vec![transport + 2],
        (sum, false) => sum.into_iter().collect(),
    };
    write_word(packet, port, to.port(), &sums);
    if packet[start + 9] == UDP && sum.is_some_and(|at| u16_at(packet, at) == Some(0)) {
        // Zero would say that there is no checksum (RFC 768).
        packet[transport + 6..transport + 8].fill(0xff);
    }
}

/// Takes one from the time to live; false if the packet may not go on.
pub fn decrement_ttl(packet: &mut [u8]) -> bool {
    if header_length(packet).is_err() || packet[8] <= 1 {
        return false;
    }
    let word = u16_at(packet, 8).unwrap_or_default();
    write_word(packet, 8, word - 0x100, &[10]);
    true
}

/// Where an IPv4 packet goes to; `None` if it is none.
pub fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    header_length(packet).ok().map(|_| address(packet, 16))
}

/// A flow's payload: what comes after a UDP header.
pub fn udp_payload(packet: &[u8]) -> Option<&[u8]> {
    let header = header_length(packet).ok()?;
    (packet[9] == UDP).then_some(())?;
    packet.get(header + 8..)
}

fn header_length(packet: &[u8]) -> Result<usize, Unusable> {
    let first = *packet.first().ok_or(Unusable::Malformed)?;
    let length = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || length < 20 || packet.len() < length {
        return Err(Unusable::Malformed);
    }
    Ok(length)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3])
}

fn write_address(packet: &mut [u8], at: usize, address: Ipv4Addr, sums: &[usize]) {
    let [a, b, c, d] = address.octets();
    write_word(packet, at, u16::from_be_bytes([a, b]), sums);
    write_word(packet, at + 2, u16::from_be_bytes([c, d]), sums);
}

/// Writes a 16-bit word and brings the checksums at `sums` up to date (RFC 1624 equation 3).
fn write_word(packet: &mut [u8], at: usize, word: u16, sums: &[usize]) {
    let Some(old) = u16_at(packet, at) else { return };
    packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
    for &sum_at in sums {
        let Some(sum) = u16_at(packet, sum_at) else { continue };
        let total = u32::from(!sum) + u32::from(!old) + u32::from(word);
        let sum = !fold(total);
        packet[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The Internet checksum (RFC 1071).
pub fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()])));
    // A packet has at most 32768 words: no overflow.
    !fold(sum.sum())
}

#[cfg(test)]
#[path = "packet_tests.rs"]
pub(crate) mod tests;
