//! Pictures out of encoded ones: decoded, and their burnt-in numbers and clock read.

use std::time::{SystemTime, UNIX_EPOCH};

use p2pcam_agent::media::video::{
    AccessUnit, VideoCodec,
    annexb::{NAL_IDR, nal_type, nal_units},
    decoder::H264Decoder,
    pattern::{Strip, read_strip},
};

use super::assembler::Unit;

/// A picture that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// What the test pattern carries (docs/test-pattern.md), if it is one.
    pub strip: Option<Strip>,
}

/// See the module.
#[derive(Default)]
pub struct Decoding {
    /// `None` until there is a key frame to begin with.
    decoder: Option<H264Decoder>,
}

impl Decoding {
    /// Nothing can be decoded before a key frame comes.
    pub fn needs_keyframe(&self) -> bool {
        self.decoder.is_none()
    }

    /// Decodes a picture. `None` if it, or what it refers to, is not whole.
    pub fn decode(&mut self, unit: Unit) -> Option<Picture> {
        let keyframe = nal_units(&unit.data).any(|nal| nal_type(nal) == NAL_IDR);
        if unit.after_loss {
            self.decoder = None;
        }
        if self.decoder.is_none() && keyframe {
            self.decoder = H264Decoder::new().ok();
        }
        let times = (unit.complete, unit.complete);
        let unit = AccessUnit::passed(VideoCodec::H264, unit.data, keyframe, (0, 0), times);
        match self.decoder.as_mut()?.decode(&unit) {
            Ok(frame) => {
                let frame = frame?;
                let (width, height) = (frame.width as usize, frame.height as usize);
                let strip = read_strip(&frame.planes[0], width, height, width);
                Some(Picture { width: frame.width, height: frame.height, strip })
            }
            Err(_) => {
                self.decoder = None;
                None
            }
        }
    }
}

/// Counts the numbers that were not seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    last: Option<u32>,
    missing: u64,
}

impl Numbers {
    /// Takes in the number of the picture that is seen now.
    pub fn saw(&mut self, number: u32) {
        let step = self.last.map_or(1, |last| number.wrapping_sub(last) as i32);
        // A device that started again counts from 0.
        self.missing += u64::try_from(step - 1).unwrap_or(0);
        self.last = Some(number);
    }

    /// How many were not, since the start.
    pub fn missing(&self) -> u64 {
        self.missing
    }
}

/// Milliseconds from a strip's clock to this one.
pub fn age_ms(strip: Strip, wall: SystemTime) -> f64 {
    let now = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs_f64() * 1e3 - strip.time_ms as f64
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use super::*;

    #[test]
    fn numbers_that_were_left_out_are_counted_also_where_they_wrap() {
        let mut numbers = Numbers::default();
        for number in [u32::MAX - 3, u32::MAX - 2, u32::MAX, 0, 4] {
            numbers.saw(number);
        }
        assert_eq!(numbers.missing(), 1 + 3);
    }

    #[test]
    fn a_device_that_counts_anew_misses_nothing() {
        let mut numbers = Numbers::default();
        for number in [5000, 5001, 0, 1, 2] {
            numbers.saw(number);
        }
        assert_eq!(numbers.missing(), 0);
    }

    #[test]
    fn without_a_key_frame_nothing_is_decoded() {
        let mut decoding = Decoding::default();
        let unit = Unit {
            data: Bytes::from_static(&[0, 0, 0, 1, 0x41, 1, 2, 3]),
            rtp_time: 0,
            complete: Instant::now(),
            after_loss: false,
        };
        assert_eq!(decoding.decode(unit), None);
        assert!(decoding.needs_keyframe());
    }

    #[test]
    fn the_age_of_a_picture_is_the_difference_of_clocks() {
        let wall = UNIX_EPOCH + Duration::from_millis(1_500_000_080);
        assert_eq!(age_ms(Strip { frame: 1, time_ms: 1_500_000_000 }, wall), 80.0);
    }
}
