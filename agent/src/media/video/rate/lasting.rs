//! The most of what was seen just now: what is below it may be no more than a moment's dip.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::steady::HOLD;

/// A rate that is lower for a shorter time is a dip: an estimator that empties the path's queue is back within it, and a
/// move costs a key frame that is due just then.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Key frames only is what a viewer comes back from last, so it is sent there only when nothing better could be had
/// for as long as it takes to come back.
pub(super) const LONG_PATIENCE: Duration = HOLD;
/// Values are kept as maxima of so long each: at most 42 of them.
const BUCKET: Duration = Duration::from_millis(100);

/// Maxima over the last [`LONG_PATIENCE`] and parts of it, each longer by up to [`BUCKET`].
#[derive(Clone, Debug, Default)]
pub(super) struct Lasting {
    maxima: VecDeque<(Instant, u64)>,
    began: Option<Instant>,
}

impl Lasting {
    /// Takes in a value.
    pub(super) fn push(&mut self, now: Instant, value: u64) {
        self.began.get_or_insert(now);
        while self.maxima.front().is_some_and(|(start, _)| now >= *start + LONG_PATIENCE + BUCKET) {
            self.maxima.pop_front();
        }
        match self.maxima.back_mut() {
            Some((start, most)) if now < *start + BUCKET => *most = value.max(*most),
            _ => self.maxima.push_back((now, value)),
        }
    }

    /// The most of the last [`PATIENCE`].
    pub(super) fn most(&self, now: Instant) -> u64 {
        let lately = self.maxima.iter().rev().take_while(|(start, _)| now < *start + PATIENCE + BUCKET);
        lately.map(|(_, most)| *most).max().unwrap_or(0)
    }

    /// The most of the last [`LONG_PATIENCE`]; without limit while values have been known for less than that.
    pub(super) fn long_most(&self, now: Instant) -> u64 {
        match self.began {
            Some(began) if now >= began + LONG_PATIENCE => {
                self.maxima.iter().map(|(_, most)| *most).max().unwrap_or(0)
            }
            _ => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_shows_when_it_has_lasted_for_a_second_and_for_four() {
        let (mut lasting, start) = (Lasting::default(), Instant::now());
        let mut at = |ms, value| {
            let now = start + Duration::from_millis(ms);
            lasting.push(now, value);
            (lasting.most(now), lasting.long_most(now))
        };
        assert_eq!(at(0, 100), (100, u64::MAX));
        for ms in (50..1100).step_by(50) {
            assert_eq!(at(ms, 10), (100, u64::MAX), "{ms}");
        }
        assert_eq!(at(1100, 10), (10, u64::MAX));
        assert_eq!(at(1110, 20), (20, u64::MAX), "a rise shows at once");
        assert_eq!(at(4050, 10), (10, 100));
        assert_eq!(at(4100, 10), (10, 20));
        (5000..20_000).step_by(20).for_each(|ms| assert!(at(ms, 10) == (10, 10) || ms < 5300));
        assert!(lasting.maxima.len() <= 42);
    }
}
