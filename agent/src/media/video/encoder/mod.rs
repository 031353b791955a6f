//! The encoders that there are, and how to open one.

mod level;
mod mpp;
mod openh264;
mod vp8;
mod vpx;

pub use self::openh264::OpenH264Encoder;
pub use mpp::{MppCodec, MppEncoder, MppInfo, MppStream, MppUnit, NotHere};
pub use vp8::Vp8Encoder;
#[cfg(test)]
pub(crate) use vpx::VpxDecoder;

use std::ops::RangeInclusive;

use super::{Bitrate, VideoCodec, VideoEncoder};

/// What an encoder is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Picture width in pixels, even.
    pub width: u32,
    /// Picture height in pixels, even.
    pub height: u32,
    /// Pictures a second, 1 to 120.
    pub fps: u32,
    /// Target rate; clamped to what the encoder holds.
    pub bitrate: Bitrate,
    /// Pictures between key frames when nobody asks for one.
    pub keyframe_interval: u32,
}

/// Whether an encoder computes on the CPU or in a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncoderKind {
    /// On the CPU.
    Software,
}

/// An encoder that this binary can use, for `devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderInfo {
    /// As in logs and metrics.
    pub name: &'static str,
    /// What it makes.
    pub codec: VideoCodec,
    /// Where it computes.
    pub kind: EncoderKind,
}

/// All encoders of this binary, the preferred one of each codec first.
pub fn encoders() -> Vec<EncoderInfo> {
    vec![
        EncoderInfo { name: OpenH264Encoder::NAME, codec: VideoCodec::H264, kind: EncoderKind::Software },
        EncoderInfo { name: Vp8Encoder::NAME, codec: VideoCodec::Vp8, kind: EncoderKind::Software },
    ]
}

/// Opens the preferred encoder of a codec.
pub fn open_encoder(codec: VideoCodec, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
    Ok(match codec {
        VideoCodec::H264 => Box::new(OpenH264Encoder::new(settings)?),
        VideoCodec::Vp8 => Box::new(Vp8Encoder::new(settings)?),
    })
}

/// The rates that a software encoder holds for moving pictures of this size. Below about 0.01 bit a pixel even
/// the coarsest quantizer overshoots; above 0.5 bit a pixel nothing gets better.
fn software_limits(width: u32, height: u32, fps: u32) -> RangeInclusive<Bitrate> {
    const FLOOR: u64 = 50_000;
    const CEILING: u64 = 20_000_000;
    let pixels = u64::from(width) * u64::from(height) * u64::from(fps);
    let low = (pixels / 100).clamp(FLOOR, CEILING / 10);
    let high = (pixels / 2).clamp(10 * FLOOR, CEILING);
    Bitrate(low as u32)..=Bitrate(high as u32)
}

fn clamp(bitrate: Bitrate, limits: &RangeInclusive<Bitrate>) -> Bitrate {
    bitrate.clamp(*limits.start(), *limits.end())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
