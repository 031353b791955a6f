//! How an allocation notices that its server is gone, and when it is of no use any more.
//!
//! A server that was restarted passes over what it gets for an allocation that it does not know: only a request tells.

use std::time::{Duration, Instant};

use super::{Allocation, REFRESH_WAIT, State, WANTED_LIFETIME};
use crate::transport::turn::{
    message::Request,
    types::{AllocationEvent, Doubt},
};

/// Packets go out and none comes back for so long: the server is asked whether the allocation lives. A viewer sends RTCP
/// several times a second.
const SILENCE: Duration = Duration::from_millis(1500);
/// A peer may be silent for good while ICE looks for it: the server is not asked about that more often.
const PROBE_PAUSE: Duration = Duration::from_secs(10);
/// No answer to a refresh after so long, and several repetitions: another allocation is worth its while.
const DOUBT: Duration = Duration::from_millis(1500);
/// An allocation that was replaced is given back when it carried no media for so long.
const RETIRED_IDLE: Duration = Duration::from_secs(10);

/// What is known of the server's health.
#[derive(Debug)]
pub(super) struct Care {
    /// Since when packets go out and none comes in.
    silent_since: Option<Instant>,
    /// No question about that before.
    probe_after: Instant,
    /// What was told.
    doubted: bool,
    /// Whether `doubted` can still be taken back.
    refused: bool,
    /// When media went through it last.
    used_at: Instant,
    retired: bool,
}

impl Care {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            silent_since: None,
            probe_after: now,
            doubted: false,
            refused: false,
            used_at: now,
            retired: false,
        }
    }

    /// A packet goes out.
    pub(super) fn sent(&mut self, now: Instant, data: &[u8]) {
        self.silent_since.get_or_insert(now);
        self.used(now, data);
    }

    /// A packet goes through, in either direction. Checks go everywhere and do not count (RFC 7983).
    pub(super) fn used(&mut self, now: Instant, data: &[u8]) {
        if data.first().is_some_and(|first| *first > 3) {
            self.used_at = now;
        }
    }
}

impl Allocation {
    /// Asks the server whether the allocation lives: the network has changed.
    pub fn probe(&mut self, now: Instant) {
        if self.state == State::Open && self.closing.is_none() && self.refresh_since().is_none() {
            self.refresh(now);
        }
    }

    /// Another one has taken its place: it is given back as soon as no media goes through it.
    pub fn retire(&mut self, now: Instant) {
        if !self.care.retired {
            (self.care.retired, self.care.used_at) = (true, now);
        }
    }

    /// Something came from the server.
    pub(super) fn heard(&mut self) {
        self.care.silent_since = None;
        if self.care.doubted && !self.care.refused {
            self.care.doubted = false;
            self.events.push_back(AllocationEvent::Trusted);
        }
    }

    pub(super) fn doubt(&mut self, why: Doubt) {
        let is_final = matches!(why, Doubt::Credentials(_));
        let is_told = self.care.doubted && (self.care.refused || !is_final);
        if self.state != State::Open || self.closing.is_some() || is_told {
            return;
        }
        self.care.doubted = true;
        self.care.refused |= is_final;
        self.events.push_back(AllocationEvent::Doubtful(why));
    }

    pub(super) fn care_timeout(&self) -> Option<Instant> {
        let refreshing = self.refresh_since();
        let probe = self.care.silent_since.filter(|_| refreshing.is_none());
        let probe = probe.map(|since| (since + SILENCE).max(self.care.probe_after));
        let doubt = refreshing.filter(|_| !self.care.doubted).map(|since| since + DOUBT);
        let idle = self.care.retired.then(|| self.care.used_at + RETIRED_IDLE);
        [probe, doubt, idle].into_iter().flatten().min()
    }

    pub(super) fn take_care(&mut self, now: Instant) {
        if self.care.retired && now >= self.care.used_at + RETIRED_IDLE {
            self.close(now);
            return;
        }
        match self.refresh_since() {
            Some(since) if now >= since + DOUBT => self.doubt(Doubt::Silent),
            Some(_) => {}
            None => {
                let silent = self.care.silent_since.is_some_and(|since| now >= since + SILENCE);
                if silent && now >= self.care.probe_after {
                    self.refresh(now);
                }
            }
        }
    }

    pub(super) fn refresh(&mut self, now: Instant) {
        self.care.probe_after = now + PROBE_PAUSE;
        self.refresh_at = now + REFRESH_WAIT;
        self.ask(now, Request::Refresh(WANTED_LIFETIME), 0);
    }

    /// When the refresh was asked for that is not answered yet.
    fn refresh_since(&self) -> Option<Instant> {
        let refresh = self.pending.iter().find(|p| matches!(p.what, Request::Refresh(1..)));
        refresh.map(|pending| pending.since)
    }
}
