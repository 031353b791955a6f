//! What is known of a stream that is passed through: it has no rate to set, only one to measure.

use std::time::{Duration, Instant};

use super::{AccessUnit, Bitrate};

/// The rate is measured over so long each: long enough for several pictures at any frame rate, and for a rate control to
/// level out.
const WINDOW: Duration = Duration::from_secs(2);

/// The figures of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bits a second; 0 before the first two seconds are over.
    pub rate: Bitrate,
    /// Some of its pictures are such that none refers to.
    pub discardable: bool,
    /// Bits of its last key frame.
    pub keyframe_bits: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Passing {
    figures: Option<Figures>,
    since: Option<Instant>,
    bits: u64,
    discardable: bool,
}

impl Passing {
    /// A unit of the stream.
    pub fn push(&mut self, unit: &AccessUnit, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        let figures = self.figures.get_or_insert_default();
        if elapsed >= WINDOW {
            let rate = self.bits * 1000 / elapsed.as_millis().max(1) as u64;
            figures.rate = Bitrate(u32::try_from(rate).unwrap_or(u32::MAX));
            figures.discardable = self.discardable;
            (self.since, self.bits, self.discardable) = (Some(now), 0, false);
        }
        let bits = unit.data.len() as u64 * 8;
        self.bits += bits;
        self.discardable |= unit.discardable;
        if unit.keyframe {
            figures.keyframe_bits = bits;
        }
    }

    /// The figures, if a stream is passed through at all.
    pub fn now(&self) -> Option<Figures> {
        self.figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::VideoCodec;

    #[test]
    fn the_rate_is_that_of_the_last_whole_window_and_unknown_before() {
        let (mut passing, start) = (Passing::default(), Instant::now());
        assert_eq!(passing.now(), None);
        for picture in 0..=60u32 {
            let now = start + Duration::from_secs(2) * picture / 60;
            let data = vec![1; 1000].into();
            let unit = AccessUnit::passed(VideoCodec::H264, data, picture == 0, (16, 16), (now, now));
            passing.push(&unit, now);
            let rate = if picture < 60 { 0 } else { 240_000 };
            let figures = Figures { rate: Bitrate(rate), discardable: false, keyframe_bits: 8000 };
            assert_eq!(passing.now(), Some(figures));
        }
    }
}
