//! The candidates that a session was told, and what a new finding changes in them: pure.

use std::net::{IpAddr, SocketAddr};

use crate::transport::candidate::{CandidateKind, LocalCandidate, Protocol};

/// What the session is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An address at which it can be reached.
    New(LocalCandidate),
    /// One at which it cannot be reached any more.
    Gone(LocalCandidate),
}

/// See the module's documentation. Holds no more than sockets times servers, both bounded.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Host candidates are told under names: a reflexive one with the same address says something new.
    hide: bool,
    candidates: Vec<LocalCandidate>,
    views: Vec<View>,
}

/// What a server saw last of a base; a router may give UDP and TCP other ports.
#[derive(Debug, PartialEq, Eq)]
struct View {
    protocol: Protocol,
    base: SocketAddr,
    server: Option<String>,
    mapped: SocketAddr,
}

impl Known {
    /// None so far. `hide`: whether host candidates are told under names.
    pub fn new(hide: bool) -> Self {
        Self { hide, ..Self::default() }
    }

    /// The sockets are now those of `open`, and of them `offered`, with their preferences, are to be told.
    pub fn sockets(&mut self, open: &[SocketAddr], offered: &[(SocketAddr, u16)]) -> Vec<Change> {
        let is_open = |ip: IpAddr| open.iter().any(|local| local.ip() == ip);
        let (stay, gone) =
            std::mem::take(&mut self.candidates).into_iter().partition(|known: &LocalCandidate| {
                known.kind == CandidateKind::Relayed || is_open(known.base.ip())
            });
        self.candidates = stay;
        self.views.retain(|view| is_open(view.base.ip()));
        let mut changes: Vec<_> = gone.into_iter().map(Change::Gone).collect();
        for &(local, local_preference) in offered {
            changes.extend(self.found(LocalCandidate {
                kind: CandidateKind::Host,
                protocol: Protocol::Udp,
                address: local,
                base: local,
                related: None,
                server: None,
                local_preference,
            }));
        }
        changes
    }

    /// A candidate was found. One that a host has itself, or that another server saw too, changes nothing; one that
    /// takes the place of what the same server saw before voids that.
    pub fn found(&mut self, candidate: LocalCandidate) -> Vec<Change> {
        let before = match candidate.kind {
            CandidateKind::ServerReflexive => self.seen(&candidate),
            _ => None,
        };
        let mut changes = Vec::new();
        let same = |known: &LocalCandidate| {
            (known.address, known.base, known.protocol)
                == (candidate.address, candidate.base, candidate.protocol)
                && !(self.hide && known.kind == CandidateKind::Host && candidate.kind != known.kind)
        };
        if !self.candidates.iter().any(same) {
            self.candidates.push(candidate.clone());
            changes.push(Change::New(candidate.clone()));
        }
        if let Some(before) = before {
            // What other servers saw earlier is void too: if it still holds, they say so again.
            self.views.retain(|view| {
                (view.protocol, view.base, view.mapped) != (candidate.protocol, candidate.base, before)
            });
            let is_void = |known: &mut LocalCandidate| {
                known.kind == CandidateKind::ServerReflexive
                    && (known.protocol, known.base, known.address)
                        == (candidate.protocol, candidate.base, before)
            };
            changes.extend(self.candidates.extract_if(.., is_void).map(Change::Gone));
        }
        changes
    }

