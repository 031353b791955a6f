//! Pictures kept while the path is being made, so that the first one goes out the moment it is up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::media::video::AccessUnit;

/// Kept pictures may span this much: longer, and a fresh key frame is cheaper than a burst of old pictures.
const MAX_SPAN: Duration = Duration::from_millis(400);
/// Room for the group of pictures that a pass-through source replays.
const MAX_UNITS: usize = 640;
/// Replayed pictures are this far apart in RTP time: shown as one, and the clock does not lag.
const SQUEEZE: Duration = Duration::from_millis(1);

/// The pictures since the last key frame.
#[derive(Default)]
pub struct WarmUp {
    units: Vec<Arc<AccessUnit>>,
}

impl WarmUp {
    /// Keeps a picture. False: it took too long, all is dropped and the source is not needed for now.
    pub fn keep(&mut self, unit: Arc<AccessUnit>) -> bool {
        if unit.keyframe {
            self.units.clear();
        } else if self.units.is_empty() {
            return true;
        }
        self.units.push(unit);
        let span = self.units.first().zip(self.units.last());
        let span = span.map(|(a, b)| b.captured.saturating_duration_since(a.captured)).unwrap_or_default();
        if span > MAX_SPAN || self.units.len() > MAX_UNITS {
            self.units.clear();
            return false;
        }
        true
    }

    /// The kept pictures from the key frame on, squeezed up to the newest; empty: subscribe anew.
    pub fn finish(&mut self) -> Vec<AccessUnit> {
        let units = std::mem::take(&mut self.units);
        let Some(newest) = units.last().map(|u| u.captured) else { return Vec::new() };
        let last = units.len() - 1;
        units.iter().enumerate().map(|(i, unit)| squeezed(unit, newest, last - i)).collect()
    }
}

fn squeezed(unit: &AccessUnit, newest: Instant, before: usize) -> AccessUnit {
    let back = SQUEEZE * u32::try_from(before).unwrap_or(u32::MAX);
    AccessUnit { captured: newest.checked_sub(back).unwrap_or(newest), ..unit.clone() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::video::VideoCodec;

    fn unit(base: Instant, ms: u64, keyframe: bool) -> Arc<AccessUnit> {
        let captured = base + Duration::from_millis(ms);
        let data = Bytes::from(ms.to_string());
        Arc::new(AccessUnit::passed(VideoCodec::H264, data, keyframe, (2, 2), (captured, captured)))
    }

    #[test]
    fn pictures_since_the_last_key_frame_come_out_squeezed_to_the_newest() {
        let base = Instant::now();
        let mut warm = WarmUp::default();
        for (ms, keyframe) in [(0, false), (33, true), (66, false), (100, true), (133, false), (166, false)] {
            assert!(warm.keep(unit(base, ms, keyframe)));
        }
        let out: Vec<_> =
            warm.finish().into_iter().map(|u| (u.data, (u.captured - base).as_millis())).collect();
        assert_eq!(out, [("100".into(), 164), ("133".into(), 165), ("166".into(), 166)]);
        assert!(warm.finish().is_empty());
    }

    #[test]
    fn a_slow_path_drops_them_all() {
        let base = Instant::now();
        let mut warm = WarmUp::default();
        assert!(warm.keep(unit(base, 0, true)));
        assert!(warm.keep(unit(base, 400, false)));
        assert!(!warm.keep(unit(base, 401, false)));
        assert!(warm.finish().is_empty());
    }
}
