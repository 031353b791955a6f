//! The controls of an encoder (kernel doc: userspace-api/media/v4l/ext-ctrls-codec): what it has of them, and set for
//! live pictures.

use std::ops::RangeInclusive;

use super::Quirks;
use crate::media::video::{
    Bitrate,
    encoder::{EncoderSettings, h264_level},
    v4l2::{Control, Device, Result},
};

/// `V4L2_CID_CODEC_BASE` of `linux/v4l2-controls.h`.
const BASE: u32 = 0x0099_0900;
/// `V4L2_CID_MPEG_VIDEO_B_FRAMES`
const B_FRAMES: u32 = BASE + 202;
/// `V4L2_CID_MPEG_VIDEO_GOP_SIZE`
const GOP_SIZE: u32 = BASE + 203;
/// `V4L2_CID_MPEG_VIDEO_BITRATE_MODE`
const BITRATE_MODE: u32 = BASE + 206;
/// `V4L2_CID_MPEG_VIDEO_BITRATE`
const BITRATE: u32 = BASE + 207;
/// `V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE`
const FRAME_RC_ENABLE: u32 = BASE + 215;
/// `V4L2_CID_MPEG_VIDEO_HEADER_MODE`
const HEADER_MODE: u32 = BASE + 216;
/// `V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER`
const REPEAT_SEQ_HEADER: u32 = BASE + 226;
/// `V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME`
const FORCE_KEY_FRAME: u32 = BASE + 229;
/// `V4L2_CID_MPEG_VIDEO_H264_I_PERIOD`
const H264_I_PERIOD: u32 = BASE + 358;
/// `V4L2_CID_MPEG_VIDEO_H264_LEVEL`
const H264_LEVEL: u32 = BASE + 359;
/// `V4L2_CID_MPEG_VIDEO_H264_PROFILE`
const H264_PROFILE: u32 = BASE + 363;
/// `V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR`
const PREPEND_SPSPPS_TO_IDR: u32 = BASE + 644;

/// `V4L2_MPEG_VIDEO_BITRATE_MODE_VBR`
const VARIABLE: i32 = 0;
/// `V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME`
const JOINED: i32 = 1;
/// `V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE`: what every viewer decodes.
const CONSTRAINED_BASELINE: i32 = 1;
/// `V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE`: the same in practice, for drivers that know no other name.
const BASELINE: i32 = 0;
/// `enum v4l2_mpeg_video_h264_level`, by ten times the level; 1b has no number.
const LEVELS: [u8; 16] = [10, 0, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51];

/// How an encoder's rate and key frames can be controlled while it works.
#[derive(Clone, Debug)]
pub struct RateControls {
    bitrate: Option<Control>,
    force_key_frame: bool,
    limits: RangeInclusive<Bitrate>,
    step: u32,
}

impl RateControls {
    /// What the device has.
    pub fn of(device: &Device, quirks: &Quirks) -> Self {
        let bitrate = device.find_control(BITRATE).ok().flatten().filter(|control| control.writable);
        let key = device.find_control(FORCE_KEY_FRAME).ok().flatten();
        let (least, multiple) = quirks.bitrate;
        let number = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        let step =
            bitrate.as_ref().map_or(1, |control| u32::try_from(control.step).unwrap_or(1)).max(multiple);
        let (min, max) =
            bitrate.as_ref().map_or((0, u32::MAX), |control| (number(control.min), number(control.max)));
        let min = min.max(least.0).min(max);
        Self { bitrate, force_key_frame: key.is_some(), limits: Bitrate(min)..=Bitrate(max), step }
    }

    /// The rates that the encoder holds.
    pub fn limits(&self) -> RangeInclusive<Bitrate> {
        self.limits.clone()
    }

    /// True if a key frame can be forced on the next picture that is queued.
    pub fn can_force_key_frame(&self) -> bool {
        self.force_key_frame
    }

    /// The nearest rate below that the encoder takes.
    pub fn rounded(&self, bitrate: Bitrate) -> Bitrate {
        let (min, max) = (self.limits.start().0, self.limits.end().0);
        Bitrate((bitrate.0.clamp(min, max) / self.step.max(1) * self.step.max(1)).max(min))
    }

    /// Sets the target rate, rounded as above; nothing is done by an encoder without such a control.
    pub fn set_bitrate(&self, device: &Device, bitrate: Bitrate) -> Result<()> {
        let Some(control) = &self.bitrate else { return Ok(()) };
        device.set_value(control, self.rounded(bitrate).0.into()).map(drop)
    }

    /// Makes the next picture that is queued a key frame.
    pub fn force_key_frame(&self, device: &Device) -> Result<()> {
        device.push_button(FORCE_KEY_FRAME)
    }
}

/// Sets what H.264 for live viewers needs. What a driver does not have stays as it is: parameter sets are put before
/// each IDR by the agent in any case.
pub fn set_up_h264(device: &Device, quirks: &Quirks, settings: &EncoderSettings) {
    let &EncoderSettings { width, height, fps, bitrate, keyframe_interval } = settings;
    let level = h264_level(width, height, fps, bitrate.0 / 1000);
    let level = LEVELS.iter().position(|listed| *listed >= level && *listed > 0).unwrap_or(LEVELS.len() - 1);
    let interval = i32::try_from(keyframe_interval).unwrap_or(i32::MAX);
    if set(device, H264_PROFILE, CONSTRAINED_BASELINE).is_err() {
        tell(device, "profile", set(device, H264_PROFILE, BASELINE));
    }
    let mode = if quirks.variable_rate { set(device, BITRATE_MODE, VARIABLE) } else { Ok(()) };
    for (what, result) in [
        ("level", set(device, H264_LEVEL, level as i32)),
        ("variable bit rate", mode),
        ("rate control", set(device, FRAME_RC_ENABLE, 1)),
        ("no B frames", set(device, B_FRAMES, 0)),
        ("parameter sets with the first picture", set(device, HEADER_MODE, JOINED)),
        // Off by default on the Raspberry Pi: without it a viewer that joins late would depend on the cache alone.
        (
            "repeated parameter sets",
            set(device, REPEAT_SEQ_HEADER, 1).or_else(|_| set(device, PREPEND_SPSPPS_TO_IDR, 1)),
        ),
        // Two names for the same; drivers have either.
        (
            "key frame interval",
            set(device, H264_I_PERIOD, interval).or_else(|_| set(device, GOP_SIZE, interval)),
        ),
    ] {
        tell(device, what, result);
    }
}

fn set(device: &Device, id: u32, value: i32) -> Result<()> {
    device.set_control(id, value).map(drop)
}

fn tell(device: &Device, what: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::debug!(encoder = %device.path().display(), "cannot be set: {what}: {error}");
    }
}
