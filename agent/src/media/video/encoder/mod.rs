//! The encoders that there are, and how to open one.

mod backend;
mod choice;
mod fault;
mod found;
mod level;
mod lineup;
pub mod m2m;
mod model;
mod mpp;
mod openh264;
mod vp8;
mod vpx;

pub use self::{
    backend::{Backend, Mpp, Software},
    choice::{Choice, Found, Offer, Way},
    fault::EncoderFault,
    lineup::{Lineup, Next},
    model::BoardModel,
    mpp::{MppCodec, MppEncoder, MppError, MppInfo, MppStream, MppUnit, NotHere},
    openh264::OpenH264Encoder,
    vp8::Vp8Encoder,
};
#[cfg(test)]
pub(crate) use vpx::VpxDecoder;

use level::lowest_idc as h264_level;
use std::ops::RangeInclusive;

use super::{Bitrate, VideoCodec, VideoEncoder};
use crate::config::VideoEncoderSpec;

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
    /// In a device of the board, or in the camera.
    Hardware,
}

/// An encoder that was looked for, for `devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderInfo {
    /// For people: "openh264 (software)", "bcm2835-codec-encode (/dev/video11, M2M, dmabuf)"; "mpp" if there is none.
    pub name: String,
    /// What it makes.
    pub codec: VideoCodec,
    /// Where it computes.
    pub kind: EncoderKind,
    /// False if this machine does not have it.
    pub there: bool,
    /// Taken for raw pictures.
    pub chosen: bool,
    /// Why it is taken, or not.
    pub reason: String,
}

/// All that was looked for under this `video.encoder`, what is taken for each codec first.
pub fn encoders(spec: &VideoEncoderSpec) -> Vec<EncoderInfo> {
    let h264 = Choice::probe(spec).verdicts(false).into_iter().map(|(offer, chosen, reason)| EncoderInfo {
        name: offer.words(),
        codec: VideoCodec::H264,
        kind: if offer.way == Way::OpenH264 { EncoderKind::Software } else { EncoderKind::Hardware },
        there: offer.backend.is_some(),
        chosen,
        reason,
    });
    let vp8 = EncoderInfo {
        name: Software(VideoCodec::Vp8).words(),
        codec: VideoCodec::Vp8,
        kind: EncoderKind::Software,
        there: true,
        chosen: true,
        reason: "for viewers without H.264".into(),
    };
    h264.chain([vp8]).collect()
}

/// Opens the software encoder of a codec.
pub fn open_encoder(codec: VideoCodec, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
    Ok(match codec {
        VideoCodec::H264 => Box::new(OpenH264Encoder::new(settings)?),
        VideoCodec::Vp8 => Box::new(Vp8Encoder::new(settings)?),
    })
}

/// The lowest rate that software encoders are asked for.
pub const SOFTWARE_FLOOR: Bitrate = Bitrate(50_000);
/// The lowest density in hundredths of a bit: below it even the coarsest quantizer overshoots.
pub const SOFTWARE_CENTIBITS_PER_PIXEL: u32 = 1;

/// The rates that a software encoder holds for moving pictures of this size. Below about 0.01 bit a pixel even
/// the coarsest quantizer overshoots; above 0.5 bit a pixel nothing gets better.
pub fn software_limits(width: u32, height: u32, fps: u32) -> RangeInclusive<Bitrate> {
    const FLOOR: u64 = SOFTWARE_FLOOR.0 as u64;
    const CEILING: u64 = 20_000_000;
    let pixels = u64::from(width) * u64::from(height) * u64::from(fps);
    let low = (pixels * u64::from(SOFTWARE_CENTIBITS_PER_PIXEL) / 100).clamp(FLOOR, CEILING / 10);
    let high = (pixels / 2).clamp(10 * FLOOR, CEILING);
    Bitrate(low as u32)..=Bitrate(high as u32)
}

fn clamp(bitrate: Bitrate, limits: &RangeInclusive<Bitrate>) -> Bitrate {
    bitrate.clamp(*limits.start(), *limits.end())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
