//! The pictures since the last key frame of a stream that is passed through, so that a newcomer can start at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::AccessUnit;

/// A longer group is not kept: 600 units are 20 s at 30 fps.
const MAX_UNITS: usize = 600;
/// A heavier group is not kept: 4 MiB are 16 s at 2 Mbit/s, and more would take too long to send.
const MAX_BYTES: usize = 4 << 20;
/// Replayed pictures are so far apart in capture time: the viewer plays them as fast as it can decode, and its
/// clock does not fall behind.
const REPLAY_SPACING: Duration = Duration::from_millis(1);

/// A bounded cache of one group of pictures.
#[derive(Debug, Default)]
pub struct Gop {
    units: Vec<Arc<AccessUnit>>,
    bytes: usize,
    started: bool,
}

impl Gop {
    /// Takes in the next unit. False if it cannot be decoded, because no key frame has come yet.
    pub fn push(&mut self, unit: &Arc<AccessUnit>) -> bool {
        if unit.keyframe {
            self.units.clear();
            self.bytes = 0;
            self.started = true;
        } else if self.units.is_empty() {
            return self.started;
        }
        self.bytes += unit.data.len();
        if self.units.len() == MAX_UNITS || self.bytes > MAX_BYTES {
            self.units.clear();
            return true;
        }
        self.units.push(unit.clone());
        true
    }

    /// Forgets everything: the next unit must be a key frame.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The units since the key frame; empty if there is none or they were too many.
    pub fn units(&self) -> &[Arc<AccessUnit>] {
        &self.units
    }

    /// The units with capture times that end at the newest one's and lie after `after`, what the viewer has had.
    pub fn replay(&self, after: Option<Instant>) -> Vec<Arc<AccessUnit>> {
        let Some(newest) = self.units.last().map(|unit| unit.captured) else { return Vec::new() };
        let count = self.units.len() as u32;
        let room = after.map_or(Duration::MAX, |after| newest.saturating_duration_since(after));
        let spacing = REPLAY_SPACING.min(room / count);
        let squeeze = |(index, unit): (usize, &Arc<AccessUnit>)| {
            let behind = spacing * (count - 1 - index as u32);
            let captured = newest.checked_sub(behind).unwrap_or(newest);
            Arc::new(AccessUnit { captured, ..AccessUnit::clone(unit) })
        };
        self.units.iter().enumerate().map(squeeze).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::VideoCodec;

    fn unit(keyframe: bool, captured: Instant, bytes: usize) -> Arc<AccessUnit> {
        let (data, codec) = (vec![0; bytes].into(), VideoCodec::H264);
        Arc::new(AccessUnit::passed(codec, data, keyframe, (16, 16), (captured, captured)))
    }

    fn group(length: usize, start: Instant) -> Gop {
        let mut gop = Gop::default();
        for index in 0..length {
            assert!(gop.push(&unit(index == 0, start + Duration::from_millis(33) * index as u32, 10)));
        }
        gop
    }

    #[test]
    fn nothing_can_be_decoded_before_the_first_key_frame() {
        let mut gop = Gop::default();
        assert!(!gop.push(&unit(false, Instant::now(), 10)));
        assert!(gop.replay(None).is_empty());
    }

    #[test]
    fn a_replay_ends_at_the_newest_unit_with_a_millisecond_between() {
        let start = Instant::now();
        let replay = group(10, start).replay(None);
        let newest = start + Duration::from_millis(33 * 9);
        let behind: Vec<_> = replay.iter().map(|unit| (newest - unit.captured).as_millis()).collect();
        assert_eq!(behind, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        assert!(replay[0].keyframe);
    }

    #[test]
    fn a_replay_for_a_viewer_with_a_picture_lies_after_what_it_has_had() {
        let start = Instant::now();
        let gop = group(100, start);
        let had = start + Duration::from_millis(33 * 98);
        let replay = gop.replay(Some(had));
        assert!(replay[0].captured > had);
        assert!(replay.windows(2).all(|pair| pair[0].captured < pair[1].captured));
        assert_eq!(replay[99].captured, start + Duration::from_millis(33 * 99));
    }

    #[test]
    fn a_group_that_is_too_long_or_too_heavy_is_not_kept_but_still_passed_on() {
        let start = Instant::now();
        let mut long = group(MAX_UNITS, start);
        assert!(long.push(&unit(false, start, 10)));
        assert!(long.units().is_empty());
        assert!(long.push(&unit(false, start, 10)) && long.units().is_empty());
        let mut heavy = group(1, start);
        assert!(heavy.push(&unit(false, start, MAX_BYTES)) && heavy.units().is_empty());
        assert!(heavy.push(&unit(true, start, 10)) && heavy.units().len() == 1);
    }
}