    /// It cannot be reached there any more.
    pub fn lost(&mut self, candidate: &LocalCandidate) -> Vec<Change> {
        let is_it = |known: &mut LocalCandidate| {
            (known.protocol, known.base, known.address, &known.server)
                == (candidate.protocol, candidate.base, candidate.address, &candidate.server)
        };
        self.candidates.extract_if(.., is_it).map(Change::Gone).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Notes what a server sees; returns what it saw before, if that is another address of the same IP version.
    fn seen(&mut self, candidate: &LocalCandidate) -> Option<SocketAddr> {
        let (base, mapped) = (candidate.base, candidate.address);
        // A server that is reached by both IP versions from one base, over NAT64, has a view in each.
        let old = self.views.iter_mut().find(|view| {
            (view.protocol, view.base) == (candidate.protocol, base)
                && view.server == candidate.server
                && view.mapped.is_ipv4() == mapped.is_ipv4()
        });
        if let Some(view) = old {
            let before = std::mem::replace(&mut view.mapped, mapped);
            return (before != mapped).then_some(before);
        }
        let server = candidate.server.clone();
        self.views.push(View { protocol: candidate.protocol, base, server, mapped });
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn reflexive(base: &str, address: &str, server: &str) -> LocalCandidate {
        LocalCandidate {
            kind: CandidateKind::ServerReflexive,
            protocol: Protocol::Udp,
            address: at(address),
            base: at(base),
            related: Some(at(base)),
            server: Some(server.into()),
            local_preference: 7,
        }
    }

    /// The changes in short: `+` or `-`, kind and address.
    fn short(changes: &[Change]) -> Vec<String> {
        let words = |sign: &str, c: &LocalCandidate| format!("{sign}{} {}", c.kind.as_str(), c.address.ip());
        let short = |change: &Change| match change {
            Change::New(candidate) => words("+", candidate),
            Change::Gone(candidate) => words("-", candidate),
        };
        changes.iter().map(short).collect()
    }

    const BASE: &str = "192.168.0.7:5000";

    fn known() -> Known {
        let mut known = Known::default();
        assert_eq!(short(&known.sockets(&[at(BASE)], &[(at(BASE), 9)])), ["+host 192.168.0.7"]);
        known
    }

    #[test]
    fn what_a_host_has_itself_or_two_servers_see_is_told_once() {
        let mut known = known();
        assert_eq!(known.found(reflexive(BASE, BASE, "a")), []);
        assert_eq!(short(&known.found(reflexive(BASE, "203.0.113.1:1", "a"))), ["+srflx 203.0.113.1"]);
        assert_eq!(known.found(reflexive(BASE, "203.0.113.1:1", "b")), []);
        assert_eq!(known.found(reflexive(BASE, "203.0.113.1:1", "a")), []);
        assert_eq!(known.len(), 2);
    }

    #[test]
    fn an_address_that_a_nat_changed_is_told_and_the_old_one_is_gone() {
        let mut known = known();
        for server in ["a", "b"] {
            known.found(reflexive(BASE, "203.0.113.1:1", server));
        }
        let changes = known.found(reflexive(BASE, "203.0.113.2:1", "a"));
        assert_eq!(short(&changes), ["+srflx 203.0.113.2", "-srflx 203.0.113.1"]);
        assert_eq!(known.found(reflexive(BASE, "203.0.113.2:1", "b")), []);
    }

    #[test]
    fn an_old_address_that_another_server_still_sees_is_told_again() {
        let mut known = known();
        for server in ["a", "b"] {
            known.found(reflexive(BASE, "203.0.113.1:1", server));
        }
        known.found(reflexive(BASE, "203.0.113.2:1", "a"));
        assert_eq!(short(&known.found(reflexive(BASE, "203.0.113.1:1", "b"))), ["+srflx 203.0.113.1"]);
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn a_lost_address_takes_along_what_was_seen_of_it() {
        let (mut known, other) = (known(), "10.0.0.1:5000");
        known.found(reflexive(BASE, "203.0.113.1:1", "a"));
        let changes = known.sockets(&[at(other)], &[(at(other), 9)]);
        assert_eq!(short(&changes), ["-host 192.168.0.7", "-srflx 203.0.113.1", "+host 10.0.0.1"]);
        let changes = known.sockets(&[at(other), at(BASE)], &[(at(other), 9), (at(BASE), 8)]);
        assert_eq!(short(&changes), ["+host 192.168.0.7"]);
        assert_eq!(short(&known.found(reflexive(BASE, "203.0.113.1:1", "a"))), ["+srflx 203.0.113.1"]);
    }

    #[test]
    fn an_address_that_is_only_kept_stays_with_those_who_were_told_and_is_told_to_nobody_else() {
        let mut before = known();
        assert_eq!(before.sockets(&[at(BASE)], &[]), []);
        assert_eq!(before.len(), 1);
        assert_eq!(Known::default().sockets(&[at(BASE)], &[]), []);
    }

    #[test]
    fn relayed_addresses_do_not_depend_on_the_ports_sockets() {
        let mut known = known();
        let relayed = LocalCandidate {
            kind: CandidateKind::Relayed,
            base: at("198.51.100.1:9"),
            ..reflexive(BASE, "198.51.100.1:9", "t")
        };
        known.found(relayed);
        assert_eq!(short(&known.sockets(&[], &[])), ["-host 192.168.0.7"]);
    }
}
