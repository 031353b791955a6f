//! What the busy pattern is for: encoders use up their rate with it, and the strip is still read.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::{PatternSource, read_strip};
use crate::media::video::{
    Bitrate, VideoCodec,
    decoder::H264Decoder,
    encoder::{EncoderSettings, open_encoder},
};

const FPS: u32 = 30;
/// A second to settle, two to measure.
const SETTLING: u64 = 30;
const PICTURES: u64 = 90;

/// The share of the rate that OpenH264 uses, and how many strips were read of all pictures.
fn encoded(width: u32, height: u32, rate: u32) -> (f64, u64) {
    let start = Instant::now();
    let pattern = PatternSource::busy(width, height, FPS, start).unwrap();
    let settings =
        EncoderSettings { width, height, fps: FPS, bitrate: Bitrate(rate), keyframe_interval: 3000 };
    let mut encoder = open_encoder(VideoCodec::H264, &settings).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let (mut bytes, mut read) = (0, 0);
    for number in 0..PICTURES {
        let time = Duration::from_secs(1) * number as u32 / FPS;
        let wall = UNIX_EPOCH + Duration::from_secs(1_763_834_096) + time;
        let frame = pattern.draw(number, wall, start + time);
        let unit = encoder.encode(&frame.into(), false).unwrap().unwrap();
        if number >= SETTLING {
            bytes += unit.data.len();
        }
        let seen = decoder.decode(&unit).unwrap().unwrap();
        let strip = read_strip(&seen.planes[0], width as usize, height as usize, width as usize);
        read += u64::from(strip.is_some_and(|strip| u64::from(strip.frame) == number));
    }
    let seconds = (PICTURES - SETTLING) as f64 / f64::from(FPS);
    (bytes as f64 * 8.0 / seconds / f64::from(rate), read)
}

#[test]
fn openh264_uses_nine_tenths_of_two_and_of_four_megabits_and_the_strip_is_read() {
    for (width, height, rate) in
        [(640, 480, 2_000_000), (640, 480, 4_000_000), (1280, 720, 2_000_000), (1280, 720, 4_000_000)]
    {
        let (used, read) = encoded(width, height, rate);
        assert!((0.9..1.15).contains(&used), "{width}x{height} at {rate} bit/s: {used:.2} of it");
        assert_eq!(read, PICTURES, "{width}x{height} at {rate} bit/s");
    }
}

#[test]
fn the_strip_is_read_at_300_kilobits_a_second() {
    for (width, height) in [(640, 480), (1280, 720)] {
        let (_, read) = encoded(width, height, 300_000);
        assert_eq!(read, PICTURES, "{width}x{height}");
    }
}
