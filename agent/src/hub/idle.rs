//! When a silent socket is asked for a sign of life, and when it is given up.

use std::time::{Duration, Instant};

/// Between pings: under the 30 s after which some routers forget an idle TCP flow.
pub(super) const PING_EVERY: Duration = Duration::from_secs(15);
/// Three pings without an answer.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(45);

/// When the other side was last heard.
#[derive(Debug)]
pub(super) struct Idle {
    heard: Instant,
}

/// What to do at a ping time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ping,
    GiveUp,
}

impl Idle {
    pub fn new(now: Instant) -> Self {
        Self { heard: now }
    }

    /// Something came, if only a pong.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Called every [`PING_EVERY`].
    pub fn check(&self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.heard) >= GIVEN_UP_AFTER {
            Verdict::GiveUp
        } else {
            Verdict::Ping
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_answers_no_ping_for_45_s_is_given_up() {
        let start = Instant::now();
        let mut idle = Idle::new(start);
        assert_eq!(idle.check(start + Duration::from_secs(30)), Verdict::Ping);
        assert_eq!(idle.check(start + Duration::from_secs(45)), Verdict::GiveUp);
        idle.heard(start + Duration::from_secs(44));
        assert_eq!(idle.check(start + Duration::from_secs(60)), Verdict::Ping);
    }
}
