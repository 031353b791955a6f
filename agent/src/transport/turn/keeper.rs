//! Which allocations a session asks for, keeps, replaces and gives back. No socket, no clock: what happened and the time
//! go in, what is to be done comes out.
//!
//! All servers are asked at once, but for those that were not reachable a moment ago and those that others were better
//! than. Two allocations are kept, not of the same server by the same transport if that can be had; one by TCP or TLS
//! only when those that could be better had a head start. What is lost is sought again, more and more seldom. What is
//! doubtful is replaced before it is given up.

mod round;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use self::round::Round;
use super::{credentials, reachability::handicap, types::FailureKind};
use crate::transport::server::ServerUrl;

/// Allocations that a session keeps: one is enough, the second is for the day when the first server fails.
const MAX_HELD: usize = 2;
/// Allocations that were replaced and may still carry media; more are given back at once.
const MAX_RETIRED: usize = 2;
/// An allocation that is lost sooner makes the next attempt come later.
const STABLE: Duration = Duration::from_secs(10);
/// Pause after the first attempt that brought nothing; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A server that is back is found after so long at most.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Local preference of an allocation that answers in no time. Those that take the place of others go beyond it.
const BEST_PREFERENCE: u16 = 0xF000;
/// So many milliseconds of round trip make a difference in preference.
const MAX_PENALTY: u16 = 0x7000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Action {
    /// Look up the addresses of this server and tell them by [`Keeper::resolved`].
    Resolve {
        /// To be told again.
        round: u32,
        /// Its number in the list.
        server: usize,
        /// Its name.
        url: ServerUrl,
    },
    /// Ask for an allocation.
    Ask {
        /// What it is called from now on.
        id: u64,
        /// With these credentials.
        url: ServerUrl,
        /// Here.
        address: SocketAddr,
    },
    /// Take it into use, with this local preference.
    Keep(u64, u16),
    /// Another one takes its place: give it back when no media goes through it.
    Retire(u64),
    /// Give it back, or stop asking.
    Release(u64),
    /// Ask the server whether it lives.
    Probe(u64),
    /// All servers were asked once. Comes once.
    Settled,
}

/// Why an allocation should be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// May pass.
    Silent,
    /// Its credentials are refused, or have little life left and there are new ones, or nobody names its server any more.
    Outdated,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It is asked for then.
    Waiting(Instant),
    Asking,
    /// It is there since then.
    Ready(Instant),
    Held(Held),
    /// It was replaced then.
    Retired(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    since: Instant,
    preference: u16,
    doubt: Option<Reason>,
}

/// An allocation, or an attempt to get one.
#[derive(Debug)]
struct Line {
    id: u64,
    url: ServerUrl,
    address: SocketAddr,
    round_trip: Duration,
    /// Newer credentials are used from then on, once there are some.
    rotate_at: Option<Instant>,
    stage: Stage,
}

impl Line {
    fn held(&self) -> Option<&Held> {
        match &self.stage {
            Stage::Held(held) => Some(held),
            _ => None,
        }
    }

    fn is_sound(&self) -> bool {
        self.held().is_some_and(|held| held.doubt.is_none())
    }

    fn cost(&self) -> Duration {
        self.round_trip + handicap(&self.url)
    }
}

/// See the module's documentation.
pub(in crate::transport) struct Keeper {
    servers: Vec<ServerUrl>,
    lines: Vec<Line>,
    round: Option<Round>,
    rounds: u32,
    next_id: u64,
    /// Sound allocations that should be there.
    wanted: usize,
    /// Attempts in a row that brought nothing.
    vain: u32,
    retry_at: Option<Instant>,
    /// Servers that refused, with the credentials that they refused.
    refused: Vec<ServerUrl>,
    settled: bool,
    random: Box<dyn FnMut() -> u8 + Send>,
    actions: VecDeque<Action>,
}

