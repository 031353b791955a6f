//! Whether the hub is still there: when to ping, when another connection is worth a try, and when silence means that the
//! hub is gone. Pure.

use std::time::{Duration, Instant};

/// Time of the heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between pings: shorter than the shortest idle time-out of NATs and proxies for TCP that is common (30 s or more).
    pub(super) ping: Duration,
    /// Of silence, after which the connection counts as dead: three pings unanswered.
    pub(super) dead: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { ping: Duration::from_secs(15), dead: Duration::from_secs(45) }
    }
}

/// An answer takes a round trip, and where TCP lost a segment its shortest time-out (Linux: 200 ms) and another one.
const LEAST_PATIENCE: Duration = Duration::from_millis(400);
/// A hub whose answers take longer on a line that is full is not given up earlier for it.
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// Round trips that an answer may take.
const ROUND_TRIPS: u32 = 3;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    Wait,
    Ping,
    Dead,
}

/// Time for another way to the hub to come up.
const MOVE: Duration = Duration::from_secs(5);

/// How sure the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Sure,
    /// The hub is to be asked.
    Doubted,
    /// It was asked, at this time.
    Asked(Instant),
    /// The kernel goes another way to the hub now, since this time: an answer on this one says nothing of the future.
    Moved(Instant),
}

/// The heartbeat of one connection.
#[derive(Debug)]
pub(super) struct Liveness {
    pace: Pace,
    heard: Instant,
    pinged: Instant,
    /// The time that the last ping's answer took.
    round_trip: Duration,
    answered: bool,
    trust: Trust,
}

impl Liveness {
    /// Of a connection that stands since `now`; `round_trip` is a first guess.
    pub(super) fn new(pace: Pace, round_trip: Duration, now: Instant) -> Self {
        Self { pace, heard: now, pinged: now, round_trip, answered: true, trust: Trust::Sure }
    }

    /// Something came from the hub, a pong or anything else.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        if !std::mem::replace(&mut self.answered, true) {
            self.round_trip = now.saturating_duration_since(self.pinged);
        }
        if !matches!(self.trust, Trust::Moved(_)) {
            self.trust = Trust::Sure;
        }
    }

    /// There is reason to think that the hub cannot be reached any more: it is asked at once.
    pub(super) fn doubt(&mut self) {
        if self.trust == Trust::Sure {
            self.trust = Trust::Doubted;
        }
    }

    /// The way to the hub is another one now.
    pub(super) fn moved(&mut self, now: Instant) {
        self.trust = Trust::Moved(now);
    }

    /// There is no other connection to be had for a while now: this one serves as long as its hub answers.
    pub(super) fn stay(&mut self, now: Instant) {
        if matches!(self.trust, Trust::Moved(at) if now.saturating_duration_since(at) >= MOVE) {
            self.trust = Trust::Doubted;
        }
    }

    /// Whether what is said now could be lost: it waits for the hub's answer, or for another connection.
    pub(super) fn holds(&self) -> bool {
        self.trust != Trust::Sure
    }

    /// From when on another connection is to be tried beside this one, which may live all the same: what waits in it
    /// arrives when a line that was cut is back.
    pub(super) fn suspect(&self) -> Option<Instant> {
        match self.trust {
            Trust::Sure | Trust::Doubted => None,
            Trust::Asked(at) => {
                Some(at + (self.round_trip * ROUND_TRIPS).clamp(LEAST_PATIENCE, MOST_PATIENCE))
            }
            Trust::Moved(at) => Some(at),
        }
    }

    /// When to ask [`Self::pulse`] again.
    pub(super) fn due(&self) -> Instant {
        let ping = if self.trust == Trust::Doubted { self.heard } else { self.pinged + self.pace.ping };
        ping.min(self.dead())
    }

    /// When silence up to then means that the hub is gone.
    pub(super) fn dead(&self) -> Instant {
        self.heard + self.pace.dead
    }

    /// What to do at `now`; counts the ping that it asks for.
    pub(super) fn pulse(&mut self, now: Instant) -> Pulse {
        if now >= self.dead() {
            Pulse::Dead
        } else if now >= self.due() {
            (self.pinged, self.answered) = (now, false);
            if self.trust == Trust::Doubted {
                self.trust = Trust::Asked(now);
            }
            Pulse::Ping
        } else {
            Pulse::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn begin() -> (Instant, Liveness) {
        let start = Instant::now();
        (start, Liveness::new(Pace::default(), RTT, start))
    }

    #[test]
    fn pings_go_every_15_s_and_45_s_of_silence_are_the_end() {
        let (start, mut liveness) = begin();
        let at = |s| start + Duration::from_secs(s);
        let pulses: Vec<Pulse> = [1, 15, 16, 30, 44, 45].map(|s| liveness.pulse(at(s))).to_vec();
        assert_eq!(pulses, [Pulse::Wait, Pulse::Ping, Pulse::Wait, Pulse::Ping, Pulse::Wait, Pulse::Dead]);
    }

    #[test]
    fn a_doubt_asks_at_once_and_only_once() {
        let (start, mut liveness) = begin();
        let at = |s| start + Duration::from_secs(s);
        liveness.doubt();
        assert!(liveness.due() <= at(5));
        assert_eq!([5, 6].map(|s| liveness.pulse(at(s))), [Pulse::Ping, Pulse::Wait]);
        liveness.doubt();
        assert_eq!([7, 19, 20].map(|s| liveness.pulse(at(s))), [Pulse::Wait, Pulse::Wait, Pulse::Ping]);
        liveness.heard(at(21));
        liveness.doubt();
        assert_eq!(liveness.pulse(at(22)), Pulse::Ping);
        assert_eq!(liveness.dead(), at(66));
    }

    #[test]
    fn a_doubt_that_is_not_answered_within_400_ms_is_worth_another_connection() {
        let (start, mut liveness) = begin();
        let at = |ms| start + Duration::from_millis(ms);
        liveness.doubt();
        assert_eq!((liveness.holds(), liveness.suspect()), (true, None), "it is not asked yet");
        liveness.pulse(at(1000));
        assert_eq!(liveness.suspect(), Some(at(1400)));
        liveness.heard(at(1040));
        assert_eq!((liveness.holds(), liveness.suspect()), (false, None));
    }

    #[test]
    fn a_slow_hub_gets_more_patience_and_no_more_than_2_s() {
        for (answer, patience) in [(300, 900), (1500, 2000), (10, 400)] {
            let (start, mut liveness) = begin();
            let at = |ms| start + Duration::from_millis(ms);
            liveness.doubt();
            liveness.pulse(at(0));
            liveness.heard(at(answer));
            liveness.doubt();
            liveness.pulse(at(5000));
            assert_eq!(liveness.suspect(), Some(at(5000 + patience)));
        }
    }

    #[test]
    fn a_connection_that_goes_the_old_way_is_replaced_though_it_answers() {
        let (start, mut liveness) = begin();
        liveness.moved(start);
        liveness.heard(start + RTT);
        assert_eq!((liveness.holds(), liveness.suspect()), (true, Some(start)));
    }

    #[test]
    fn a_hub_that_answers_lives() {
        let (start, mut liveness) = begin();
        for second in 1..600 {
            let now = start + Duration::from_secs(second);
            assert!(liveness.due() <= now + Duration::from_secs(15));
            if liveness.pulse(now) == Pulse::Ping {
                liveness.heard(now);
            }
            assert_ne!(liveness.pulse(now), Pulse::Dead);
        }
    }
}
