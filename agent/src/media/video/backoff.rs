//! How long to wait before a source is opened again.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);
/// A source that worked for so long has recovered: its next failure starts anew.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// Doubles the wait with every failure in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
    working_since: Option<Instant>,
}

impl Backoff {
    /// The source gave a picture.
    pub fn worked(&mut self, now: Instant) {
        self.working_since.get_or_insert(now);
    }

    /// The source failed; returns when to try again.
    pub fn failed(&mut self, now: Instant) -> Instant {
        if self.working_since.take().is_some_and(|since| now >= since + RECOVERED_AFTER) {
            self.last = None;
        }
        let wait = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
        self.last = Some(wait);
        now + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_start_anew_after_recovery() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut wait = |at: Instant| (backoff.failed(at) - at).as_millis();
        assert_eq!([(); 7].map(|()| wait(now)), [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        backoff.worked(now);
        assert_eq!(backoff.failed(now + Duration::from_secs(1)) - now, Duration::from_secs(11), "flapping");
        backoff.worked(now);
        assert_eq!(backoff.failed(now + RECOVERED_AFTER) - now, RECOVERED_AFTER + FIRST);
    }
}