impl Keeper {
    /// Begins to ask `servers`, TURN servers all.
    pub fn new(now: Instant, servers: Vec<ServerUrl>, random: Box<dyn FnMut() -> u8 + Send>) -> Self {
        let mut this = Self {
            servers,
            lines: Vec::new(),
            round: None,
            rounds: 0,
            next_id: 0,
            wanted: MAX_HELD,
            vain: 0,
            retry_at: Some(now),
            refused: Vec::new(),
            settled: false,
            random,
            actions: VecDeque::new(),
        };
        this.step(now);
        this
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The servers are these from now on.
    pub fn renew(&mut self, now: Instant, servers: Vec<ServerUrl>) {
        let is_new = |url: &ServerUrl| !self.servers.iter().any(|known| is_same(known, url));
        if servers.iter().any(is_new) {
            self.wanted = MAX_HELD;
        }
        self.servers = servers;
        // Its numbers mean the servers of before.
        self.round = None;
        self.refused.retain(|refused| self.servers.contains(refused));
        (self.vain, self.retry_at) = (0, Some(now));
        self.step(now);
    }

    /// The device has other addresses or routers: what is being asked may come from an address that is gone.
    pub fn network_changed(&mut self, now: Instant) {
        for line in self.lines.extract_if(.., |l| matches!(l.stage, Stage::Waiting(_) | Stage::Asking)) {
            self.actions.push_back(Action::Release(line.id));
        }
        self.probe();
        self.round = None;
        (self.vain, self.retry_at) = (0, Some(now));
        self.step(now);
    }

    /// The allocation is there. `wall`: what credentials count their life by.
    pub fn opened(&mut self, now: Instant, wall: SystemTime, id: u64, round_trip: Duration) {
        if let Some(line) = self.line(id) {
            (line.stage, line.round_trip) = (Stage::Ready(now), round_trip);
            let life = line.url.username.as_deref().and_then(|name| credentials::use_for(name, wall));
            line.rotate_at = life.map(|life| now + life);
        }
        self.step(now);
    }

    /// The allocation was not obtained, or is lost. Returns whether its server is of no use now.
    pub fn failed(&mut self, now: Instant, id: u64, why: &FailureKind) -> bool {
        let Some(at) = self.lines.iter().position(|line| line.id == id) else { return false };
        let line = self.lines.swap_remove(at);
        if *why == FailureKind::Refused && !self.refused.contains(&line.url) {
            self.refused.push(line.url.clone());
            self.refused.retain(|refused| self.servers.contains(refused));
        }
        if let Some(held) = line.held() {
            self.vain += 1;
            self.seek(now, held.since);
            // What took this one may have taken the others.
            self.probe();
        }
        let is_retired = matches!(line.stage, Stage::Retired(_));
        let is_last = !is_retired && !self.lines.iter().any(|l| l.url == line.url);
        self.step(now);
        is_last
    }

    /// The allocation should be replaced: `for_good`, or until [`Self::trusted`].
    pub fn doubtful(&mut self, now: Instant, id: u64, for_good: bool) {
        if let Some(Line { stage: Stage::Held(held), .. }) = self.line(id)
            && held.doubt != Some(Reason::Outdated)
        {
            held.doubt = Some(if for_good { Reason::Outdated } else { Reason::Silent });
            let since = held.since;
            self.seek(now, since);
        }
        self.step(now);
    }

    /// Its server answers again.
    pub fn trusted(&mut self, now: Instant, id: u64) {
        if let Some(Line { stage: Stage::Held(held), .. }) = self.line(id) {
            held.doubt = held.doubt.filter(|doubt| *doubt != Reason::Silent);
        }
        self.step(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retry = self.retry_at.filter(|_| self.round.is_none() && self.need() > 0);
        let old = self.lines.iter().filter(|line| line.is_sound() && self.has_newer(line));
        let rotations = old.filter_map(|line| line.rotate_at);
        rotations.chain(retry).chain(self.round_timeout()).min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.step(now);
    }

    fn step(&mut self, now: Instant) {
        self.find_outdated(now);
        if self.need() > 0 && self.round.is_none() && self.retry_at.is_some_and(|at| now >= at) {
            self.begin_round();
        }
        self.go_round(now);
    }

    /// Whether the hub has named other credentials for its server.
    fn has_newer(&self, line: &Line) -> bool {
        self.servers.iter().any(|server| is_same(server, &line.url) && *server != line.url)
    }

    fn find_outdated(&mut self, now: Instant) {
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            let is_old = line.rotate_at.is_some_and(|rotate| now >= rotate) && self.has_newer(line);
            let is_listed = self.servers.iter().any(|server| is_same(server, &line.url));
            let is_outdated = is_old || (!is_listed && !self.servers.is_empty());
            if line.is_sound()
                && is_outdated
                && let Stage::Held(held) = &mut self.lines[at].stage
            {
                held.doubt = Some(Reason::Outdated);
                let since = held.since;
                self.seek(now, since);
            }
        }
    }

    /// What was there `since` is to be sought again: at once, unless it was there for a short time only.
    fn seek(&mut self, now: Instant, since: Instant) {
        if now.saturating_duration_since(since) >= STABLE {
            self.vain = 0;
        }
        if self.vain == 0 {
            self.retry_at = Some(now);
        } else if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = Some(now + self.pause());
        }
    }

