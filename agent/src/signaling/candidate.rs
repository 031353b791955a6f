//! One ICE candidate line (RFC 8839 section 5.1) taken apart. Pure; fuzzed as `candidate`.
//!
//! Does not decide what a candidate is good for: unknown transports, types and attributes are kept as they are.

use std::{fmt, net::IpAddr};

use super::message::quote;

/// Longest candidate line in bytes; real ones have about 150.
pub const MAX_LINE: usize = 2048;

/// A candidate, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateLine {
    /// Equal for candidates of one type, base and server; 1 to 32 characters by the RFC, more are taken.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// What carries the packets.
    pub transport: Transport,
    /// Higher is better.
    pub priority: u32,
    /// Where the peer is.
    pub address: Address,
    /// Port at `address`; 9 (discard) for an active TCP candidate.
    pub port: u16,
    /// How the address was found.
    pub typ: CandidateType,
    /// `raddr` and `rport`: what lies behind a mapped or relayed address.
    pub related: Option<(Address, u16)>,
    /// `tcptype` (RFC 6544): `active`, `passive` or `so`.
    pub tcp_type: Option<String>,
    /// `ufrag`: the ICE generation that the candidate belongs to.
    pub ufrag: Option<String>,
    /// All other attributes, in order: `generation`, `network-id`, `network-cost`, ...
    pub extensions: Vec<(String, String)>,
}

/// Transport of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
    /// Something that no RFC knows, as `ssltcp`, in lower case.
    Other(String),
}

/// Type of a candidate (RFC 8445 section 5.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateType {
    /// An address of the machine itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the peer saw.
    PeerReflexive,
    /// An address on a TURN server.
    Relay,
    /// Something that no RFC knows.
    Other(String),
}

/// An address in a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A name: `UUID.local` for mDNS (what browsers hide host addresses behind), or a host name.
    Name(String),
}

impl Address {
    /// True for a name to be asked for by multicast DNS (RFC 6762).
    pub fn is_mdns(&self) -> bool {
        matches!(self, Self::Name(name) if name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local"))
    }
}

/// Why a text is no candidate: names the part, its value and what belongs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CandidateProblem(String);

/// Reads `candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE ...`; `a=` may stand before it.
pub fn parse(text: &str) -> Result<CandidateLine, CandidateProblem> {
    let text = text.trim();
    if text.len() > MAX_LINE {
        return Err(CandidateProblem(format!("has {} bytes; the limit is {MAX_LINE}", text.len())));
    }
    if text.contains(char::is_control) {
        return Err(CandidateProblem(format!("has a control character: {}; send one line", quote(text))));
    }
    let text = text.strip_prefix("a=").unwrap_or(text);
    let Some(rest) = text.strip_prefix("candidate:") else {
        return Err(CandidateProblem(format!("is {}; it begins with `candidate:`", quote(text))));
    };
    let mut words = rest.split_ascii_whitespace();
    let foundation = next(&mut words, "foundation")?.to_owned();
    let component = number(&mut words, "component", "1 (RTP) or 2 (RTCP)")?;
    let transport = match next(&mut words, "transport")?.to_ascii_lowercase() {
        t if t == "udp" => Transport::Udp,
        t if t == "tcp" => Transport::Tcp,
        t => Transport::Other(t),
    };
    let priority = number(&mut words, "priority", "a number below 2^32")?;
    let address = address(next(&mut words, "address")?)?;
    let port = number(&mut words, "port", "a number up to 65535")?;
    let typ_word = next(&mut words, "typ")?;
    if typ_word != "typ" {
        return Err(CandidateProblem(format!("has {} where the word `typ` belongs", quote(typ_word))));
    }
    let typ = match next(&mut words, "type")? {
        "host" => CandidateType::Host,
        "srflx" => CandidateType::ServerReflexive,
        "prflx" => CandidateType::PeerReflexive,
        "relay" => CandidateType::Relay,
        other => CandidateType::Other(other.to_owned()),
    };
    let mut line = CandidateLine {
        foundation,
        component,
        transport,
        priority,
        address,
        port,
        typ,
        related: None,
        tcp_type: None,
        ufrag: None,
        extensions: Vec::new(),
    };
    line.take_attributes(words)?;
    Ok(line)
}

impl CandidateLine {
    /// Pairs of name and value; a last name without its value is let go.
    fn take_attributes<'a>(
        &mut self,
        mut words: impl Iterator<Item = &'a str>,
    ) -> Result<(), CandidateProblem> {
        let (mut related_address, mut related_port) = (None, None);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "raddr" => related_address = Some(address(value)?),
                "rport" => related_port = Some(parsed(value, "rport", "a number up to 65535")?),
                "tcptype" => self.tcp_type = Some(value.to_owned()),
                "ufrag" => self.ufrag = Some(value.to_owned()),
                _ => self.extensions.push((name.to_owned(), value.to_owned())),
            }
        }
        self.related = related_address.map(|address| (address, related_port.unwrap_or(0)));
        Ok(())
    }
}

