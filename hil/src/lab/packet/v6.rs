//! IPv6 packets (RFC 8200): past the extension headers to the flow that they belong to.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::{Flow, ICMP_HEADER, Kind, Protocol, TCP, UDP, Unusable, u16_at};

pub(crate) const HEADER: usize = 40;
pub(crate) const SOURCE: usize = 8;
pub(crate) const DESTINATION: usize = 24;
pub(crate) const ICMP: u8 = 58;
pub(crate) const UNREACHABLE: u8 = 1;
pub(crate) const TOO_BIG: u8 = 2;
pub(crate) const TIME_EXCEEDED: u8 = 3;
pub(crate) const PARAMETER_PROBLEM: u8 = 4;
/// ICMPv6 types below are errors (RFC 4443 section 2.1).
pub(crate) const FIRST_INFORMATIONAL: u8 = 128;
pub(crate) const ECHO_REQUEST: u8 = 128;
pub(crate) const ECHO_REPLY: u8 = 129;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// Extension headers of one packet; real ones have one or two.
const MAX_EXTENSIONS: usize = 8;
/// Where a fresh packet's hop limit begins.
const HOPS: u8 = 64;

/// Says what a packet is.
pub fn parse(packet: &[u8]) -> Result<Kind<SocketAddrV6>, Unusable> {
    let whole = packet.get(..total(packet)?).ok_or(Unusable::Malformed)?;
    let (protocol, at) = transport(whole)?;
    if protocol == ICMP && matches!(whole.get(at), Some(&(UNREACHABLE..=PARAMETER_PROBLEM))) {
        let quoted = whole.get(at + ICMP_HEADER..).ok_or(Unusable::Malformed)?;
        return flow(quoted, true).map(Kind::Error);
    }
    flow(whole, false).map(Kind::Flow)
}

/// How long a packet says it is, in bytes with its header.
pub(crate) fn total(packet: &[u8]) -> Result<usize, Unusable> {
    u16_at(packet, 4).map(|payload| HEADER + usize::from(payload)).ok_or(Unusable::Malformed)
}

/// The transport protocol and where its header begins. Only whole packets: a fragment is unusable, but for one that
/// is all of its packet (RFC 6946).
pub(crate) fn transport(packet: &[u8]) -> Result<(u8, usize), Unusable> {
    if packet.len() < HEADER || packet[0] >> 4 != 6 {
        return Err(Unusable::Malformed);
    }
    let (mut next, mut at) = (packet[6], HEADER);
    for _ in 0..MAX_EXTENSIONS {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                (usize::from(*packet.get(at + 1).ok_or(Unusable::Malformed)?) + 1) * 8
            }
            FRAGMENT => {
                // Offset and the flag for more, without the two reserved bits between them.
                if u16_at(packet, at + 2).ok_or(Unusable::Malformed)? & 0xfff9 != 0 {
                    return Err(Unusable::Fragment);
                }
                8
            }
            protocol => return Ok((protocol, at)),
        };
        next = packet[at];
        at += length;
        if at > packet.len() {
            return Err(Unusable::Malformed);
        }
    }
    Err(Unusable::Malformed)
}

/// The flow of a packet. A quoted one may be cut off after eight bytes of its transport header.
fn flow(packet: &[u8], quoted: bool) -> Result<Flow<SocketAddrV6>, Unusable> {
    let (protocol, at) = transport(packet)?;
    let needed = if protocol == TCP && !quoted { 20 } else { 8 };
    if packet.len() < at + needed {
        return Err(Unusable::Malformed);
    }
    let port = |offset: usize| u16_at(packet, at + offset).ok_or(Unusable::Malformed);
    let (protocol, from, to) = match (protocol, packet[at]) {
        (UDP, _) => (Protocol::Udp, port(0)?, port(2)?),
        (TCP, _) => (Protocol::Tcp, port(0)?, port(2)?),
        // The side that asked is the one with the identifier.
        (ICMP, ECHO_REQUEST) => (Protocol::Echo, port(4)?, 0),
        (ICMP, ECHO_REPLY) => (Protocol::Echo, 0, port(4)?),
        (other, _) => return Err(Unusable::Protocol(other)),
    };
    let end = |at, port| SocketAddrV6::new(address(packet, at), port, 0, 0);
    Ok(Flow { protocol, source: end(SOURCE, from), destination: end(DESTINATION, to) })
}

/// The address at an offset of a packet that has a whole header.
pub(crate) fn address(packet: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&packet[at..at + 16]);
    octets.into()
}

/// A packet with a plain header.
pub(crate) fn build(protocol: u8, source: Ipv6Addr, destination: Ipv6Addr, transport: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER + transport.len());
    packet.extend([0x60, 0, 0, 0]);
    packet.extend((transport.len() as u16).to_be_bytes());
    packet.extend([protocol, HOPS]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend_from_slice(transport);
    packet
}
