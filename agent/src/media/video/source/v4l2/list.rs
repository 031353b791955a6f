//! The cameras that there are and what they can do.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use v4l::{
    Device, FourCC, capability::Flags, frameinterval::FrameIntervalEnum, framesize::FrameSizeEnum,
    video::Capture,
};

use super::negotiate::{CameraMode, Wanted, nearest_step};
use crate::media::video::PixelFormat;

/// Sizes that are listed of a camera that has ranges instead of a list.
const COMMON_SIZES: [(u32, u32); 4] = [(640, 360), (640, 480), (1280, 720), (1920, 1080)];

/// A V4L2 device, for `devices`.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraInfo {
    /// "/dev/video0"
    pub path: PathBuf,
    /// What it calls itself: "HD USB Camera".
    pub card: String,
    /// Its driver: "uvcvideo".
    pub driver: String,
    /// What it can do that the agent can take.
    pub modes: Vec<CameraMode>,
    /// Codes of formats that the agent cannot take.
    pub other_formats: Vec<String>,
    /// False for a device that gives no pictures (metadata, output, a codec, multi-planar only).
    pub capture: bool,
}

/// All V4L2 devices that can be opened, in the order of their numbers.
pub fn list_cameras() -> Vec<CameraInfo> {
    let mut paths: Vec<(u32, PathBuf)> = fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    paths.sort();
    paths.into_iter().filter_map(|(_, path)| describe(&path).ok()).collect()
}

/// The crate panics on texts and values that it does not expect of a driver: made an error here.
pub fn guarded<T>(path: &Path, action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|_| {
        Err(anyhow!("the driver of {} says something that is not understood", path.display()))
    })
}

fn describe(path: &Path) -> anyhow::Result<CameraInfo> {
    guarded(path, || {
        let device = Device::with_path(path)?;
        let caps = device.query_caps()?;
        let capture = caps.capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING);
        let mut other_formats = Vec::new();
        let mut modes = Vec::new();
        if capture {
            for description in device.enum_formats()? {
                match PixelFormat::from_fourcc(description.fourcc.repr) {
                    Some(format) => {
                        for (width, height) in COMMON_SIZES {
                            let wanted = Wanted { width, height, fps: 30 };
                            for mode in modes_of(&device, format, description.fourcc, wanted) {
                                if !modes.contains(&mode) {
                                    modes.push(mode);
                                }
                            }
                        }
                    }
                    None => other_formats.push(code_words(description.fourcc.repr)),
                }
            }
        }
        Ok(CameraInfo {
            path: path.into(),
            card: caps.card,
            driver: caps.driver,
            modes,
            other_formats,
            capture,
        })
    })
}

/// A four-character code for people: without its blanks, and with the top bit as what it stands for, big-endian.
fn code_words(code: [u8; 4]) -> String {
    let big_endian = if code[3] & 0x80 != 0 { "-BE" } else { "" };
    let plain = code.map(|byte| byte & 0x7f);
    format!("{}{big_endian}", String::from_utf8_lossy(&plain).trim_end().escape_default())
}

/// What a camera can do; of ranges, what is nearest to the wanted.
pub fn modes(device: &Device, wanted: Wanted) -> anyhow::Result<Vec<CameraMode>> {
    let formats = device.enum_formats().context("it does not say its formats")?;
    let known =
        formats.iter().filter_map(|entry| Some((PixelFormat::from_fourcc(entry.fourcc.repr)?, entry.fourcc)));
    Ok(known.flat_map(|(format, code)| modes_of(device, format, code, wanted)).collect())
}

fn modes_of(device: &Device, format: PixelFormat, code: FourCC, wanted: Wanted) -> Vec<CameraMode> {
    let sizes: Vec<(u32, u32)> = match device.enum_framesizes(code) {
        Ok(sizes) => sizes
            .into_iter()
            .map(|size| match size.size {
                FrameSizeEnum::Discrete(size) => (size.width, size.height),
                FrameSizeEnum::Stepwise(range) => (
                    nearest_step(wanted.width, range.min_width, range.max_width, range.step_width),
                    nearest_step(wanted.height, range.min_height, range.max_height, range.step_height),
                ),
            })
            .collect(),
        // Not all drivers list sizes: asked for the wanted one, they give what is nearest.
        Err(_) => vec![(wanted.width, wanted.height)],
    };
    let with_rates = |(width, height)| {
        let fps = rates(device, code, width, height, wanted.fps);
        CameraMode { format, width, height, fps }
    };
    sizes.into_iter().map(with_rates).collect()
}

fn rates(device: &Device, code: FourCC, width: u32, height: u32, wanted: u32) -> Vec<f64> {
    let intervals = device.enum_frameintervals(code, width, height).unwrap_or_default();
    let rate =
        |interval: v4l::Fraction| f64::from(interval.denominator) / f64::from(interval.numerator.max(1));
    intervals
        .into_iter()
        .map(|entry| match entry.interval {
            FrameIntervalEnum::Discrete(interval) => rate(interval),
            // The longest interval is the lowest rate.
            FrameIntervalEnum::Stepwise(range) => {
                let (low, high) = (rate(range.max), rate(range.min));
                f64::from(wanted).clamp(low.min(high), high.max(low))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_printed_without_blanks_and_control_characters() {
        assert_eq!(code_words(*b"UYVY"), "UYVY");
        assert_eq!(code_words(*b"Y10 "), "Y10");
        assert_eq!(code_words([b'Y', b'1', b'6', b' ' | 0x80]), "Y16-BE");
        assert_eq!(code_words([1, b'a', b'b', b'c']), "\\u{1}abc");
    }
}
