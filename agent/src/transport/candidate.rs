//! A local candidate, and its line in signalling (RFC 8839 section 5.1).

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// RTP and RTCP share one component (rtcp-mux).
const COMPONENT: u32 = 1;
/// What stands for a related address that is not told (RFC 8839 section 5.1).
const HIDDEN_PORT: u16 = 9;
/// Bits of the local preference of a TCP candidate below its direction (RFC 6544 section 4.2).
const OTHER_BITS: u16 = 13;
/// The highest preference among TCP candidates of one kind and direction.
const MAX_OTHER: u16 = (1 << OTHER_BITS) - 1;

/// What carries datagrams to and from a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP; also what a relay speaks with the viewer.
    Udp,
    /// Connections that viewers open to this device (RFC 6544 `passive`), each datagram in a frame (RFC 4571).
    Tcp,
}

impl Protocol {
    /// The word in the candidate line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// What is put behind the kind of a candidate in words, as in "host (tcp)": UDP goes without saying.
    pub fn remark(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => " (tcp)",
        }
    }
}

/// Both ends of a way that datagrams take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// What carries them.
    pub protocol: Protocol,
    /// The base of one of this device's candidates (RFC 8445 section 5.1.1.2): that of a socket, or of an allocation.
    pub local: SocketAddr,
    /// The viewer's end, or what a NAT or relay shows of it.
    pub remote: SocketAddr,
}

impl Path {
    /// Over UDP.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, local, remote }
    }
}

/// How a candidate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of this device.
    Host,
    /// The address that a STUN server sees.
    ServerReflexive,
    /// An address on a TURN server.
    Relayed,
}

impl CandidateKind {
    /// The word in the candidate line, also the label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::Relayed => "relay",
        }
    }

    /// Type preference, recommended by RFC 8445 section 5.1.2.2. Those of TCP are lower than all of UDP but relays (RFC
    /// 6544 section 4.2 leaves the measure to us): a lost segment holds up all that come after it.
    fn preference(self, protocol: Protocol) -> u32 {
        match (self, protocol) {
            (Self::Host, Protocol::Udp) => 126,
            (Self::ServerReflexive, Protocol::Udp) => 100,
            (Self::Host, Protocol::Tcp) => 90,
            (Self::ServerReflexive, Protocol::Tcp) => 80,
            (Self::Relayed, _) => 0,
        }
    }

    /// Direction preference of a passive TCP candidate (RFC 6544 section 4.2).
    fn direction(self) -> u16 {
        match self {
            Self::Host | Self::Relayed => 4,
            Self::ServerReflexive => 2,
        }
    }
}

/// An address at which a viewer may reach a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCandidate {
    /// How it was found.
    pub kind: CandidateKind,
    /// What its datagrams travel in.
    pub protocol: Protocol,
    /// What viewers send to.
    pub address: SocketAddr,
    /// The local address of its datagrams, as [`send`](super::Endpoint::send) takes it: that of the socket,
    /// or for a relayed candidate its own address (RFC 8445 section 5.1.1.2).
    pub base: SocketAddr,
    /// The address behind it; `None` for a host candidate and where it must stay hidden.
    pub related: Option<SocketAddr>,
    /// The server that it was found with.
    pub server: Option<String>,
    /// Order among candidates of one kind, higher is better (RFC 8445 section 5.1.2.1).
    pub local_preference: u16,
}

impl LocalCandidate {
    /// One that viewers connect to over TCP. `preference`: that of the UDP candidate with the same base.
    pub fn passive(kind: CandidateKind, address: SocketAddr, base: SocketAddr, preference: u16) -> Self {
        let other = preference.saturating_sub(u16::MAX - MAX_OTHER);
        let local_preference = (kind.direction() << OTHER_BITS) + other;
        Self { kind, protocol: Protocol::Tcp, address, base, related: None, server: None, local_preference }
    }

    /// Whether the ICE agent pairs it. Not an IPv4 address seen through a NAT64: viewers' packets come to its IPv6 base,
    /// and that base's own candidate makes the pairs with their twins. Nor one of TCP but the listener's own: what comes
    /// over TCP comes to that, whatever address the viewer knows it by. Nor an own address that is told as a server saw it
    /// because its host candidate hides it.
    pub fn is_for_checks(&self) -> bool {
        self.address.is_ipv4() == self.base.is_ipv4()
            && (self.kind != CandidateKind::ServerReflexive || self.address != self.base)
            && (self.protocol == Protocol::Udp || self.kind == CandidateKind::Host)
    }

    /// Priority after RFC 8445 section 5.1.2.1.
    pub fn priority(&self) -> u32 {
        (self.kind.preference(self.protocol) << 24)
            + (u32::from(self.local_preference) << 8)
            + (256 - COMPONENT)
    }