    /// Between three and five quarters of its length, lest all devices ask a restarted server at once.
    fn pause(&mut self) -> Duration {
        let doublings = self.vain.saturating_sub(1).min(10);
        let whole = (FIRST_PAUSE * 2_u32.pow(doublings)).min(MAX_PAUSE);
        whole * (384 + u32::from((self.random)())) / 512
    }

    /// Has all servers asked whether the allocations live.
    fn probe(&mut self) {
        for line in self.lines.iter().filter(|line| line.held().is_some()) {
            self.actions.push_back(Action::Probe(line.id));
        }
    }

    fn need(&self) -> usize {
        self.wanted.saturating_sub(self.lines.iter().filter(|line| line.is_sound()).count())
    }

    /// Takes the allocation into use; one that is doubtful retires for it.
    fn keep(&mut self, now: Instant, id: u64) {
        let doubtful = self.lines.iter().filter(|l| l.held().is_some_and(|h| h.doubt.is_some()));
        let doubtful: Vec<_> =
            doubtful.map(|l| (l.id, l.url.clone(), l.held().map_or(0, |h| h.preference))).collect();
        let taken: Vec<_> = self.lines.iter().filter_map(|l| l.held()).map(|held| held.preference).collect();
        let Some(line) = self.line(id) else { return };
        let penalty = u16::try_from(line.cost().as_millis()).unwrap_or(MAX_PENALTY).min(MAX_PENALTY);
        let mut preference = BEST_PREFERENCE - penalty;
        // The viewer is to leave the old one while it still carries something.
        if let Some(old) = doubtful.iter().map(|(.., old)| *old).max() {
            preference = preference.max(old.saturating_add(1));
        }
        let above = !doubtful.is_empty();
        while taken.contains(&preference) && (1..u16::MAX).contains(&preference) {
            preference = if above { preference + 1 } else { preference - 1 };
        }
        line.stage = Stage::Held(Held { since: now, preference, doubt: None });
        let url = line.url.clone();
        self.actions.push_back(Action::Keep(id, preference));
        let like = doubtful.iter().find(|(_, old, _)| is_same(old, &url)).or(doubtful.first());
        if let Some((old, ..)) = like {
            self.retire(now, *old);
        }
    }

    fn retire(&mut self, now: Instant, id: u64) {
        if let Some(line) = self.line(id) {
            line.stage = Stage::Retired(now);
            self.actions.push_back(Action::Retire(id));
        }
        let retired = self.lines.iter().filter_map(|line| match line.stage {
            Stage::Retired(at) => Some((at, line.id)),
            _ => None,
        });
        let mut retired: Vec<_> = retired.collect();
        retired.sort_unstable();
        for (_, id) in retired.iter().take(retired.len().saturating_sub(MAX_RETIRED)) {
            self.release(*id);
        }
    }

    fn release(&mut self, id: u64) {
        self.lines.retain(|line| line.id != id);
        self.actions.push_back(Action::Release(id));
    }

    fn line(&mut self, id: u64) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.id == id)
    }
}

/// Whether both name the same server and transport, with whatever credentials.
fn is_same(a: &ServerUrl, b: &ServerUrl) -> bool {
    (a.scheme, a.port, a.transport) == (b.scheme, b.port, b.transport) && a.host.eq_ignore_ascii_case(&b.host)
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
