//! How long to wait before a device, file or encoder that failed is opened again.

use std::time::{Duration, Instant};

/// What only hiccuped is back at once for eye and ear.
const FIRST: Duration = Duration::from_millis(500);
/// What was unplugged is found within this after it is plugged in again.
const LONGEST: Duration = Duration::from_secs(10);
/// What worked for so long has recovered: its next failure starts anew. What breaks after its first picture or
/// sound each time has not, and must not be opened twice a second for ever.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// Doubles the wait with every failure in a row, from 0.5 s to 10 s. Without jitter: nobody else opens the device.
#[derive(Debug, Default)]
pub struct Backoff {
    /// The last wait.
    wait: Option<Duration>,
    retry_at: Option<Instant>,
    working_since: Option<Instant>,
}

impl Backoff {
    /// Whether the next try may be made.
    pub fn due(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| now >= at)
    }

    /// It gave, or took, a picture or a block of sound: only that proves that it works.
    pub fn worked(&mut self, now: Instant) {
        self.working_since.get_or_insert(now);
    }

    /// A try failed, or what was open broke; returns when to try again.
    pub fn failed(&mut self, now: Instant) -> Instant {
        if self.working_since.take().is_some_and(|since| now >= since + RECOVERED_AFTER) {
            self.wait = None;
        }
        let wait = self.wait.map_or(FIRST, |last| (last * 2).min(LONGEST));
        self.wait = Some(wait);
        *self.retry_at.insert(now + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert!(backoff.due(now));
        let waits = [(); 7].map(|()| (backoff.failed(now) - now).as_millis());
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert!(!backoff.due(now + Duration::from_millis(9_999)));
        assert!(backoff.due(now + LONGEST));
    }

    #[test]
    fn only_what_worked_for_a_while_starts_anew() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut broke_after = |worked: Duration| {
            backoff.worked(now);
            backoff.worked(now + worked);
            (backoff.failed(now + worked) - (now + worked)).as_millis()
        };
        let flapping = [(); 3].map(|()| broke_after(Duration::from_secs(1)));
        assert_eq!(flapping, [500, 1000, 2000]);
        assert_eq!(broke_after(RECOVERED_AFTER), 500);
    }
}
