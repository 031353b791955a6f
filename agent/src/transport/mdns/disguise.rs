//! How a session's own candidates are told: as they are, or behind names (draft-ietf-mmusic-mdns-ice-candidates-03).

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use super::{HiddenName, Mdns, Published};
use crate::transport::{
    Endpoint,
    candidate::{CandidateKind, LocalCandidate},
};

/// Names of one session: as many as the shared port has addresses.
const MAX_NAMES: usize = 16;

/// See the module. The names end with it.
pub(in super::super) struct Disguise {
    /// `None`: the device's own addresses are not used at all.
    mdns: Option<Mdns>,
    names: Mutex<Vec<(IpAddr, Published)>>,
    /// Makes foundations that say nothing of the addresses that they are made of.
    salt: RandomState,
}

impl Disguise {
    /// Of a session that uses the device's own addresses, or (`None`) does not.
    pub fn new(mdns: Option<Mdns>) -> Self {
        Self { mdns, names: Mutex::default(), salt: RandomState::new() }
    }

    /// The name of an address, the same for the whole session.
    fn name(&self, mdns: &Mdns, address: IpAddr) -> Option<HiddenName> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, published)) = names.iter().find(|(hidden, _)| *hidden == address) {
            return Some(published.name());
        }
        if names.len() >= MAX_NAMES {
            return None;
        }
        let published = mdns.publish(address)?;
        let name = published.name();
        names.push((address, published));
        Some(name)
    }

    fn line(&self, candidate: &LocalCandidate, ufrag: &str) -> Option<String> {
        let Some(mdns) = self.mdns.as_ref().filter(|mdns| mdns.hides()) else {
            return Some(candidate.to_line(ufrag));
        };
        let hidden = LocalCandidate { related: None, ..candidate.clone() };
        let foundation = self.salt.hash_one(candidate.foundation()) >> 32;
        let foundation = format!("candidate:{foundation}");
        let name = match candidate.kind {
            CandidateKind::Host => Some(self.name(mdns, candidate.address.ip())?.to_string()),
            _ => None,
        };
        let line = hidden.to_line(ufrag);
        let words = line.split(' ').enumerate().map(|(n, word)| match (n, &name) {
            (0, _) => foundation.as_str(),
            // RFC 8839 section 5.1: foundation, component, transport, priority, address.
            (4, Some(name)) => name.as_str(),
            _ => word,
        });
        Some(words.collect::<Vec<_>>().join(" "))
    }
}

impl Endpoint {
    /// What the viewer is told of a candidate: its line, in which nothing shows an own address if they are to be hidden.
    /// `None`: it cannot be hidden, so nothing is told.
    pub fn told_line(&self, candidate: &LocalCandidate, ufrag: &str) -> Option<String> {
        self.disguise.line(candidate, ufrag)
    }

    /// What looks up the viewer's hidden addresses. `None`: the session uses relays alone.
    pub fn mdns(&self) -> Option<&Mdns> {
        self.disguise.mdns.as_ref()
    }
}

#[cfg(test)]
#[path = "disguise_tests.rs"]
mod tests;
