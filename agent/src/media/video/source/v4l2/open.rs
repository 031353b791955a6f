//! How a camera is set up: device, mode, place of the picture, rate, controls.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow, bail, ensure};

use super::{
    controls,
    list::modes,
    negotiate::{CameraMode, Wanted, choose},
    words,
};
use crate::{
    config::VideoConfig,
    media::video::{
        PixelFormat, SourceInfo, VideoCodec,
        v4l2::{BufferType, Capabilities, Device, Format, FourCc, Fract, Rect, Target},
    },
};

/// A device that is set up and does not stream yet.
pub struct Opened {
    /// It.
    pub device: Arc<Device>,
    /// Single- or multi-planar.
    pub type_: BufferType,
    /// How its pictures come.
    pub format: PixelFormat,
    /// Bytes a row, for each plane of memory.
    pub strides: Vec<u32>,
    /// What it is.
    pub info: SourceInfo,
    /// Controls that could not be set, in words.
    pub remarks: Vec<String>,
}

/// Opens a device in the mode that is nearest to the configured one, of one of these pixel formats, the preferred first.
pub fn open(path: &Path, config: &VideoConfig, formats: &[PixelFormat]) -> anyhow::Result<Opened> {
    let shown = path.display();
    let wanted = Wanted { width: config.width, height: config.height, fps: config.fps };
    let device = Device::open(path).map_err(|error| words::open(path, error))?;
    let caps = device.capabilities().map_err(|error| match error.is_unplugged() {
        true => words::open(path, error),
        false => anyhow!("{shown} is no V4L2 device ({error}): `p2pcam-agent devices` lists the cameras"),
    })?;
    let Capabilities { card, .. } = &caps;
    let type_ = caps.camera().with_context(|| {
        format!("{shown} ({card}) gives no pictures that the agent can take: `p2pcam-agent devices` lists the cameras")
    })?;
    let offered =
        modes(&device, type_, wanted).map_err(|error| words::setup(path, "to say what it can do", error))?;
    let modes: Vec<CameraMode> = offered.iter().map(|(mode, _)| mode.clone()).collect();
    let mode = choose(&modes, wanted, formats)
        .with_context(|| format!("the camera {shown} has no format that the agent can take"))?;
    let code = offered.iter().find(|(offered, _)| offered == mode).map(|(_, code)| *code);
    let set = set_format(&device, path, type_, mode, code.unwrap_or(FourCc(mode.format.fourcc())))?;
    let Some(format) = PixelFormat::from_fourcc(set.fourcc.0) else {
        bail!("the camera {shown} insists on the format {}, which the agent cannot take", set.fourcc);
    };
    ensure!(
        set.width >= 16 && set.height >= 16 && set.width % 2 == 0 && set.height % 2 == 0,
        "the camera {shown} insists on a picture of {}x{}",
        set.width,
        set.height
    );
    fill_buffer(&device, path, type_, &set);
    let fps = set_rate(&device, type_, mode.rate_for(wanted.fps));
    let remarks = controls::apply(&device, &config.controls);
    let info = SourceInfo {
        name: format!("camera {shown} ({card}, {format})"),
        width: set.width,
        height: set.height,
        fps,
        encoded: (format == PixelFormat::H264).then_some(VideoCodec::H264),
    };
    let strides = set.planes.iter().map(|plane| plane.stride).collect();
    Ok(Opened { device: Arc::new(device), type_, format, strides, info, remarks })
}

fn set_format(
    device: &Device,
    path: &Path,
    type_: BufferType,
    mode: &CameraMode,
    code: FourCc,
) -> anyhow::Result<Format> {
    let planes = if type_.is_multi() { mode.format.memory_planes() } else { 1 };
    let format = Format::new(code, mode.width, mode.height, planes);
    device.set_format(type_, &format).map_err(|error| {
        words::setup(path, &format!("{} at {}x{}", mode.format, mode.width, mode.height), error)
    })
}

/// Lets the picture fill the buffer. A device with a scaler keeps the place that an earlier program set, also when the
/// format gets larger: the rest would stay black. Most devices have no such choice and refuse.
fn fill_buffer(device: &Device, path: &Path, type_: BufferType, format: &Format) {
    let whole = Rect { left: 0, top: 0, width: format.width, height: format.height };
    if let Err(error) = device.set_selection(type_, Target::Compose, whole) {
        tracing::trace!(camera = %path.display(), "the place of the picture is fixed: {error}");
    }
}

/// Sets pictures a second; returns what the device took. Some cannot change the rate: they keep their own.
fn set_rate(device: &Device, type_: BufferType, wanted: u32) -> u32 {
    let taken = device.set_interval(type_, Fract { numerator: 1, denominator: wanted.max(1) });
    let interval = taken.ok().flatten().or_else(|| device.interval(type_).ok().flatten());
    interval.map_or(wanted, |Fract { numerator, denominator }| {
        // To the nearest: 30000/1001 is 30.
        let rate = f64::from(denominator) / f64::from(numerator.max(1));
        (rate.round() as u32).clamp(1, 240)
    })
}
