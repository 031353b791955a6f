//! When a session needs another path: its viewer is silent, its address is gone, its way out is another one. Pure: what
//! happened and the time go in, wishes come out.
//!
//! The device never offers. What it can do is ask the viewer for an offer that restarts ICE (`restart` in
//! docs/protocol.md), and doubt the link that would carry it. Asked is as long as it helps: while nothing is heard, after
//! 1, 2, 4 and every 4 s, and after each return of the link; what the link cannot carry is not asked.

mod hooks;
mod rhythm;
mod surroundings;

use std::time::{Duration, Instant};

use self::rhythm::Rhythm;
pub(super) use self::surroundings::{LinkState, Surroundings};

/// Between requests: an answer takes three ways between the two, and a path some more.
const REPEAT: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Time for the checks after an ICE restart, relays included, before another is asked for.
const CHECKS: Duration = Duration::from_secs(3);
/// After so long without a request the next one is a first one.
const STEADY: Duration = Duration::from_secs(10);
/// Between doubts of the link.
const DOUBT_AGAIN: Duration = Duration::from_secs(1);

/// What the session should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Let the link ask whether its server is still there: what broke the path may have broken it too.
    Doubt,
    /// Ask the viewer for an ICE restart, for this reason.
    Restart(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Roaming {
    /// There was a path once: before, the viewer's own checks go on.
    live: bool,
    linked: bool,
    rhythm: Rhythm,
    doubted: Option<Instant>,
    /// The path must be left though it is not silent (yet): why.
    leave: Option<&'static str>,
    asked: Option<Instant>,
    times: usize,
    /// Not before.
    next: Instant,
}

impl Roaming {
    /// Of a session that begins; its `connect` came by a link.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            live: false,
            linked: true,
            rhythm: Rhythm::new(now),
            doubted: None,
            leave: None,
            asked: None,
            times: 0,
            next: now,
        }
    }

    /// There is a path, for the first time or again.
    pub(super) fn connected(&mut self, now: Instant) {
        self.live = true;
        self.heard(now);
    }

    /// Something came from the viewer.
    pub(super) fn heard(&mut self, at: Instant) {
        self.rhythm.heard(at);
        self.doubted = None;
    }

    /// An ICE restart of the viewer's was answered.
    pub(super) fn restarted(&mut self, now: Instant) {
        self.leave = None;
        self.next = now + CHECKS;
    }

    /// The path in use has lost its address, or there is a better way out.
    pub(super) fn leave(&mut self, why: &'static str) {
        self.leave = Some(why);
    }

    /// The link is up, maybe again, or down.
    pub(super) fn link(&mut self, now: Instant, up: bool) {
        self.linked = up;
        // What was asked before may have gone into the old connection, and the viewer's offer too.
        if up && self.live && self.doubted.is_some() {
            self.leave.get_or_insert("the viewer is silent, and the link to the server broke");
        }
        if up {
            self.next = now;
        }
    }

    /// The next wish that is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Wish> {
        if !self.live {
            return None;
        }
        if self.doubt_due() <= now {
            self.doubted = Some(now);
            return Some(Wish::Doubt);
        }
        if self.restart_due()? > now {
            return None;
        }
        if self.asked.is_none_or(|at| now.saturating_duration_since(at) >= STEADY) {
            self.times = 0;
        }
        self.next = now + REPEAT[self.times.min(REPEAT.len() - 1)];
        self.times += 1;
        self.asked = Some(now);
        let silence = now.saturating_duration_since(self.rhythm.last()).as_millis();
        let reason = self.leave.take().map(ToOwned::to_owned);
        Some(Wish::Restart(
            reason.unwrap_or_else(|| format!("nothing was heard of the viewer for {silence} ms")),
        ))
    }

    /// When [`Self::poll`] has something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        let restart = self.restart_due();
        self.live.then(|| restart.map_or(self.doubt_due(), |at| at.min(self.doubt_due())))
    }

    /// A doubt costs a ping: half of the silence suffices.
    fn doubt_due(&self) -> Instant {
        match self.doubted {
            Some(at) => at + DOUBT_AGAIN,
            None => self.rhythm.last() + self.rhythm.quiet() / 2,
        }
    }

    fn restart_due(&self) -> Option<Instant> {
        let silent = self.rhythm.last() + self.rhythm.quiet();
        let from = if self.leave.is_some() { self.next } else { silent.max(self.next) };
        self.linked.then_some(from)
    }
}

#[cfg(test)]
mod tests;
