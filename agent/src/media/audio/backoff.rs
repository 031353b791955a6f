//! How long to wait before a device that failed is opened again.

use std::time::{Duration, Instant};

/// A card that only hiccuped is back at once for the ear.
const FIRST: Duration = Duration::from_millis(500);
/// A card that was unplugged is found within this after it is plugged in again.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits that double from 0.5 s to 10 s until [`Backoff::succeeded`].
#[derive(Debug)]
pub struct Backoff {
    wait: Duration,
    next: Option<Instant>,
}

impl Backoff {
    /// No failure yet: the first try is due at once.
    pub fn new() -> Self {
        Self { wait: FIRST, next: None }
    }

    /// Whether the next try may be made.
    pub fn due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// A try failed, or what was open broke; returns the wait until the next try.
    pub fn failed(&mut self, now: Instant) -> Duration {
        let wait = self.wait;
        self.next = Some(now + wait);
        self.wait = (wait * 2).min(LONGEST);
        wait
    }

    /// The device works: the next failure starts again at the shortest wait.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_ten_seconds_and_start_over_after_success() {
        let mut backoff = Backoff::new();
        let now = Instant::now();
        assert!(backoff.due(now));
        let waits: Vec<_> = (0..7).map(|_| backoff.failed(now).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert!(!backoff.due(now + Duration::from_secs(9)));
        assert!(backoff.due(now + Duration::from_secs(10)));
        backoff.succeeded();
        assert_eq!(backoff.failed(now).as_millis(), 500);
    }
}
