//! The candidate pair that a session uses: the one that the viewer nominated last, and not the first for ever.
//!
//! RFC 8445 section 8.1.1 has one nomination, and the stack goes by it: with a selected pair, its controlled agent
//! (rtc-ice 0.21) looks at no USE-CANDIDATE any more. Browsers nominate what is up first, and then each better pair, as
//! the aggressive nomination of RFC 5245 section 8.1.1.2 had it; a relay is often up first. So a pair that was nominated
//! later is taken here: what the stack sends on its own pair goes out on that one, and so do the checks that it keeps up
//! consent with (RFC 7675), whose answers it gets as if they came from its own.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::verdict::Ends;
use crate::{
    signaling::candidate::{self, Address, CandidateType, Transport},
    transport::{
        Path, Protocol,
        demux::{Packet, TransactionId, classify, stun_attribute},
    },
};

/// A nomination of lower priority is followed only after so long a silence on the pair in use: a browser that has taken a
/// better pair sends RTCP on it several times a second, and one that leaves it takes longer to notice its silence.
const SILENCE: Duration = Duration::from_secs(2);
/// Checks whose answers are awaited, of each direction: those of some round trips.
const MAX_PENDING: usize = 16;
/// Candidates of one side: more than sessions take.
const MAX_TOLD: usize = 128;

/// RFC 8445 section 16.1.
const ATTR_PRIORITY: u16 = 0x0024;
/// RFC 8445 section 16.1.
const ATTR_USE_CANDIDATE: u16 = 0x0025;
/// The first bytes of a binding success response (RFC 8489 section 5).
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// A candidate that was told in signalling.
#[derive(Debug)]
struct Told {
    protocol: Protocol,
    address: SocketAddr,
    priority: u32,
    kind: &'static str,
}

/// The pair in use.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    pair: Path,
    priority: u64,
    /// When anything last came by it.
    heard: Instant,
}

/// See the module. Of one ICE generation: a restart begins with a new one.
#[derive(Debug, Default)]
pub(super) struct Nominations {
    local: Vec<Told>,
    remote: Vec<Told>,
    /// The viewer's nominating checks that the stack has not answered yet.
    asked: VecDeque<(TransactionId, Path, u64)>,
    /// The stack's own checks that went out on another pair than it meant.
    moved: VecDeque<(TransactionId, Path)>,
    /// What the stack sends on.
    own: Option<Path>,
    chosen: Option<Chosen>,
    changed: bool,
}

impl Nominations {
    /// Of the next generation: the pair in use stays in use until the stack has another.
    pub(super) fn after(before: &Self) -> Self {
        Self { own: before.in_use(), ..Self::default() }
    }

    /// A local candidate, as `candidate:...`.
    pub(super) fn told_local(&mut self, line: &str) {
        tell(&mut self.local, line);
    }

    /// One of the viewer's.
    pub(super) fn told_remote(&mut self, line: &str) {
        tell(&mut self.remote, line);
    }

    /// A datagram that came by `pair`; gives the pair that the stack is to see.
    pub(super) fn incoming(&mut self, now: Instant, pair: Path, datagram: &[u8]) -> Path {
        self.heard(now, pair);
        match classify(datagram) {
            Packet::StunRequest { id, .. } if stun_attribute(datagram, ATTR_USE_CANDIDATE).is_some() => {
                let priority = self.priority(pair, datagram);
                push(&mut self.asked, (id, pair, priority));
            }
            Packet::StunResponse { id } => {
                if let Some(n) = self.moved.iter().position(|moved| *moved == (id, pair)) {
                    self.moved.remove(n);
                    return self.own.unwrap_or(pair);
                }
            }
            _ => {}
        }
        pair
    }

    /// A datagram that the stack sends by `pair`; gives the pair that it goes out by.
    pub(super) fn outgoing(&mut self, now: Instant, pair: Path, datagram: &[u8]) -> Path {
        let chosen = self.chosen.map(|chosen| chosen.pair);
        match classify(datagram) {
            Packet::StunRequest { id, .. } if self.own == Some(pair) => {
                let Some(elsewhere) = chosen.filter(|chosen| *chosen != pair) else { return pair };
                push(&mut self.moved, (id, elsewhere));
                elsewhere
            }
            Packet::StunResponse { id } if datagram.starts_with(&SUCCESS) => {
                // The stack answers so only what has the right password, on a pair that works both ways.
                if let Some(n) = self.asked.iter().position(|asked| (asked.0, asked.1) == (id, pair))
                    && let Some((_, _, priority)) = self.asked.remove(n)
                {
                    self.nominated(now, pair, priority);
                }
                pair
            }
            Packet::Dtls | Packet::Media => {
                self.own = Some(pair);
                chosen.unwrap_or(pair)
            }
            _ => pair,
        }
    }

