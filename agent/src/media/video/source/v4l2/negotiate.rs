//! Which of a camera's modes is taken: a pure choice from a list.

use crate::media::video::PixelFormat;

/// One thing that a camera can do.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraMode {
    /// How the picture comes.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second that it can be set to; empty if the driver does not say.
    pub fps: Vec<f64>,
}

impl CameraMode {
    /// The rate to set for a wanted one: the lowest that is enough, else the highest.
    pub fn rate_for(&self, wanted: u32) -> u32 {
        let wanted_rate = f64::from(wanted);
        let enough = self.fps.iter().copied().filter(|fps| *fps >= wanted_rate * ENOUGH).reduce(f64::min);
        let rate = enough.or_else(|| self.fps.iter().copied().reduce(f64::max)).unwrap_or(wanted_rate);
        (rate.round() as u32).clamp(1, 240)
    }
}

/// A rate this close below the wanted one is as good (29.97 for 30, 28 for 30).
const ENOUGH: f64 = 0.9;

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
}

/// The best mode: the size that is nearest, then a rate that is enough, then the format that comes first in `formats`;
/// others are not taken. H.264 is taken only at exactly the wanted size and rate: elsewhere an own encoder serves viewers
/// better, as it obeys them.
pub fn choose<'a>(
    modes: &'a [CameraMode],
    wanted: Wanted,
    formats: &[PixelFormat],
) -> Option<&'a CameraMode> {
    let exact = |mode: &CameraMode| (mode.width, mode.height) == (wanted.width, wanted.height);
    let missing = |mode: &CameraMode| {
        let rate = mode.rate_for(wanted.fps);
        if f64::from(rate) >= f64::from(wanted.fps) * ENOUGH { 0 } else { wanted.fps - rate.min(wanted.fps) }
    };
    let usable = |mode: &&CameraMode| {
        let even = mode.width.is_multiple_of(2)
            && mode.height.is_multiple_of(2)
            && mode.width >= 16
            && mode.height >= 16;
        even && (mode.format != PixelFormat::H264 || (exact(mode) && missing(mode) == 0))
    };
    let distance = |mode: &CameraMode| {
        let pixels = |width, height| i64::from(width) * i64::from(height);
        pixels(mode.width, mode.height).abs_diff(pixels(wanted.width, wanted.height))
            + u64::from(mode.width.abs_diff(wanted.width))
    };
    let rank = |mode: &CameraMode| formats.iter().position(|format| *format == mode.format);
    let taken = modes.iter().filter(|mode| usable(mode) && rank(mode).is_some());
    taken.min_by_key(|mode| (distance(mode), missing(mode), rank(mode)))
}

/// The size of a stepwise range that is nearest to the wanted one; `step` 0 counts as 1.
pub fn nearest_step(wanted: u32, min: u32, max: u32, step: u32) -> u32 {
    let wanted = wanted.clamp(min, max.max(min));
    let step = step.max(1);
    min + (wanted - min) / step * step
}

#[cfg(test)]
mod tests {
    use super::*;
    use PixelFormat::{H264, Mjpeg, Nv12, Yuyv};

    const HD: Wanted = Wanted { width: 1280, height: 720, fps: 30 };

    fn mode(format: PixelFormat, width: u32, height: u32, fps: &[f64]) -> CameraMode {
        CameraMode { format, width, height, fps: fps.to_vec() }
    }

    /// What a common USB camera offers: raw HD is too slow for USB 2.
    fn webcam() -> Vec<CameraMode> {
        vec![
            mode(Yuyv, 640, 480, &[30.0, 15.0]),
            mode(Yuyv, 1280, 720, &[10.0, 5.0]),
            mode(Mjpeg, 640, 480, &[30.0]),
            mode(Mjpeg, 1280, 720, &[30.0, 29.97, 15.0]),
            mode(Mjpeg, 1920, 1080, &[30.0]),
        ]
    }

    fn chosen(modes: &[CameraMode], wanted: Wanted) -> Option<(PixelFormat, u32, u32)> {
        choose(modes, wanted, &PixelFormat::ALL)
            .map(|mode| (mode.format, mode.height, mode.rate_for(wanted.fps)))
    }

    #[test]
    fn raw_is_taken_where_it_is_fast_enough_and_jpeg_where_not() {
        assert_eq!(chosen(&webcam(), HD), Some((Mjpeg, 720, 30)));
        assert_eq!(chosen(&webcam(), Wanted { width: 640, height: 480, fps: 30 }), Some((Yuyv, 480, 30)));
        assert_eq!(chosen(&webcam(), Wanted { fps: 10, ..HD }), Some((Yuyv, 720, 10)));
    }

    #[test]
    fn h264_comes_first_but_only_at_the_wanted_size_and_rate() {
        let with = |height, fps| [webcam(), vec![mode(H264, height * 16 / 9, height, &[fps])]].concat();
        assert_eq!(chosen(&with(720, 30.0), HD), Some((H264, 720, 30)));
        assert_eq!(chosen(&with(1080, 30.0), HD), Some((Mjpeg, 720, 30)));
        assert_eq!(chosen(&with(720, 15.0), HD), Some((Mjpeg, 720, 30)));
    }

    #[test]
    fn the_encoders_order_decides_between_formats_and_what_it_leaves_out_is_not_taken() {
        let modes = [mode(H264, 1280, 720, &[30.0]), mode(Nv12, 1280, 720, &[30.0])];
        let chosen = |formats: &[PixelFormat]| choose(&modes, HD, formats).map(|mode| mode.format);
        assert_eq!(chosen(&[Nv12, H264]), Some(Nv12));
        assert_eq!(chosen(&[H264, Nv12]), Some(H264));
        assert_eq!(chosen(&[Yuyv]), None);
    }

    #[test]
    fn the_nearest_size_is_taken_when_the_wanted_one_is_missing() {
        let modes = [mode(Yuyv, 320, 240, &[30.0]), mode(Nv12, 640, 480, &[30.0])];
        assert_eq!(chosen(&modes, HD), Some((Nv12, 480, 30)));
        assert_eq!(chosen(&[mode(Yuyv, 641, 480, &[30.0])], HD), None, "odd sizes cannot be encoded");
        assert_eq!(chosen(&[], HD), None);
    }

    #[test]
    fn a_driver_that_names_no_rates_is_asked_for_the_wanted_one() {
        assert_eq!(mode(Yuyv, 640, 480, &[]).rate_for(30), 30);
        assert_eq!(mode(Yuyv, 640, 480, &[60.0, 29.97, 15.0]).rate_for(30), 30);
        assert_eq!(mode(Yuyv, 640, 480, &[15.0, 7.5]).rate_for(30), 15);
    }

    #[test]
    fn steps_are_met() {
        assert_eq!(nearest_step(1280, 64, 2592, 2), 1280);
        assert_eq!(nearest_step(1281, 64, 2592, 16), 1280);
        assert_eq!(nearest_step(4000, 64, 2592, 0), 2592);
        assert_eq!(nearest_step(10, 64, 64, 8), 64);
    }

    #[test]
    fn codes_are_read_both_ways() {
        for format in PixelFormat::ALL {
            assert_eq!(PixelFormat::from_fourcc(format.fourcc()), Some(format));
        }
        assert_eq!(PixelFormat::from_fourcc(*b"JPEG"), Some(Mjpeg));
        assert_eq!(PixelFormat::from_fourcc(*b"BA81"), None);
    }
}
