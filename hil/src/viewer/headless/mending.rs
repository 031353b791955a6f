//! When a session that had a picture needs another path, and how often that is tried: as the hub's page does it. Pure.

use std::time::{Duration, Instant};

/// No packet for this long, where several came each second. The page's.
const SILENT: Duration = Duration::from_secs(1);
/// Between packets on average, at most, for a silence to count. The page's.
const BUSY: Duration = Duration::from_millis(200);
/// Between ICE restarts while the path stays silent. The page's.
const AGAIN: [Duration; 3] = [Duration::from_millis(1500), Duration::from_secs(3), Duration::from_secs(4)];
/// A path that is gone for so long does not come back. The page's.
const LOST: Duration = Duration::from_secs(35);
/// An answer that takes so many times as long as the first one was lost ...
const ANSWERS: u32 = 3;
/// ... but not earlier than this, and not later than ...
const LEAST_ANSWER: Duration = Duration::from_millis(200);
/// ... this. The page's.
const MOST_ANSWER: Duration = Duration::from_secs(1);

/// What the session needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An ICE restart, now.
    Restart,
    /// Another session.
    Another,
}

/// See the module.
#[derive(Debug)]
pub struct Mending {
    heard: Instant,
    pause: Duration,
    offered: Option<Instant>,
    answer: Option<Duration>,
    broken: Option<Instant>,
    again: Instant,
    /// When an answer that was waited for is lost.
    overdue: Option<Instant>,
    tries: usize,
}

impl Mending {
    /// Of a session whose offer goes out now.
    pub fn new(now: Instant) -> Self {
        Self {
            heard: now,
            pause: BUSY * 2,
            offered: Some(now),
            answer: None,
            broken: None,
            again: now,
            overdue: None,
            tries: 0,
        }
    }

    /// A packet of picture or sound came.
    pub fn packet(&mut self, at: Instant) {
        let pause = at.saturating_duration_since(self.heard).min(SILENT);
        self.pause = (self.pause * 15 + pause) / 16;
        self.heard = self.heard.max(at);
    }

    /// The device answered.
    pub fn answered(&mut self, now: Instant) {
        self.overdue = None;
        if let Some(at) = self.offered.take() {
            self.answer.get_or_insert(now.saturating_duration_since(at));
        }
    }

    /// The path is broken, or will be: whether to offer anew now. An answer that may still come is waited for.
    pub fn mend(&mut self, now: Instant, linked: bool) -> bool {
        self.broken.get_or_insert(now);
        let allowed =
            self.answer.map_or(MOST_ANSWER, |first| (first * ANSWERS).clamp(LEAST_ANSWER, MOST_ANSWER));
        self.overdue = self.offered.map(|at| at + allowed).filter(|until| now < *until);
        if self.overdue.is_some() {
            return false;
        }
        if linked {
            self.again = now + AGAIN[self.tries.min(AGAIN.len() - 1)];
            self.tries += 1;
            self.offered = Some(now);
        }
        linked
    }

    /// What time alone brings about.
    pub fn look(&mut self, now: Instant, connected: bool, linked: bool) -> Option<Need> {
        let silent = now.saturating_duration_since(self.heard) >= SILENT;
        let mended = connected && !silent && self.offered.is_none();
        let due = match self.broken {
            Some(_) if mended => {
                (self.broken, self.tries) = (None, 0);
                false
            }
            Some(at) if silent && now.saturating_duration_since(at) >= LOST => return Some(Need::Another),
            Some(_) => now >= self.again || self.overdue.is_some_and(|at| now >= at),
            None => silent && self.pause < BUSY,
        };
        (due && self.mend(now, linked)).then_some(Need::Restart)
    }

    /// The way to the hub is back: what was said before may be lost. Whether to offer anew now.
    pub fn linked_again(&mut self, now: Instant) -> bool {
        self.broken.is_some() && self.mend(now, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A session that was answered in 100 ms and has had packets each 20 ms for a while.
    fn watching() -> (Instant, Mending) {
        let start = Instant::now();
        let mut mending = Mending::new(start);
        mending.answered(start + 100 * MS);
        for n in 1..=100 {
            mending.packet(start + n * 20 * MS);
        }
        (start + 2000 * MS, mending)
    }

    /// Milliseconds of restarts until `to`, looking each 250 ms.
    fn restarts(mending: &mut Mending, now: Instant, to: u32) -> Vec<u32> {
        let looks = (0..=to / 250).map(|n| n * 250);
        looks.filter(|ms| mending.look(now + *ms * MS, false, true) == Some(Need::Restart)).collect()
    }

    #[test]
    fn a_second_of_silence_is_mended_again_and_again_and_given_up_after_35() {
        let (now, mut mending) = watching();
        assert_eq!(restarts(&mut mending, now, 14_000), [1000, 2500, 5500, 9500, 13_500]);
        assert_eq!(mending.look(now + 36_000 * MS, false, true), Some(Need::Another));
    }

    #[test]
    fn the_devices_request_is_answered_at_once_unless_an_answer_may_still_come() {
        let (now, mut mending) = watching();
        assert!(mending.mend(now, true));
        assert!(!mending.mend(now + 299 * MS, true));
        assert!(mending.mend(now + 300 * MS, true));
    }

    #[test]
    fn what_moves_again_is_left_alone() {
        let (now, mut mending) = watching();
        assert!(mending.mend(now, true));
        mending.answered(now + 100 * MS);
        mending.packet(now + 200 * MS);
        assert_eq!(mending.look(now + 250 * MS, true, true), None);
        assert!(!mending.linked_again(now + 260 * MS));
    }

    #[test]
    fn without_the_hub_it_waits_for_it() {
        let (now, mut mending) = watching();
        assert_eq!(mending.look(now + 1000 * MS, false, false), None);
        assert!(mending.linked_again(now + 3000 * MS));
    }
}
