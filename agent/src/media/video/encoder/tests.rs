//! What both encoders promise, shown with the test pattern and real decoders.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant, UNIX_EPOCH};

use super::*;
use crate::media::video::{
    AccessUnit, RawFrame, VideoFrame,
    annexb::{NAL_IDR, NAL_PPS, NAL_SPS, nal_type, nal_units},
    decoder::H264Decoder,
    pattern::{PatternSource, Strip, read_strip},
    sps::parse_sps,
};

const FPS: u32 = 30;

fn settings(width: u32, height: u32, bitrate: u32) -> EncoderSettings {
    EncoderSettings { width, height, fps: FPS, bitrate: Bitrate(bitrate), keyframe_interval: 300 }
}

/// Encodes so many pictures of the pattern; `before` may act on the encoder before each.
fn encode(
    encoder: &mut dyn VideoEncoder,
    pattern: &PatternSource,
    numbers: std::ops::Range<u64>,
    keyframe_at: Option<u64>,
) -> Vec<AccessUnit> {
    let epoch = Instant::now();
    let frame = |number: u64| -> VideoFrame {
        let time = Duration::from_millis(number * 1000 / u64::from(FPS));
        pattern.draw(number, UNIX_EPOCH + Duration::from_secs(1_700_000_000) + time, epoch + time).into()
    };
    numbers.filter_map(|n| encoder.encode(&frame(n), Some(n) == keyframe_at).unwrap()).collect()
}

fn rate(units: &[AccessUnit]) -> u64 {
    units.iter().map(|unit| unit.data.len() as u64 * 8).sum::<u64>() * u64::from(FPS) / units.len() as u64
}

fn strip(frame: &RawFrame) -> Option<Strip> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    read_strip(&frame.planes[0], width, height, width)
}

#[test]
fn both_encoders_are_listed_h264_first() {
    let taken = encoders(&VideoEncoderSpec::OpenH264).into_iter().filter(|info| info.chosen);
    let names: Vec<_> = taken.map(|info| (info.codec, info.name)).collect();
    let expected = [(VideoCodec::H264, "openh264 (software)"), (VideoCodec::Vp8, "libvpx-vp8 (software)")];
    assert_eq!(names, expected.map(|(codec, name)| (codec, name.to_owned())));
}

#[test]
fn an_idr_comes_first_and_when_forced_and_at_no_other_time() {
    let pattern = PatternSource::new(320, 180, FPS, Instant::now()).unwrap();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut encoder = open_encoder(codec, &settings(320, 180, 300_000)).unwrap();
        let units = encode(&mut *encoder, &pattern, 0..40, Some(25));
        let keyframes: Vec<_> = (0..units.len()).filter(|index| units[*index].keyframe).collect();
        assert_eq!(keyframes, [0, 25], "{codec:?}");
        assert!(
            units
                .iter()
                .all(|unit| unit.codec == codec && unit.encoded >= unit.captured - Duration::from_secs(9))
        );
    }
}

#[test]
fn h264_is_constrained_baseline_with_parameter_sets_before_each_idr() {
    let pattern = PatternSource::new(640, 360, FPS, Instant::now()).unwrap();
    let mut encoder = open_encoder(VideoCodec::H264, &settings(640, 360, 500_000)).unwrap();
    let units = encode(&mut *encoder, &pattern, 0..12, Some(10));
    for unit in units.iter().filter(|unit| unit.keyframe) {
        let nals: Vec<_> = nal_units(&unit.data).collect();
        let kinds: Vec<_> = nals.iter().map(|nal| nal_type(nal)).collect();
        assert_eq!(kinds, [NAL_SPS, NAL_PPS, NAL_IDR]);
        let sps = parse_sps(nals[0]).unwrap();
        assert_eq!((sps.profile, sps.level, sps.width, sps.height), (66, 30, 640, 360));
        assert_eq!(nals[0][2] & 0x40, 0x40, "constraint_set1: constrained");
    }
    assert_eq!(units.iter().filter(|unit| unit.keyframe).count(), 2);
}

#[test]
fn the_strip_can_be_read_after_h264_at_a_low_rate() {
    let pattern = PatternSource::new(640, 360, FPS, Instant::now()).unwrap();
    let mut encoder = open_encoder(VideoCodec::H264, &settings(640, 360, 250_000)).unwrap();
    let mut decoder = H264Decoder::new().unwrap();
    let units = encode(&mut *encoder, &pattern, 1000..1060, None);
    let read: Vec<_> = units
        .iter()
        .map(|unit| strip(&decoder.decode(unit).unwrap().unwrap()).map(|strip| strip.frame))
        .collect();
    assert_eq!(read, (1000..1060).map(Some).collect::<Vec<_>>());
}

