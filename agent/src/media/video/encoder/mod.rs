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
#[cfg(feature = "openh264")]
mod openh264;
#[cfg(feature = "vp8")]
mod vp8;
#[cfg(feature = "vp8")]
mod vpx;

#[cfg(feature = "openh264")]
pub use self::openh264::OpenH264Encoder;
#[cfg(feature = "vp8")]
pub use self::vp8::Vp8Encoder;
pub use self::{
    backend::{Backend, Mpp, Software},
    choice::{Choice, Found, Offer, Way},
    fault::EncoderFault,
    lineup::{Lineup, Next},
    model::BoardModel,
    mpp::{MppCodec, MppEncoder, MppError, MppInfo, MppStream, MppUnit, NotHere},
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
    let built_in = Software(VideoCodec::Vp8).built_in();
    let vp8 = EncoderInfo {
        name: Software(VideoCodec::Vp8).words(),
        codec: VideoCodec::Vp8,
        kind: EncoderKind::Software,
        there: built_in.is_ok(),
        chosen: built_in.is_ok(),
        reason: built_in.err().unwrap_or("for viewers without H.264".into()),
    };
    h264.chain([vp8]).collect()
}

/// Opens the software encoder of a codec.
pub fn open_encoder(codec: VideoCodec, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
    Software(codec).built_in().map_err(anyhow::Error::msg)?;
    match codec {
        #[cfg(feature = "openh264")]
        VideoCodec::H264 => Ok(Box::new(OpenH264Encoder::new(settings)?)),
        #[cfg(feature = "vp8")]
        VideoCodec::Vp8 => Ok(Box::new(Vp8Encoder::new(settings)?)),
        #[cfg(not(all(feature = "openh264", feature = "vp8")))]
        _ => anyhow::bail!("no encoder of {}x{} in software", settings.width, settings.height),
    }
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
