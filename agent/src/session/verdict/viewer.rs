//! What a viewer's candidates say of its network.

use std::net::SocketAddr;

use crate::signaling::candidate::{self, Address, CandidateType};

/// Reflexive candidates compared with each other; browsers give one or two for each of their networks.
const MAX_REFLEXIVE: usize = 16;

/// The viewer's candidates, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ViewerCandidates {
    /// Addresses of its own that it tells.
    pub host: u32,
    /// Addresses of its own behind a name of mDNS.
    pub hidden: u32,
    /// What a STUN server saw.
    pub reflexive: u32,
    /// On a TURN server.
    pub relayed: u32,
    /// Reflexive addresses with their bases.
    seen: Vec<(SocketAddr, SocketAddr)>,
}

impl ViewerCandidates {
    /// Takes one; what is none is passed over.
    pub fn note(&mut self, line: &str) {
        let Ok(line) = candidate::parse(line) else { return };
        let count = match line.typ {
            CandidateType::Host if line.address.is_mdns() => &mut self.hidden,
            CandidateType::Host => &mut self.host,
            CandidateType::ServerReflexive | CandidateType::PeerReflexive => &mut self.reflexive,
            CandidateType::Relay => &mut self.relayed,
            CandidateType::Other(_) => return,
        };
        *count = count.saturating_add(1);
        // Browsers that hide their bases write 0.0.0.0 and port 0 or 9: such cannot be compared.
        if let (CandidateType::ServerReflexive, Address::Ip(ip)) = (line.typ, line.address)
            && let Some((Address::Ip(base), base_port)) = line.related
            && !base.is_unspecified()
            && self.seen.len() < MAX_REFLEXIVE
        {
            self.seen.push((SocketAddr::new(base, base_port), SocketAddr::new(ip, line.port)));
        }
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        [self.host, self.hidden, self.reflexive, self.relayed].into_iter().fold(0, u32::saturating_add)
    }

    /// Whether two servers saw one base at different addresses; `None`: only one told.
    pub fn is_symmetric(&self) -> Option<bool> {
        different(&self.seen)
    }
}

/// Whether any base was seen at different addresses; `None`: none was seen twice.
pub(super) fn different(seen: &[(SocketAddr, SocketAddr)]) -> Option<bool> {
    let mut told = None;
    for (n, (base, mapped)) in seen.iter().enumerate() {
        for (other_base, other) in &seen[..n] {
            if base == other_base {
                told = Some(told.unwrap_or(false) || mapped != other);
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&str]) -> ViewerCandidates {
        let mut all = ViewerCandidates::default();
        lines.iter().for_each(|line| all.note(line));
        all
    }

    #[test]
    fn candidates_are_counted_by_kind_and_nonsense_is_not() {
        let all = with(&[
            "candidate:1 1 udp 1 0f3a.local 5000 typ host",
            "candidate:1 1 udp 1 192.168.1.7 5000 typ host",
            "candidate:2 1 udp 1 203.0.113.9 6000 typ srflx raddr 0.0.0.0 rport 0",
            "candidate:3 1 udp 1 198.51.100.9 7000 typ relay raddr 0.0.0.0 rport 0",
            "no candidate",
        ]);
        assert_eq!((all.hidden, all.host, all.reflexive, all.relayed, all.total()), (1, 1, 1, 1, 4));
        assert_eq!(all.is_symmetric(), None);
    }

    #[test]
    fn a_base_that_servers_see_at_different_ports_is_behind_a_symmetric_nat() {
        let first = "candidate:2 1 udp 1 203.0.113.9 6000 typ srflx raddr 10.0.0.2 rport 5000";
        let same = "candidate:4 1 udp 1 203.0.113.9 6000 typ srflx raddr 10.0.0.2 rport 5000";
        let other = "candidate:3 1 udp 1 203.0.113.9 6001 typ srflx raddr 10.0.0.2 rport 5000";
        let other_base = "candidate:3 1 udp 1 203.0.113.9 6001 typ srflx raddr 10.0.0.2 rport 5001";
        assert_eq!(with(&[first, other]).is_symmetric(), Some(true));
        assert_eq!(with(&[first, same]).is_symmetric(), Some(false));
        assert_eq!(with(&[first, other_base]).is_symmetric(), None);
        let hidden = "candidate:2 1 udp 1 203.0.113.9 6000 typ srflx raddr 0.0.0.0 rport 0";
        assert_eq!(with(&[hidden, &hidden.replace("6000", "6001")]).is_symmetric(), None);
    }
}
