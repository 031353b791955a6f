//! Whether the hub is still there: when to ping, and when silence means that it is gone. Pure.

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

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulse {
    Wait,
    Ping,
    Dead,
}

/// The heartbeat of one connection.
#[derive(Debug)]
pub(super) struct Liveness {
    pace: Pace,
    heard: Instant,
    pinged: Instant,
    /// Since when there is a doubt, and whether its ping is out.
    doubted: Option<(Instant, bool)>,
}

impl Liveness {
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, heard: now, pinged: now, doubted: None }
    }

    /// Something came from the hub, a pong or anything else.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.doubted = None;
    }

    /// There is reason to think that the hub cannot be reached any more: it is asked at once. No answer
    /// means no more than else: what waits in the connection arrives when a line that was cut is back.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.doubted.get_or_insert((now, false));
    }

    /// When to ask [`Self::pulse`] again.
    pub(super) fn due(&self) -> Instant {
        let ping = match self.doubted {
            Some((since, false)) => since,
            _ => self.pinged + self.pace.ping,
        };
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
            self.pinged = now;
            self.doubted = self.doubted.map(|(since, _)| (since, true));
            Pulse::Ping
        } else {
            Pulse::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_go_every_15_s_and_45_s_of_silence_are_the_end() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut liveness = Liveness::new(Pace::default(), start);
        let pulses: Vec<Pulse> = [1, 15, 16, 30, 44, 45].map(|s| liveness.pulse(at(s))).to_vec();
        assert_eq!(pulses, [Pulse::Wait, Pulse::Ping, Pulse::Wait, Pulse::Ping, Pulse::Wait, Pulse::Dead]);
    }

    #[test]
    fn a_doubt_asks_at_once_and_only_once() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut liveness = Liveness::new(Pace::default(), start);
        liveness.doubt(at(5));
        assert_eq!(liveness.due(), at(5));
        assert_eq!([5, 6].map(|s| liveness.pulse(at(s))), [Pulse::Ping, Pulse::Wait]);
        liveness.doubt(at(7));
        assert_eq!([7, 19, 20].map(|s| liveness.pulse(at(s))), [Pulse::Wait, Pulse::Wait, Pulse::Ping]);
        liveness.heard(at(21));
        liveness.doubt(at(22));
        assert_eq!(liveness.pulse(at(22)), Pulse::Ping);
        assert_eq!(liveness.dead(), at(66));
    }

    #[test]
    fn a_hub_that_answers_lives() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Pace::default(), start);
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
