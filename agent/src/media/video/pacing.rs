//! Leaves out pictures, so that fewer a second are encoded than come.

use std::time::{Duration, Instant};

/// Pictures of a source come a little early or late: one that is this part of an interval early is in time. Less than half
/// the source's interval for all of the policy's parts of its frame rate.
const EARLY: u32 = 12;

/// See the module.
#[derive(Debug, Default)]
pub struct Pacing(Option<Instant>);

impl Pacing {
    /// Whether a picture that was taken at this time is encoded. One that is forced is, whenever it comes.
    pub fn takes(&mut self, captured: Instant, fps: u32, forced: bool) -> bool {
        let interval = Duration::from_secs(1) / fps.max(1);
        let due = self.0.unwrap_or(captured);
        if forced || captured > due + interval {
            self.0 = Some(captured + interval);
            return true;
        }
        let takes = captured + interval / EARLY >= due;
        if takes {
            self.0 = Some(due + interval);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of two seconds of pictures, each with up to 2 ms of jitter, are taken.
    fn taken(source: u32, fps: u32, forced: impl Fn(u32) -> bool) -> usize {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        let time = |picture: u32| {
            let jitter = Duration::from_micros(u64::from(picture * 7919 % 2000));
            start + Duration::from_secs(1) * picture / source + jitter
        };
        (0..2 * source).filter(|picture| pacing.takes(time(*picture), fps, forced(*picture))).count()
    }

    #[test]
    fn every_second_third_and_sixth_picture_is_taken_whatever_the_jitter() {
        for (source, fps, count) in [(30, 15, 30), (30, 10, 20), (30, 5, 10), (60, 30, 60), (25, 12, 25)] {
            let got = taken(source, fps, |_| false);
            assert!(got.abs_diff(count) <= 1, "{got} of {source} at {fps}");
        }
    }

    #[test]
    fn a_picture_that_must_be_a_key_frame_is_taken_at_once() {
        assert!((30..=32).contains(&taken(30, 15, |picture| picture == 21)));
    }

    #[test]
    fn after_a_pause_it_does_not_catch_up() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(pacing.takes(at(0), 10, false));
        assert!(pacing.takes(at(5000), 10, false));
        assert!(!pacing.takes(at(5033), 10, false) && !pacing.takes(at(5066), 10, false));
        assert!(pacing.takes(at(5100), 10, false));
    }
}
