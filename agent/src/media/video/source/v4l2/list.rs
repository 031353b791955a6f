//! The cameras that there are and what they can do.

use std::path::PathBuf;

use super::{
    controls,
    negotiate::{CameraMode, Wanted, nearest_step},
};
use crate::media::video::{
    PixelFormat,
    v4l2::{BufferType, Device, FourCc, Fract, Intervals, Result, Sizes, nodes},
};

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
    /// What `[video.controls]` can set, in words: "brightness: 0 to 255, default 128".
    pub controls: Vec<String>,
    /// False for a device that gives no pictures (metadata, output, a codec).
    pub capture: bool,
}

/// All V4L2 devices that can be opened, in the order of their numbers.
pub fn list_cameras() -> Vec<CameraInfo> {
    nodes().into_iter().filter_map(|path| describe(path).ok()).collect()
}

fn describe(path: PathBuf) -> Result<CameraInfo> {
    let device = Device::open(&path)?;
    let caps = device.capabilities()?;
    let type_ = caps.camera();
    let mut other_formats = Vec::new();
    let mut modes = Vec::new();
    let formats = type_.map_or(Ok(Vec::new()), |type_| device.formats(type_))?;
    for code in formats.into_iter().map(|entry| entry.fourcc) {
        let Some(format) = PixelFormat::from_fourcc(code.0) else {
            other_formats.push(code.to_string());
            continue;
        };
        for (width, height) in COMMON_SIZES {
            for mode in modes_of(&device, format, code, Wanted { width, height, fps: 30 }) {
                if !modes.contains(&mode) {
                    modes.push(mode);
                }
            }
        }
    }
    let controls = if type_.is_some() { controls::describe(&device) } else { Vec::new() };
    let capture = type_.is_some();
    Ok(CameraInfo { path, card: caps.card, driver: caps.driver, modes, other_formats, controls, capture })
}

/// What a camera can do, each with the driver's code; of ranges, what is nearest to the wanted.
pub fn modes(device: &Device, type_: BufferType, wanted: Wanted) -> Result<Vec<(CameraMode, FourCc)>> {
    let formats = device.formats(type_)?.into_iter().map(|entry| entry.fourcc);
    let known = formats.filter_map(|code| Some((PixelFormat::from_fourcc(code.0)?, code)));
    let with_code =
        |(format, code)| modes_of(device, format, code, wanted).into_iter().map(move |mode| (mode, code));
    Ok(known.flat_map(with_code).collect())
}

fn modes_of(device: &Device, format: PixelFormat, code: FourCc, wanted: Wanted) -> Vec<CameraMode> {
    let sizes: Vec<(u32, u32)> = match device.sizes(code) {
        Ok(sizes) if !sizes.is_empty() => sizes.into_iter().map(|size| nearest(size, wanted)).collect(),
        // Not all drivers list sizes: asked for the wanted one, they give what is nearest.
        _ => vec![(wanted.width, wanted.height)],
    };
    let with_rates = |(width, height)| {
        let intervals = device.intervals(code, width, height).unwrap_or_default();
        let fps = intervals.into_iter().map(|interval| rate(interval, wanted.fps)).collect();
        CameraMode { format, width, height, fps }
    };
    sizes.into_iter().map(with_rates).collect()
}

fn nearest(size: Sizes, wanted: Wanted) -> (u32, u32) {
    match size {
        Sizes::One { width, height } => (width, height),
        Sizes::Range { width, height } => (
            nearest_step(wanted.width, width.min, width.max, width.step),
            nearest_step(wanted.height, height.min, height.max, height.step),
        ),
    }
}

fn rate(interval: Intervals, wanted: u32) -> f64 {
    let rate = |interval: Fract| f64::from(interval.denominator) / f64::from(interval.numerator.max(1));
    match interval {
        Intervals::One(interval) => rate(interval),
        Intervals::Range { shortest, longest } => {
            let (low, high) = (rate(longest), rate(shortest));
            f64::from(wanted).clamp(low.min(high), high.max(low))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::v4l2::Steps;

    #[test]
    fn of_ranges_what_is_nearest_to_the_wanted_is_taken_whatever_their_order() {
        let wanted = Wanted { width: 1281, height: 720, fps: 30 };
        let steps = |min, max| Steps { min, max, step: 2 };
        let range = Sizes::Range { width: steps(64, 2592), height: steps(64, 480) };
        assert_eq!(nearest(range, wanted), (1280, 480));
        let [slow, fast] = [5, 120].map(|denominator| Fract { numerator: 1, denominator });
        assert_eq!(rate(Intervals::Range { shortest: fast, longest: slow }, 30), 30.0);
        assert_eq!(rate(Intervals::Range { shortest: slow, longest: fast }, 240), 120.0);
        let nonsense = Fract { numerator: 0, denominator: 0 };
        assert_eq!(rate(Intervals::One(nonsense), 30), 0.0);
    }
}
