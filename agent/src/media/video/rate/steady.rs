//! The least of what was seen lately: what can be relied on.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What has lasted for so long is taken for lasting: an estimator that probes has swung back within 2 s.
pub(super) const HOLD: Duration = Duration::from_secs(4);
/// Values are kept as minima of so long each: at most nine of them.
const BUCKET: Duration = Duration::from_millis(500);

/// A minimum over the last [`HOLD`] to `HOLD` + `BUCKET`.
#[derive(Clone, Debug, Default)]
pub(super) struct Steady(VecDeque<(Instant, u64)>);

impl Steady {
    /// Takes in a value and gives the least of the time, with this one.
    pub(super) fn push(&mut self, now: Instant, value: u64) -> u64 {
        while self.0.front().is_some_and(|(start, _)| now > *start + BUCKET + HOLD) {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            Some((start, least)) if now < *start + BUCKET => *least = value.min(*least),
            _ => self.0.push_back((now, value)),
        }
        self.0.iter().map(|(_, least)| *least).fold(value, u64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dip_counts_for_four_seconds_and_a_half_at_most() {
        let (mut steady, start) = (Steady::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        steady.push(at(0), 100);
        steady.push(at(600), 10);
        for ms in (700..=4600).step_by(100) {
            assert_eq!(steady.push(at(ms), 100), 10, "{ms}");
        }
        assert_eq!(steady.push(at(5200), 100), 100);
        assert!(steady.0.len() <= 10);
    }
}
