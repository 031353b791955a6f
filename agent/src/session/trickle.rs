//! The candidates of a session, ours and the viewer's, on their way between transport, ICE and the link.

use tracing::warn;

use super::{
    driver::Session,
    offer::{Offer, candidate_address},
    peer::Peer,
    remote::Remote,
    verdict::ViewerCandidates,
};
use crate::{
    signaling::message::{Body, Candidate, code},
    transport::LocalCandidate,
};

/// Our candidates that are kept for a later answer: the addresses of a device and what servers see of them.
const MAX_LOCAL: usize = 64;
/// The viewer's candidates that are taken until an ICE restart. Browsers give some ten; each costs a check with each
/// of ours every 50 ms, sent to wherever the viewer says.
pub(super) const MAX_REMOTE: usize = 64;

/// What is known of both sides' candidates.
#[derive(Default)]
pub(super) struct Trickle {
    /// Identification tag and number of the m-section that candidates are told for.
    pub place: (String, u16),
    /// Gathering is done.
    pub done: bool,
    /// The viewer's that are worked on.
    pub remote: Remote,
    local: Vec<LocalCandidate>,
    /// The viewer's that came before the offer.
    early: Vec<String>,
    /// What they say of the viewer's network.
    pub viewer: ViewerCandidates,
    remote_seen: usize,
}

impl Trickle {
    /// One of ours was found.
    pub fn found(&mut self, candidate: LocalCandidate) {
        if self.local.len() < MAX_LOCAL {
            self.local.push(candidate);
        }
    }

    /// One of ours is void: it is told no more.
    pub fn lost(&mut self, candidate: &LocalCandidate) {
        self.local.retain(|known| known != candidate);
    }

    /// The viewer's candidates of before are void.
    pub fn restart(&mut self) {
        self.remote_seen = 0;
        self.remote.forget();
    }

    /// Ours so far.
    pub fn local(&self) -> &[LocalCandidate] {
        &self.local
    }

    /// How many came from the viewer since the beginning or the last ICE restart.
    pub fn remote_seen(&self) -> usize {
        self.remote_seen
    }

    /// Counts one of the viewer's; says whether there is room for it.
    fn admit(&mut self) -> bool {
        self.remote_seen = self.remote_seen.saturating_add(1);
        self.remote_seen <= MAX_REMOTE
    }
}

impl Session {
    /// Tells all that was found so far, after an answer.
    pub(super) fn tell_candidates(&self, trickle: &Trickle, peer: &mut Peer) {
        for candidate in trickle.local() {
            self.tell_candidate(trickle, peer, candidate);
        }
        if trickle.done {
            self.send(Body::Candidate(None));
        }
    }

    /// Gives one of our candidates to the ICE agent and to the viewer.
    pub(super) fn tell_candidate(&self, trickle: &Trickle, peer: &mut Peer, candidate: &LocalCandidate) {
        let line = candidate.to_line(peer.ufrag());
        if candidate.is_for_checks()
            && let Err(e) = peer.add_local_candidate(&line)
        {
            warn!("own candidate {line} not taken: {e}");
            return;
        }
        let Some(told) = self.endpoint.told_line(candidate, peer.ufrag()) else {
            warn!("an own address cannot be hidden behind a name, and is not told to the viewer");
            return;
        };
        let (mid, number) = &trickle.place;
        self.send(Body::Candidate(Some(Candidate {
            candidate: told,
            sdp_m_line_index: Some(*number),
            sdp_mid: Some(mid.clone()),
        })));
    }

    /// Takes what came before the offer, and in it.
    pub(super) fn take_candidates(&self, trickle: &mut Trickle, peer: &mut Peer, offer: &Offer) {
        for line in std::mem::take(&mut trickle.early) {
            self.use_candidate(trickle, peer, &line);
        }
        for line in offer.candidates() {
            self.take_candidate(trickle, Some(&mut *peer), line.to_owned());
        }
    }

    /// Takes one of the viewer's, or keeps it until there is a peer.
    pub(super) fn take_candidate(&self, trickle: &mut Trickle, peer: Option<&mut Peer>, line: String) {
        if !trickle.admit() {
            // Said once: a flood is not answered by a flood.
            if trickle.remote_seen() == MAX_REMOTE + 1 {
                let words =
                    format!("{MAX_REMOTE} candidates are taken, more are dropped; restart ICE for new ones");
                self.refuse(code::TOO_MANY_MESSAGES, &words);
            }
            return;
        }
        trickle.viewer.note(&line);
        match peer {
            Some(peer) => self.use_candidate(trickle, peer, &line),
            None => trickle.early.push(line),
        }
    }

    fn use_candidate(&self, trickle: &mut Trickle, peer: &mut Peer, line: &str) {
        match trickle.remote.take(line, &self.endpoint) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => {
                self.refuse(code::BAD_CANDIDATE, &format!("candidate {line:?} not used: {e}"));
                return;
            }
        }
        // Relays are to let it through.
        if let Some(address) = candidate_address(line) {
            self.endpoint.remote_candidate(address);
        }
        if let Err(e) = peer.add_remote_candidate(line) {
            self.refuse(code::BAD_CANDIDATE, &format!("candidate {line:?} not understood: {e}"));
        }
    }
}
