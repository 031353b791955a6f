//! When to try again: exponential back-off with full jitter. Pure; time and randomness are arguments.

use std::time::{Duration, Instant};

/// First wait at most; short, since most losses are a server's restart.
const BASE: Duration = Duration::from_millis(500);

/// Longest wait.
const CAP: Duration = Duration::from_secs(30);

/// Wait at least this long after the server refused us: its answer changes only when a person changes something.
const DENIED: Duration = Duration::from_secs(30);

/// A connection that held this long was a good one: the next loss starts from [`BASE`] again.
const HELD: Duration = Duration::from_secs(10);

/// The state of one link's attempts.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    up_since: Option<Instant>,
}

impl Backoff {
    /// No failure yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// An attempt failed or a connection was lost: when to try next. `random` spreads a fleet of devices evenly
    /// between now and the wait that doubles with each failure.
    pub fn failed(&mut self, now: Instant, random: u64) -> Instant {
        if self.up_since.take().is_some_and(|since| now.saturating_duration_since(since) >= HELD) {
            self.failures = 0;
        }
        let ceiling = BASE.saturating_mul(2_u32.saturating_pow(self.failures)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        now + share(ceiling, random)
    }

    /// The server refused the device itself (401, 403): when to ask again, 30 to 60 s from now.
    pub fn denied(&mut self, now: Instant, random: u64) -> Instant {
        self.up_since = None;
        now + DENIED + share(DENIED, random)
    }
}

/// The part of `whole` that `random` is of all numbers.
fn share(whole: Duration, random: u64) -> Duration {
    whole.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let now = Instant::now();
        let mut backoff = Backoff::new();
        let waits: Vec<f64> = (0..8).map(|_| (backoff.failed(now, u64::MAX) - now).as_secs_f64()).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    }

    #[test]
    fn jitter_takes_any_part_of_the_wait() {
        let now = Instant::now();
        assert_eq!(Backoff::new().failed(now, 0), now);
        let half = Backoff::new().failed(now, u64::MAX / 2) - now;
        assert_eq!(half, Duration::from_millis(250));
    }

    #[test]
    fn a_connection_that_held_starts_anew_and_one_that_did_not_does_not() {
        let now = Instant::now();
        let mut backoff = Backoff::new();
        for _ in 0..5 {
            backoff.failed(now, 0);
        }
        backoff.connected(now);
        assert_eq!(backoff.failed(now + Duration::from_secs(1), u64::MAX), now + Duration::from_secs(17));
        backoff.connected(now);
        let later = now + HELD;
        assert_eq!(backoff.failed(later, u64::MAX), later + BASE);
    }

    #[test]
    fn a_refused_device_asks_slowly() {
        let now = Instant::now();
        assert_eq!(Backoff::new().denied(now, 0), now + Duration::from_secs(30));
        assert_eq!(Backoff::new().denied(now, u64::MAX), now + Duration::from_secs(60));
    }

    proptest! {
        #[test]
        fn no_history_makes_the_wait_longer_than_its_cap(randoms in proptest::collection::vec(any::<u64>(), 1..100)) {
            let now = Instant::now();
            let mut backoff = Backoff::new();
            for random in randoms {
                prop_assert!(backoff.failed(now, random) <= now + CAP);
            }
        }
    }
}
