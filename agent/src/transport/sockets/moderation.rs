//! When datagrams are collected for a moment rather than taken one by one, as network drivers do with interrupts.
//!
//! Viewers report 20 times a second each, none at the same time as another. Collected, they wake a
//! board half as often (docs/benchmarks.md).

use std::time::{Duration, Instant};

use crate::transport::coarse::{GRID, coarse};

/// More than this many datagrams a second are collected: what three viewers report. Below, nothing waits, and the wake-ups cost
/// nobody anything.
const BUSY: u32 = 50;
/// The same where somebody is in a hurry: what seven viewers report, or one says and two hear.
const BUSY_IN_A_HURRY: u32 = 150;
/// So many are a flood, and not what 64 viewers report: left waiting long they would fill the socket's buffer, and what viewers say be
/// lost with them.
const FLOOD: u32 = 2000;
/// The rate is that of windows this long.
const WINDOW: Duration = Duration::from_millis(200);
/// So long is waited for a picture or sound to leave, if nobody is in a hurry: longer than between two at 25 a second.
const LONGEST: Duration = Duration::from_millis(45);

/// See the module's documentation.
#[derive(Debug)]
pub(in crate::transport) struct Moderation {
    since: Instant,
    count: u32,
    /// Datagrams a second in the last window.
    rate: f64,
}

impl Moderation {
    /// Nothing came yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, count: 0, rate: 0.0 }
    }

    /// `count` datagrams came; until when the next ones are to be collected, if they are. Where somebody is in a hurry, 5 to 15 ms:
    /// what is sent again then leaves that much later, which is little beside the round trip of a path that loses packets. Else up
    /// to the next beat, and at most about 50 ms.
    pub fn collects(&mut self, now: Instant, count: usize, hurried: bool) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            // After a pause the window was longer than meant, and what came in it is that much less.
            self.rate = f64::from(self.count) / passed.as_secs_f64();
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let busy = if hurried { BUSY_IN_A_HURRY } else { BUSY };
        let wait = if hurried || self.rate > f64::from(FLOOD) { GRID / 2 } else { LONGEST };
        (self.rate >= f64::from(busy)).then(|| coarse(now + wait))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Datagrams at even distances for three seconds; the share of them after which is waited.
    fn collected(start: Instant, a_second: u32, hurried: bool) -> (Moderation, f64) {
        let (mut moderation, count) = (Moderation::new(start), 3 * a_second);
        let waits = (1..=count).filter(|n| {
            moderation.collects(start + Duration::from_secs(1) * *n / a_second, 1, hurried).is_some()
        });
        let waits = waits.count();
        (moderation, waits as f64 / f64::from(count))
    }

    #[test]
    fn a_few_viewers_are_heard_at_once_and_more_of_them_in_a_hurry() {
        let start = Instant::now();
        for (a_second, hurried) in [(40, false), (120, true)] {
            assert_eq!(collected(start, a_second, hurried).1, 0.0, "{a_second} a second");
        }
    }

    #[test]
    fn many_are_collected_after_the_first_window() {
        let start = Instant::now();
        for (a_second, hurried) in [(80, false), (400, true)] {
            let (_, share) = collected(start, a_second, hurried);
            assert!((0.9..0.99).contains(&share), "{share} of {a_second} a second");
        }
    }

    #[test]
    fn without_a_hurry_they_are_collected_longer_than_pictures_are_apart() {
        let start = Instant::now();
        let (mut moderation, _) = collected(start, 400, false);
        let now = start + Duration::from_secs(3);
        let until = moderation.collects(now, 1, false).unwrap() - now;
        assert!((LONGEST..=LONGEST + GRID).contains(&until), "{until:?}");
    }

    #[test]
    fn a_flood_is_never_left_waiting_for_long() {
        let start = Instant::now();
        let (mut moderation, _) = collected(start, 5000, false);
        let now = start + Duration::from_secs(3);
        let until = moderation.collects(now, 1, false).unwrap() - now;
        assert!((GRID / 2..=GRID * 3 / 2).contains(&until), "{until:?}");
    }

    #[test]
    fn when_they_have_gone_the_next_is_heard_at_once() {
        let start = Instant::now();
        let (mut moderation, share) = collected(start, 400, true);
        assert!(share > 0.8);
        assert_eq!(moderation.collects(start + Duration::from_secs(30), 1, true), None);
    }

    #[test]
    fn a_flood_of_one_window_is_not_held_against_what_comes_later() {
        let start = Instant::now();
        let mut moderation = Moderation::new(start);
        moderation.collects(start, usize::MAX, true);
        let until = moderation.collects(start + WINDOW, 1, true).unwrap() - (start + WINDOW);
        assert!((GRID / 2..=GRID * 3 / 2).contains(&until), "{until:?}");
        assert_eq!(moderation.collects(start + 2 * WINDOW, 1, true), None);
    }
}
