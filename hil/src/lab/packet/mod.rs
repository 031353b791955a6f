//! IP packets of both versions as routers see them: where they go, what flow they belong to, and what is written into
//! them in place.
//!
//! Checksums are updated by difference (RFC 1624), so a packet that was damaged before stays damaged. Fragments other
//! than the first carry no ports; whoever looks at ports drops them, as many routers do, and says so in its counters.

pub mod sum;
mod too_long;
pub mod v4;
pub mod v6;

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

pub use too_long::{ROUTER_V4, ROUTER_V6, too_long};

/// Transport protocols that a translator follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Protocol {
    /// UDP (RFC 768).
    Udp,
    /// TCP (RFC 9293).
    Tcp,
    /// ICMP echo (RFC 792, RFC 4443); its identifier stands in the place of a port (RFC 5508 section 3.1).
    Echo,
}

/// Why a packet is not translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No IP header, or one that does not fit its length.
    #[error("the packet is no whole IP packet")]
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
pub struct Flow<A = SocketAddrV4> {
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Source; for an echo request the port is its identifier.
    pub source: A,
    /// Destination; for an echo reply the port is its identifier.
    pub destination: A,
}

/// What a packet is to a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<A = SocketAddrV4> {
    /// Part of a flow.
    Flow(Flow<A>),
    /// An ICMP error (unreachable, time exceeded, too big) about a packet of this flow, which is quoted in it.
    Error(Flow<A>),
}

impl<A: Into<SocketAddr>> Flow<A> {
    fn widen(self) -> Flow<SocketAddr> {
        let Self { protocol, source, destination } = self;
        Flow { protocol, source: source.into(), destination: destination.into() }
    }
}

impl<A: Into<SocketAddr>> Kind<A> {
    fn widen(self) -> Kind<SocketAddr> {
        match self {
            Self::Flow(flow) => Kind::Flow(flow.widen()),
            Self::Error(flow) => Kind::Error(flow.widen()),
        }
    }
}

/// Which end of a packet is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
/// An ICMP or ICMPv6 header; the quoted packet of an error comes after it.
pub(crate) const ICMP_HEADER: usize = 8;

/// Says what a packet of either version is.
pub fn parse(packet: &[u8]) -> Result<Kind<SocketAddr>, Unusable> {
    match version(packet) {
        Some(4) => v4::parse(packet).map(Kind::widen),
        Some(6) => v6::parse(packet).map(Kind::widen),
        _ => Err(Unusable::Malformed),
    }
}

/// 4 or 6, if there is a whole header of that version.
pub fn version(packet: &[u8]) -> Option<u8> {
    match packet.first()? >> 4 {
        4 if v4::header_length(packet).is_ok() => Some(4),
        6 if packet.len() >= v6::HEADER => Some(6),
        _ => None,
    }
}

/// Where a packet comes from; `None` if it is none.
pub fn source(packet: &[u8]) -> Option<IpAddr> {
    match version(packet)? {
        4 => Some(v4::address(packet, v4::SOURCE).into()),
        _ => Some(v6::address(packet, v6::SOURCE).into()),
    }
}

/// Where a packet goes to; `None` if it is none.
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    match version(packet)? {
        4 => Some(v4::address(packet, v4::DESTINATION).into()),
        _ => Some(v6::address(packet, v6::DESTINATION).into()),
    }
}

/// Whether an address is one that no router forwards to or from: multicast, link-local, broadcast, unspecified
/// (RFC 1812 section 5.3, RFC 4291 section 2.5).
pub fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_multicast()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_multicast() || address.is_unicast_link_local() || address.is_unspecified()
        }
    }
}

/// Takes one from the time to live (hop limit); false if the packet may not go on.
pub fn decrement_ttl(packet: &mut [u8]) -> bool {
    match version(packet) {
        Some(4) if packet[8] > 1 => {
            let word = u16_at(packet, 8).unwrap_or_default();
            sum::write_word(packet, 8, word - 0x100, &[10]);
            true
        }
        Some(6) if packet[7] > 1 => {
            packet[7] -= 1;
            true
        }
        _ => false,
    }
}

/// What comes after a packet's UDP header.
pub fn udp_payload(packet: &[u8]) -> Option<&[u8]> {
    let (protocol, at) = match version(packet)? {
        4 => (packet[9], v4::header_length(packet).ok()?),
        _ => v6::transport(packet).ok()?,
    };
    (protocol == UDP).then_some(())?;
    packet.get(at + 8..)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
pub(crate) mod tests;