#[test]
fn the_strip_can_be_read_after_vp8_at_a_low_rate() {
    let pattern = PatternSource::new(640, 360, FPS, Instant::now()).unwrap();
    let mut encoder = open_encoder(VideoCodec::Vp8, &settings(640, 360, 250_000)).unwrap();
    let mut decoder = VpxDecoder::new().unwrap();
    let units = encode(&mut *encoder, &pattern, 1000..1060, None);
    let read: Vec<_> = units
        .iter()
        .map(|unit| strip(&decoder.decode(&unit.data).unwrap().unwrap()).map(|strip| strip.frame))
        .collect();
    assert_eq!(read, (1000..1060).map(Some).collect::<Vec<_>>());
}

/// Grain that changes with every picture: what no encoder can do cheaply.
fn grain(number: u64, captured: Instant) -> RawFrame {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let luma = (0..640 * 360).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        112 + (state >> 59) as u8
    });
    let chroma = bytes::Bytes::from(vec![128; 320 * 180]);
    RawFrame::new(640, 360, [luma.collect(), chroma.clone(), chroma], captured)
}

#[test]
fn a_new_bitrate_is_followed_down_and_up() {
    let epoch = Instant::now();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut encoder = open_encoder(codec, &settings(640, 360, 1_200_000)).unwrap();
        let mut measure = |bitrate: u32, from: u64| {
            encoder.set_bitrate(Bitrate(bitrate)).unwrap();
            let mut units = Vec::new();
            for number in from..from + 90 {
                let captured = epoch + Duration::from_millis(number * 1000 / u64::from(FPS));
                units.extend(encoder.encode(&grain(number, captured).into(), false).unwrap());
            }
            // One second to settle, two to measure.
            rate(&units[30..])
        };
        let rates = [measure(1_200_000, 0), measure(400_000, 90), measure(1_200_000, 180)];
        for (measured, wanted) in rates.into_iter().zip([1_200_000, 400_000, 1_200_000]) {
            assert!((wanted * 7 / 10..wanted * 13 / 10).contains(&measured), "{codec:?}: {rates:?}");
        }
    }
}

#[test]
fn a_picture_of_another_size_and_a_size_out_of_range_are_refused_in_words() {
    let pattern = PatternSource::new(640, 360, FPS, Instant::now()).unwrap();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut encoder = open_encoder(codec, &settings(320, 180, 300_000)).unwrap();
        assert!(encoder.encode(&pattern.draw(0, UNIX_EPOCH, Instant::now()).into(), false).is_err());
        let error = open_encoder(codec, &settings(20_000, 180, 300_000)).err().unwrap().to_string();
        assert!(error.contains("20000x180") && error.contains("[video]"), "{error}");
    }
}

#[test]
fn layers_can_be_asked_for_after_the_rate_has_gone_up() {
    let pattern = PatternSource::new(320, 180, FPS, Instant::now()).unwrap();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut encoder = open_encoder(codec, &settings(320, 180, 60_000)).unwrap();
        encode(&mut *encoder, &pattern, 0..2, None);
        for (rate, layers) in [(90_000, true), (200_000, false), (150_000, true), (1_000_000, false)] {
            encoder.set_bitrate(Bitrate(rate)).unwrap();
            encoder.set_layers(layers).unwrap();
            assert_eq!(encode(&mut *encoder, &pattern, 2..6, None).len(), 4, "{codec:?} at {rate}");
        }
    }
}

#[test]
fn every_second_picture_can_be_left_out_when_that_is_asked_for() {
    let pattern = PatternSource::new(320, 180, FPS, Instant::now()).unwrap();
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let mut encoder = open_encoder(codec, &settings(320, 180, 300_000)).unwrap();
        assert!(encoder.has_layers());
        let before = encode(&mut *encoder, &pattern, 0..10, None);
        assert!(before.iter().all(|unit| !unit.discardable), "{codec:?}");
        encoder.set_layers(true).unwrap();
        let layered = encode(&mut *encoder, &pattern, 10..50, Some(30));
        let count = layered.iter().filter(|unit| unit.discardable).count();
        assert!((18..=20).contains(&count), "{codec:?}: {count} of 40");
        encoder.set_layers(false).unwrap();
        let after = encode(&mut *encoder, &pattern, 50..60, None);
        assert!(after[1..].iter().all(|unit| !unit.discardable), "{codec:?}");
        // A viewer without them sees the right pictures.
        let (mut h264, mut vp8) = (H264Decoder::new().unwrap(), VpxDecoder::new().unwrap());
        let mut seen = Vec::new();
        let all = before.iter().chain(&layered).chain(&after);
        for unit in all.clone().filter(|unit| !unit.discardable) {
            let frame = match codec {
                VideoCodec::H264 => h264.decode(unit).unwrap().unwrap(),
                VideoCodec::Vp8 => vp8.decode(&unit.data).unwrap().unwrap(),
            };
            seen.push(strip(&frame).map(|strip| strip.frame));
        }
        let expected: Vec<_> = (0u32..).zip(all).filter(|(_, unit)| !unit.discardable).collect();
        let expected: Vec<_> = expected.into_iter().map(|(number, _)| Some(number)).collect();
        assert_eq!(seen, expected, "{codec:?}");
    }
}