fn next<'a>(words: &mut impl Iterator<Item = &'a str>, part: &str) -> Result<&'a str, CandidateProblem> {
    words.next().ok_or_else(|| CandidateProblem(format!("ends before its {part}")))
}

fn number<'a, N: std::str::FromStr>(
    words: &mut impl Iterator<Item = &'a str>,
    part: &str,
    wanted: &str,
) -> Result<N, CandidateProblem> {
    parsed(next(words, part)?, part, wanted)
}

fn parsed<N: std::str::FromStr>(word: &str, part: &str, wanted: &str) -> Result<N, CandidateProblem> {
    word.parse().map_err(|_| CandidateProblem(format!("has the {part} {}; it is {wanted}", quote(word))))
}

fn address(word: &str) -> Result<Address, CandidateProblem> {
    // A zone id ("%eth0") means something to its sender alone.
    let bare = word.split_once('%').map_or(word, |(address, _)| address);
    if let Ok(ip) = bare.parse() {
        return Ok(Address::Ip(ip));
    }
    let name = (1..=253).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if name {
        return Ok(Address::Name(word.to_owned()));
    }
    Err(CandidateProblem(format!("has the address {}; it is an IP address or a `.local` name", quote(word))))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPTURED: &str = "candidate:3442447574 1 udp 2122260223 192.168.0.170 54653 typ host generation 0 ufrag gX6M network-id 1";

    #[test]
    fn the_captured_candidate_is_read() {
        let c = parse(CAPTURED).unwrap();
        assert_eq!(c.foundation, "3442447574");
        assert_eq!((c.component, c.transport, c.priority), (1, Transport::Udp, 2_122_260_223));
        assert_eq!((c.address.to_string().as_str(), c.port), ("192.168.0.170", 54653));
        assert_eq!(c.typ, CandidateType::Host);
        assert_eq!(c.ufrag.as_deref(), Some("gX6M"));
        let extension = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(c.extensions, [extension("generation", "0"), extension("network-id", "1")]);
    }

    #[test]
    fn related_address_and_tcp_type_are_read() {
        let c = parse(
            "a=candidate:1 1 TCP 1518280447 2001:db8::1 9 typ srflx raddr 10.0.0.2 rport 4001 tcptype active",
        )
        .unwrap();
        assert_eq!(c.transport, Transport::Tcp);
        assert_eq!(c.typ, CandidateType::ServerReflexive);
        assert_eq!(c.related, Some((Address::Ip("10.0.0.2".parse().unwrap()), 4001)));
        assert_eq!(c.tcp_type.as_deref(), Some("active"));
    }

    #[test]
    fn a_browsers_hidden_address_is_a_name() {
        let c =
            parse("candidate:1 1 udp 1 0f5e8e0a-6ad3-4b4c-8f1c-2c8a4a5e7a11.local 5000 typ host").unwrap();
        assert!(c.address.is_mdns());
    }

    #[test]
    fn unknown_transports_and_types_are_kept() {
        let c = parse("candidate:1 1 ssltcp 1 192.0.2.1 443 typ magic").unwrap();
        assert_eq!(c.transport, Transport::Other("ssltcp".into()));
        assert_eq!(c.typ, CandidateType::Other("magic".into()));
    }

    #[test]
    fn each_wrong_part_is_named() {
        for (text, part) in [
            ("hello", "begins with `candidate:`"),
            ("candidate:1", "before its component"),
            ("candidate:1 x udp 1 192.0.2.1 1 typ host", "component"),
            ("candidate:1 1 udp 5000000000 192.0.2.1 1 typ host", "priority"),
            ("candidate:1 1 udp 1 192.0.2.1;rm 1 typ host", "address"),
            ("candidate:1 1 udp 1 192.0.2.1 65536 typ host", "port"),
            ("candidate:1 1 udp 1 192.0.2.1 1 type host", "`typ`"),
            ("candidate:1 1 udp 1 192.0.2.1 1 typ", "before its type"),
            ("candidate:1 1 udp 1 192.0.2.1 1 typ host raddr 10.0.0.1 rport x", "rport"),
            ("candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=evil:1", "control character"),
        ] {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn no_tail_makes_it_panic(tail in "[ a-z0-9:.%-]{0,200}") {
            let _ = parse(&format!("candidate:{tail}"));
        }
    }
}
