//! How long pictures may wait for a slow viewer, and what follows when they did: it loses whole pictures up to the next key
//! frame, which is asked for when the way is clear.

use std::time::{Duration, Instant};

use crate::media::video::AccessUnit;

/// Older pictures are not worth sending: a live view that is so late is better off with a fresh key frame. Above the time that a
/// key frame of 100 kB takes at 2.5 Mbit/s.
const LIMIT: Duration = Duration::from_millis(400);

/// With a picture that waits for so long, those that nothing refers to are left out: two pictures at 30 a second.
const BUSY: Duration = Duration::from_millis(66);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// The viewer lacks pictures: the next to be sent is a key frame.
    lacks: bool,
    /// A key frame was asked for since.
    asked: bool,
    lost: u64,
}

impl Patience {
    /// Whether the oldest picture waits too long.
    pub fn is_over(&self, now: Instant, oldest: Option<Instant>) -> bool {
        oldest.is_some_and(|since| now.saturating_duration_since(since) > LIMIT)
    }

    /// So many pictures were left out.
    pub fn lost(&mut self, pictures: usize) {
        if pictures > 0 {
            (self.lacks, self.asked) = (true, false);
            self.lost += pictures as u64;
        }
    }

    /// So many pictures were left out, and others will never be whole; a key frame was asked for at once.
    pub fn gave_up(&mut self, pictures: usize) {
        (self.lacks, self.asked) = (true, true);
        self.lost += pictures as u64;
    }

    /// Whether the next picture is to be sent, while the oldest of those before it waits since then.
    pub fn takes(&mut self, now: Instant, oldest: Option<Instant>, unit: &AccessUnit) -> bool {
        let is_busy = oldest.is_some_and(|since| now.saturating_duration_since(since) > BUSY);
        if (self.lacks && !unit.keyframe) || (is_busy && unit.discardable) {
            self.lost += 1;
            return false;
        }
        self.lacks = false;
        true
    }

    /// Whether a key frame is to be asked for: once, when nothing waits any more.
    pub fn asks(&mut self, is_clear: bool) -> bool {
        let asks = self.lacks && is_clear && !self.asked;
        self.asked |= asks;
        asks
    }

    /// Pictures left out since the last call.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::VideoCodec;

    fn unit(keyframe: bool, discardable: bool) -> AccessUnit {
        let now = Instant::now();
        let unit = AccessUnit::passed(VideoCodec::Vp8, vec![0; 10].into(), keyframe, (16, 16), (now, now));
        AccessUnit { discardable, ..unit }
    }

    #[test]
    fn after_a_loss_only_a_key_frame_is_taken_and_one_is_asked_for_when_the_way_is_clear() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        assert!(patience.takes(now, None, &unit(false, false)) && !patience.asks(true));
        patience.lost(2);
        assert!(!patience.takes(now, None, &unit(false, false)));
        assert_eq!([false, true, true].map(|clear| patience.asks(clear)), [false, true, false]);
        assert!(
            patience.takes(now, None, &unit(true, false)) && patience.takes(now, None, &unit(false, false))
        );
        assert_eq!((patience.take_lost(), patience.take_lost()), (3, 0));
    }

    #[test]
    fn what_was_given_up_is_not_asked_for_twice() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        patience.gave_up(0);
        assert!(!patience.takes(now, None, &unit(false, false)) && !patience.asks(true));
        assert!(patience.takes(now, None, &unit(true, false)));
    }

    #[test]
    fn what_nothing_refers_to_is_left_out_first_and_leaves_no_gap() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let late = now + BUSY + Duration::from_millis(1);
        assert!(
            patience.takes(late, None, &unit(false, true))
                && patience.takes(now + BUSY, Some(now), &unit(false, true))
        );
        assert!(!patience.takes(late, Some(now), &unit(false, true)));
        assert!(patience.takes(late, Some(now), &unit(false, false)) && !patience.asks(true));
    }

    #[test]
    fn pictures_may_wait_for_a_while() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert!(!patience.is_over(now, None) && !patience.is_over(now + LIMIT, Some(now)));
        assert!(patience.is_over(now + LIMIT + Duration::from_millis(1), Some(now)));
    }
}
