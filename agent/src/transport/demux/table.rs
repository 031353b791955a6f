//! The table that maps a remote address to a session, and the rules by which sessions get addresses.
//!
//! - A STUN binding request always goes to the session whose ufrag it names, whatever the table says.
//! - By it that session also gets the address (local, remote), so that the DTLS and RTP that follow find it.
//! - A session that sends a check expects the answer from there: it gets the address if it is free, and loses it to
//!   the first session that is named in a request from there.
//! - An address that a request gave to one session goes to another only after [`HOLD`] without such a request: a
//!   viewer renews its claim with every consent check (RFC 7675), so nobody takes over its packets by a forged source.
//! - A session has at most [`MAX_REMOTES`]; a new one displaces its own oldest, never another session's.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::Packet;
use crate::transport::Path;

/// Addresses of one session: candidate pairs of a viewer with many interfaces, with room for NATs that change ports.
pub const MAX_REMOTES: usize = 64;
/// Addresses of all sessions: 64 sessions that all use their whole share.
pub const MAX_REMOTES_TOTAL: usize = 4096;
/// Longer than the longest time between two consent checks: 5 s, randomised by 20 % (RFC 7675 section 5.1).
pub const HOLD: Duration = Duration::from_secs(8);

/// Names one endpoint within a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

#[derive(Clone, Copy, Debug)]
struct Owner {
    endpoint: EndpointId,
    /// When the owner was last named by a request from there, or, if never, got it by sending.
    since: Instant,
    named: bool,
    /// The endpoint has answered a check from there: it was signed with its password.
    proven: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Table {
    ufrags: HashMap<String, EndpointId>,
    owners: HashMap<Path, Owner>,
    paths: HashMap<EndpointId, HashSet<Path>>,
}

impl Table {
    /// Makes `endpoint` known; checks that name `ufrag` are for it. A later ufrag of the same endpoint, that of an ICE
    /// restart, takes the place of the one before; its addresses stay. `false`, and nothing done, if the ufrag is taken.
    pub fn open(&mut self, endpoint: EndpointId, ufrag: &str) -> bool {
        if self.ufrags.contains_key(ufrag) {
            return false;
        }
        self.ufrags.retain(|_, owner| *owner != endpoint);
        self.ufrags.insert(ufrag.to_owned(), endpoint);
        self.paths.entry(endpoint).or_default();
        true
    }

    /// Forgets all of `endpoint`.
    pub fn close(&mut self, endpoint: EndpointId) {
        self.ufrags.retain(|_, owner| *owner != endpoint);
        for path in self.paths.remove(&endpoint).unwrap_or_default() {
            self.owners.remove(&path);
        }
    }

    /// `endpoint` sends a check by `path` and expects its answer. Does nothing if another has it.
    pub fn expect(&mut self, now: Instant, path: Path, endpoint: EndpointId) {
        if !self.owners.contains_key(&path) {
            self.assign(path, Owner { endpoint, since: now, named: false, proven: false });
        }
    }

    /// The endpoint that a check with this ufrag is for.
    pub fn named(&self, ufrag: &str) -> Option<EndpointId> {
        self.ufrags.get(ufrag).copied()
    }

    /// The endpoint that `packet`, which came by `path`, is for. `None`: nobody's, to be dropped without an answer.
    pub fn route(&mut self, now: Instant, path: Path, packet: &Packet<'_>) -> Option<EndpointId> {
        match packet {
            Packet::StunRequest { ufrag, .. } => {
                let endpoint = *self.ufrags.get((*ufrag)?)?;
                if self.may_take(now, &path, endpoint) {
                    let proven = self.owners.get(&path).is_some_and(|o| o.endpoint == endpoint && o.proven);
                    self.assign(path, Owner { endpoint, since: now, named: true, proven });
                }
                Some(endpoint)
            }
            Packet::StunResponse { .. } | Packet::StunOther | Packet::Dtls | Packet::Media => {
                self.owners.get(&path).map(|owner| owner.endpoint)
            }
            Packet::Unknown => None,
        }
    }

    /// `endpoint` has found that a check by `path` was signed with its password: whoever only knows its ufrag takes
    /// nothing away from there.
    pub fn prove(&mut self, path: Path, endpoint: EndpointId) {
        if let Some(owner) = self.owners.get_mut(&path).filter(|owner| owner.endpoint == endpoint) {
            owner.proven = true;
        }
    }

    /// Whether the address is an endpoint's, and proven to be.
    pub fn is_proven(&self, path: Path) -> bool {
        self.owners.get(&path).is_some_and(|owner| owner.proven)
    }

    /// Addresses known, over all endpoints.
    pub fn remotes(&self) -> usize {
        self.owners.len()
    }

    fn may_take(&self, now: Instant, path: &Path, endpoint: EndpointId) -> bool {
        self.owners.get(path).is_none_or(|owner| {
            owner.endpoint == endpoint || !owner.named || now.saturating_duration_since(owner.since) >= HOLD
        })
    }

    fn assign(&mut self, path: Path, owner: Owner) {
        if !self.paths.contains_key(&owner.endpoint) {
            return;
        }
        let is_new = self.owners.get(&path).is_none_or(|old| old.endpoint != owner.endpoint);
        if is_new {
            let mine = self.paths[&owner.endpoint].len();
            let total_grows = !self.owners.contains_key(&path);
            let full = mine >= MAX_REMOTES || (total_grows && self.owners.len() >= MAX_REMOTES_TOTAL);
            if full && !self.displace_oldest(owner.endpoint) {
                return;
            }
        }
        if let Some(old) = self.owners.insert(path, owner)
            && old.endpoint != owner.endpoint
            && let Some(paths) = self.paths.get_mut(&old.endpoint)
        {
            paths.remove(&path);
        }
        if let Some(paths) = self.paths.get_mut(&owner.endpoint) {
            paths.insert(path);
        }
    }

    /// Frees one address of `endpoint`: one that it only sends to before one where it was named, that before one that is
    /// proven; the oldest first.
    fn displace_oldest(&mut self, endpoint: EndpointId) -> bool {
        let Some(paths) = self.paths.get_mut(&endpoint) else { return false };
        let oldest = paths
            .iter()
            .filter_map(|path| self.owners.get(path).map(|o| ((o.proven, o.named, o.since), *path)))
            .min_by_key(|(order, _)| *order);
        let Some((_, path)) = oldest else { return false };
        paths.remove(&path);
        self.owners.remove(&path);
        true
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
