//! Who may have how many connections, and which one goes where there are too many. Pure.
//!
//! A connection is anybody's until its first check names a session: then it is that session's for ever. It counts as
//! proven once the session has answered on it, which it does only to who knows its password. What is not proven never
//! pushes out what is.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use crate::transport::{Path, demux::EndpointId};

/// Connections in all: those of 64 sessions whose viewers each have two interfaces and two spare ones.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Connections that have named no session yet. A viewer needs a round trip for it.
pub(super) const MAX_UNNAMED: usize = 64;
/// Of these, those from one source: a viewer opens one for each pair of addresses at about the same time.
pub(super) const MAX_UNNAMED_PER_SOURCE: usize = 16;
/// Connections from one source: several viewers may be behind one NAT.
pub(super) const MAX_PER_SOURCE: usize = 64;
/// Connections of one session.
pub(super) const MAX_PER_SESSION: usize = 8;
/// A proven connection that was silent for this long makes room for a new one: viewers check what they use every 5 s
/// (RFC 7675), and speak on it far more often.
pub(super) const HOLD: Duration = Duration::from_secs(8);

/// Why a connection is not, or no longer, served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are too many: in all, from this source, or of this session.
    Limit,
    /// It named no session in time, or its check was never answered, or nothing came for long.
    Silent,
    /// What came first was no check that names a session.
    Stranger,
    /// What came is no sequence of frames.
    Framing,
    /// It named another session later.
    Foreign,
}

impl Refusal {
    /// The label of the metric.
    pub(in crate::transport) fn label(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Silent => "silent",
            Self::Stranger => "stranger",
            Self::Framing => "framing",
            Self::Foreign => "foreign",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    owner: Option<EndpointId>,
    proven: bool,
    /// When it was opened, named its session, or last heard.
    since: Instant,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: HashMap<Path, Entry>,
}

impl Book {
    /// A new connection. Gives one that has to go for it, if any.
    pub fn enter(&mut self, now: Instant, path: Path) -> Result<Option<Path>, Refusal> {
        let here = source(path);
        let same = self.count(|other, _| source(other) == here);
        let unnamed = self.count(|_, entry| entry.owner.is_none());
        let unnamed_here = self.count(|other, entry| entry.owner.is_none() && source(other) == here);
        // The oldest of those that named nobody goes first: a viewer is never that long among them.
        let displaced =
            if unnamed_here >= MAX_UNNAMED_PER_SOURCE || (same >= MAX_PER_SOURCE && unnamed_here > 0) {
                self.oldest(|other, entry| entry.owner.is_none() && source(other) == here)
            } else if same >= MAX_PER_SOURCE {
                return Err(Refusal::Limit);
            } else if unnamed >= MAX_UNNAMED || (self.entries.len() >= MAX_CONNECTIONS && unnamed > 0) {
                self.oldest(|_, entry| entry.owner.is_none())
            } else if self.entries.len() >= MAX_CONNECTIONS {
                return Err(Refusal::Limit);
            } else {
                None
            };
        if let Some(path) = displaced {
            self.entries.remove(&path);
        }
        self.entries.insert(path, Entry { owner: None, proven: false, since: now });
        Ok(displaced)
    }

    /// A connection's first check names `owner`. Gives one of the same session that has to go for it, if any.
    pub fn name(&mut self, now: Instant, path: Path, owner: EndpointId) -> Result<Option<Path>, Refusal> {
        let of_owner = |_, entry: &Entry| entry.owner == Some(owner);
        let displaced = if self.count(of_owner) < MAX_PER_SESSION {
            None
        } else {
            let unproven = self.oldest(|p, entry| of_owner(p, entry) && !entry.proven);
            let silent = || {
                self.oldest(|p, entry| {
                    of_owner(p, entry) && now.saturating_duration_since(entry.since) >= HOLD
                })
            };
            Some(unproven.or_else(silent).ok_or(Refusal::Limit)?)
        };
        let entry = self.entries.get_mut(&path).ok_or(Refusal::Limit)?;
        (entry.owner, entry.since) = (Some(owner), now);
        if let Some(path) = displaced {
            self.entries.remove(&path);
        }
        Ok(displaced)
    }

    /// A frame came.
    pub fn heard(&mut self, now: Instant, path: Path) {
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.since = now;
        }
    }

    /// Whether `owner` has this connection; it sends on it, so it is proven from now on.
    pub fn answers(&mut self, path: Path, owner: EndpointId) -> bool {
        match self.entries.get_mut(&path) {
            Some(entry) if entry.owner == Some(owner) => {
                entry.proven = true;
                true
            }
            _ => false,
        }
    }

    /// Whether its session has answered on it.
    pub fn is_proven(&self, path: Path) -> bool {
        self.entries.get(&path).is_some_and(|entry| entry.proven)
    }

    /// It is closed.
    pub fn leave(&mut self, path: Path) {
        self.entries.remove(&path);
    }

    /// The connections of one session.
    pub fn of(&self, owner: EndpointId) -> Vec<Path> {
        let all = self.entries.iter().filter(|(_, entry)| entry.owner == Some(owner));
        all.map(|(path, _)| *path).collect()
    }

    fn count(&self, which: impl Fn(Path, &Entry) -> bool) -> usize {
        self.entries.iter().filter(|(path, entry)| which(**path, entry)).count()
    }

    fn oldest(&self, which: impl Fn(Path, &Entry) -> bool) -> Option<Path> {
        let all = self.entries.iter().filter(|(path, entry)| which(**path, entry));
        all.min_by_key(|(_, entry)| entry.since).map(|(path, _)| *path)
    }
}

/// Who counts as one source: an IPv4 address, or an IPv6 prefix of 64 bits, of which a host may use all addresses.
fn source(path: Path) -> IpAddr {
    match path.remote.ip().to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