    /// The same for candidates of the same kind, base address, protocol and server (RFC 8445 section 5.1.1.3).
    pub fn foundation(&self) -> u32 {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{} {} {}", self.kind.as_str(), self.base.ip(), self.protocol.as_str());
        if let Some(server) = &self.server {
            let _ = write!(text, " {server}");
        }
        fnv1a(text.as_bytes())
    }

    /// The `candidate:` attribute, without `a=`, with the generation and ufrag that browsers write too.
    pub fn to_line(&self, ufrag: &str) -> String {
        let mut line = format!(
            "candidate:{} {COMPONENT} {} {} {} {} typ {}",
            self.foundation(),
            self.protocol.as_str(),
            self.priority(),
            self.address.ip(),
            self.address.port(),
            self.kind.as_str()
        );
        if self.kind != CandidateKind::Host {
            let related = self.related.unwrap_or_else(|| hidden(self.address));
            // Writing to a String cannot fail.
            let _ = write!(line, " raddr {} rport {}", related.ip(), related.port());
        }
        if self.protocol == Protocol::Tcp {
            line.push_str(" tcptype passive");
        }
        let _ = write!(line, " generation 0 ufrag {ufrag}");
        line
    }
}

fn hidden(address: SocketAddr) -> SocketAddr {
    let ip = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, HIDDEN_PORT)
}

/// FNV-1a, 32 bits: spreads well over the ten digits that a foundation may have.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn candidate(kind: CandidateKind, address: &str, related: Option<&str>) -> LocalCandidate {
        LocalCandidate {
            kind,
            protocol: Protocol::Udp,
            address: address.parse().unwrap(),
            base: "192.168.0.7:5000".parse().unwrap(),
            related: related.map(|r| r.parse().unwrap()),
            server: None,
            local_preference: 65535,
        }
    }

    #[test]
    fn a_host_line_reads_as_the_browsers_write_it() {
        let host = candidate(CandidateKind::Host, "192.168.0.7:5000", None);
        assert_eq!(
            host.to_line("gX6M"),
            format!(
                "candidate:{} 1 udp 2130706431 192.168.0.7 5000 typ host generation 0 ufrag gX6M",
                host.foundation()
            )
        );
    }

    #[test]
    fn kinds_are_preferred_in_the_order_host_reflexive_relayed() {
        let at = |kind| candidate(kind, "203.0.113.9:5000", Some("192.168.0.7:5000")).priority();
        assert!(at(CandidateKind::Host) > at(CandidateKind::ServerReflexive));
        assert!(at(CandidateKind::ServerReflexive) > at(CandidateKind::Relayed));
    }

    #[test]
    fn a_reflexive_line_names_its_base() {
        let line = candidate(CandidateKind::ServerReflexive, "203.0.113.9:6000", Some("192.168.0.7:5000"))
            .to_line("abcd");
        assert!(
            line.contains("203.0.113.9 6000 typ srflx raddr 192.168.0.7 rport 5000 generation"),
            "{line}"
        );
    }

    #[test]
    fn a_hidden_related_address_is_written_as_unspecified() {
        let line = candidate(CandidateKind::Relayed, "203.0.113.9:6000", None).to_line("abcd");
        assert!(line.contains("typ relay raddr 0.0.0.0 rport 9 "), "{line}");
        let line = candidate(CandidateKind::Relayed, "[2001:db8::1]:6000", None).to_line("abcd");
        assert!(line.contains("typ relay raddr :: rport 9 "), "{line}");
    }

    #[test]
    fn the_lines_are_read_by_the_ice_stack() {
        for kind in [CandidateKind::Host, CandidateKind::ServerReflexive, CandidateKind::Relayed] {
            let ours = candidate(kind, "[2001:db8::1]:5000", Some("[fd00::1]:6000"));
            let line = ours.to_line("abcd");
            let read =
                rtc::ice::candidate::unmarshal_candidate(line.strip_prefix("candidate:").unwrap()).unwrap();
            assert_eq!((read.addr(), read.priority()), (ours.address, ours.priority()));
            assert_eq!(read.candidate_type().to_string(), kind.as_str());
        }
    }

    #[test]
    fn foundations_differ_by_kind_base_and_server() {
        let host = candidate(CandidateKind::Host, "192.168.0.7:5000", None);
        let reflexive = candidate(CandidateKind::ServerReflexive, "203.0.113.9:6000", None);
        let mut other_server = reflexive.clone();
        other_server.server = Some("stun:b.example:3478".into());
        let mut other_base = reflexive.clone();
        other_base.base = "192.168.1.7:5000".parse().unwrap();
        let all = [&host, &reflexive, &other_server, &other_base].map(LocalCandidate::foundation);
        for (n, foundation) in all.iter().enumerate() {
            assert!(!all[..n].contains(foundation), "{all:?}");
        }
        let mut other_port = reflexive.clone();
        other_port.base.set_port(9);
        assert_eq!(other_port.foundation(), reflexive.foundation());
    }
}
