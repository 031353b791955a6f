//! What the encoder tests stand on: the virtual encoder and its faults, and pictures.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use p2pcam_agent::media::video::{
    AccessUnit, Bitrate, RawFrame, VideoEncoder,
    encoder::{
        EncoderSettings,
        m2m::{Engine, Layout, M2mDevice, M2mEncoder, Ticket, discover},
    },
    v4l2::FourCc,
};

use crate::support::{node_info, video_nodes};

/// The virtual encoder's driver, as long as nobody gives it another name.
pub const DRIVER: &str = "p2pcam-venc";
/// What vicodec makes.
pub const FWHT: FourCc = FourCc(*b"FWHT");
pub const FPS: u32 = 30;
pub const SIZE: (u32, u32) = (640, 360);

/// The nodes of a driver.
pub fn nodes_of(driver: &str) -> Vec<PathBuf> {
    let is_its = |node: &PathBuf| node_info(node).is_some_and(|(name, _)| name == driver);
    video_nodes().into_iter().filter(is_its).collect()
}

/// The virtual encoder.
pub fn venc() -> M2mDevice {
    discover().unwrap().remove(0)
}

pub fn settings((width, height): (u32, u32), bitrate: u32) -> EncoderSettings {
    EncoderSettings { width, height, fps: FPS, bitrate: Bitrate(bitrate), keyframe_interval: 1000 }
}

pub fn open(size: (u32, u32), bitrate: u32) -> M2mEncoder {
    M2mEncoder::open(&venc(), &settings(size, bitrate)).unwrap()
}

/// Where the virtual encoder's faults, quirks and counters are.
fn parameter_file(name: &str) -> PathBuf {
    PathBuf::from("/sys/module/p2pcam_venc/parameters").join(name)
}

/// A counter of the virtual encoder.
pub fn parameter(name: &str) -> i64 {
    fs::read_to_string(parameter_file(name)).unwrap().trim().parse().unwrap()
}

/// A fault or quirk of the virtual encoder, taken back when dropped.
pub struct Parameter {
    name: &'static str,
    before: String,
}

impl Parameter {
    pub fn set(name: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(parameter_file(name)).unwrap();
        fs::write(parameter_file(name), value).unwrap();
        Self { name, before }
    }
}

impl Drop for Parameter {
    fn drop(&mut self) {
        let _ = fs::write(parameter_file(self.name), self.before.trim());
    }
}

/// When a picture of a stream is taken.
pub fn at(number: u64) -> Instant {
    Instant::now() + Duration::from_millis(number * 1000 / u64::from(FPS))
}

/// Grain that changes with every picture, over a slope: what takes bits, and shows rows and colours that are mixed up.
pub fn noise((width, height): (u32, u32), number: u64) -> RawFrame {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let luma = (0..width * height).map(|index| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (x, y) = (index % width, index / width);
        32 + (x * 80 / width + y * 80 / height) as u8 + (state >> 59) as u8
    });
    let chroma = |from: u8, to: u8| {
        let rows = (0..height / 2).map(move |y| from + (u32::from(to - from) * y / (height / 2)) as u8);
        rows.flat_map(|value| std::iter::repeat_n(value, (width / 2) as usize)).collect()
    };
    RawFrame::new(width, height, [luma.collect(), chroma(60, 190), chroma(100, 150)], at(number))
}

/// One picture in, one unit out.
pub fn encode(encoder: &mut M2mEncoder, picture: RawFrame, keyframe: bool) -> AccessUnit {
    encoder.encode(&picture.into(), keyframe).unwrap().unwrap()
}

/// Mean difference of all samples.
pub fn mean_error(one: &RawFrame, other: &RawFrame) -> f64 {
    assert_eq!((one.width, one.height), (other.width, other.height));
    let samples = |frame: &RawFrame| frame.planes.iter().flat_map(|plane| plane.to_vec()).collect::<Vec<_>>();
    let (one, other) = (samples(one), samples(other));
    let sum: u64 = one.iter().zip(&other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}

/// Queues a picture in an engine that takes I420.
pub fn copy_in(engine: &mut Engine, picture: &RawFrame) -> Ticket {
    let write = |layout: &Layout, rows: usize, memory: &mut [u8]| layout.write(picture, rows, memory);
    engine.copy(picture.captured, write).unwrap()
}