    /// The stack's own pair, by which media would leave without a later nomination.
    pub(super) fn selected(&mut self, pair: Path) {
        self.own = Some(pair);
    }

    /// Something came by `pair` that the stack does not see.
    pub(super) fn heard(&mut self, now: Instant, pair: Path) {
        if let Some(chosen) = self.chosen.as_mut().filter(|chosen| chosen.pair == pair) {
            chosen.heard = now;
        }
    }

    /// True once after each change from a pair in use to another.
    pub(super) fn take_move(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The pair that media goes out by.
    pub(super) fn in_use(&self) -> Option<Path> {
        self.chosen.map(|chosen| chosen.pair).or(self.own)
    }

    /// The path in words, if it is not the stack's own.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let pair = self.chosen?.pair;
        (self.own? != pair).then(|| {
            let kind =
                |told: &[Told], address, or| find(told, pair.protocol, address).map_or(or, |told| told.kind);
            let (local, remote) =
                (kind(&self.local, pair.local, "host"), kind(&self.remote, pair.remote, "prflx"));
            let tcp = pair.protocol.remark();
            format!("{local}{tcp} {} to {remote} {}", pair.local, pair.remote)
        })
    }

    /// The ends of the path, if it is not the stack's own.
    pub(super) fn ends(&self) -> Option<Ends> {
        let path = self.chosen?.pair;
        (self.own? != path).then(|| Ends {
            path,
            local: find(&self.local, path.protocol, path.local).map_or("host", |told| told.kind),
            remote: find(&self.remote, path.protocol, path.remote).map_or("prflx", |told| told.kind),
        })
    }

    fn nominated(&mut self, now: Instant, pair: Path, priority: u64) {
        if let Some(chosen) = &self.chosen {
            let silent = now.saturating_duration_since(chosen.heard) >= SILENCE;
            if chosen.pair == pair || (priority <= chosen.priority && !silent) {
                return;
            }
            self.changed = true;
        }
        self.chosen = Some(Chosen { pair, priority, heard: now });
    }

    /// RFC 8445 section 6.1.2.3, the viewer controlling. A candidate that was not told is a peer reflexive one, whose
    /// priority the check brings along (section 7.3.1.3).
    fn priority(&self, pair: Path, check: &[u8]) -> u64 {
        let brought = || stun_attribute(check, ATTR_PRIORITY)?.try_into().ok().map(u32::from_be_bytes);
        let controlling = find(&self.remote, pair.protocol, pair.remote)
            .map(|told| told.priority)
            .or_else(brought)
            .unwrap_or(0);
        let controlled = find(&self.local, pair.protocol, pair.local).map_or(0, |told| told.priority);
        let (low, high) = (controlling.min(controlled), controlling.max(controlled));
        (u64::from(low) << 32) + 2 * u64::from(high) + u64::from(controlling > controlled)
    }
}

fn tell(told: &mut Vec<Told>, line: &str) {
    let Ok(line) = candidate::parse(line) else { return };
    let Address::Ip(ip) = line.address else { return };
    let kind = match line.typ {
        CandidateType::Host => "host",
        CandidateType::ServerReflexive => "srflx",
        CandidateType::Relay => "relay",
        CandidateType::PeerReflexive | CandidateType::Other(_) => "prflx",
    };
    let protocol = match line.transport {
        Transport::Udp => Protocol::Udp,
        Transport::Tcp => Protocol::Tcp,
        Transport::Other(_) => return,
    };
    if told.len() < MAX_TOLD {
        told.push(Told { protocol, address: SocketAddr::new(ip, line.port), priority: line.priority, kind });
    }
}

/// Several candidates may have one address; the best counts.
fn find(told: &[Told], protocol: Protocol, address: SocketAddr) -> Option<&Told> {
    let here = |told: &&Told| (told.protocol, told.address) == (protocol, address);
    told.iter().filter(here).max_by_key(|told| told.priority)
}

/// The oldest goes where there is no room.
fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == MAX_PENDING {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
#[path = "nominations_tests.rs"]
mod tests;
