//! When datagrams are collected for a moment rather than taken one by one, as network drivers do with interrupts.
//!
//! Viewers report 20 times a second each, none at the same time as another. Collected, they wake a
//! board half as often (docs/benchmarks.md).

use std::time::{Duration, Instant};

use crate::transport::coarse::{GRID, coarse};

/// More than this many datagrams a second are collected: what seven viewers report, or one says and two hear. Below, nothing
/// waits, and the wake-ups cost nobody anything.
const BUSY: u32 = 150;
/// The rate is that of windows this long.
const WINDOW: Duration = Duration::from_millis(200);

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::transport) struct Moderation {
    since: Instant,
    count: u32,
    busy: bool,
}

impl Moderation {
    /// Nothing came yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, count: 0, busy: false }
    }

    /// `count` datagrams came; until when the next ones are to be collected, if they are: 5 to 15 ms. What is sent again then
    /// leaves that much later, which is little beside the round trip of a path that loses packets.
    pub fn collects(&mut self, now: Instant, count: usize) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            // After a pause the window was longer than meant, and what came in it is that much less.
            self.busy = f64::from(self.count) >= f64::from(BUSY) * passed.as_secs_f64();
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.busy.then(|| coarse(now + GRID / 2))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Datagrams at even distances; the share of them after which is waited.
    fn collected(moderation: &mut Moderation, from: Instant, a_second: u32, seconds: u32) -> f64 {
        let count = a_second * seconds;
        let waits = (1..=count)
            .filter(|n| moderation.collects(from + Duration::from_secs(1) * *n / a_second, 1).is_some());
        waits.count() as f64 / f64::from(count)
    }

    #[test]
    fn a_few_viewers_are_heard_at_once() {
        let start = Instant::now();
        assert_eq!(collected(&mut Moderation::new(start), start, 120, 3), 0.0);
    }

    #[test]
    fn many_are_collected_after_the_first_window() {
        let start = Instant::now();
        let share = collected(&mut Moderation::new(start), start, 400, 3);
        assert!((0.9..0.99).contains(&share), "{share}");
    }

    #[test]
    fn when_they_have_gone_the_next_is_heard_at_once() {
        let start = Instant::now();
        let mut moderation = Moderation::new(start);
        assert!(collected(&mut moderation, start, 400, 2) > 0.8);
        assert_eq!(moderation.collects(start + Duration::from_secs(30), 1), None);
    }

    #[test]
    fn a_flood_of_one_window_is_not_held_against_what_comes_later() {
        let start = Instant::now();
        let mut moderation = Moderation::new(start);
        moderation.collects(start, usize::MAX);
        let until = moderation.collects(start + WINDOW, 1).unwrap() - (start + WINDOW);
        assert!((GRID / 2..=GRID * 3 / 2).contains(&until), "{until:?}");
        assert_eq!(moderation.collects(start + 2 * WINDOW, 1), None);
    }
}
