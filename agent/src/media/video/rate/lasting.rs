//! The most of what was seen just now: what is below it may be no more than a moment's dip.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A rate that is lower for a shorter time is a dip: an estimator that empties the path's queue is back within it, and a
/// move costs a key frame that is due just then.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Values are kept as maxima of so long each: at most eleven of them.
const BUCKET: Duration = Duration::from_millis(100);

/// A maximum over the last [`PATIENCE`] to `PATIENCE` + `BUCKET`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lasting(VecDeque<(Instant, u64)>);

impl Lasting {
    /// Takes in a value and gives the most of the time, with this one.
    pub(super) fn push(&mut self, now: Instant, value: u64) -> u64 {
        while self.0.front().is_some_and(|(start, _)| now >= *start + PATIENCE + BUCKET) {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            Some((start, most)) if now < *start + BUCKET => *most = value.max(*most),
            _ => self.0.push_back((now, value)),
        }
        self.0.iter().map(|(_, most)| *most).fold(value, u64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_shows_when_it_has_lasted_for_a_second() {
        let (mut lasting, start) = (Lasting::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        lasting.push(at(0), 100);
        for ms in (50..1100).step_by(50) {
            assert_eq!(lasting.push(at(ms), 10), 100, "{ms}");
        }
        assert_eq!(lasting.push(at(1100), 10), 10);
        assert_eq!(lasting.push(at(1110), 20), 20, "a rise shows at once");
        assert!(lasting.0.len() <= 12);
    }
}
