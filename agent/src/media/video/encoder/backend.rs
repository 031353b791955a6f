//! A way to encode that this machine has, before it is opened.

use std::fmt;

use super::{EncoderKind, EncoderSettings, MppEncoder, MppInfo};
use crate::media::video::{PixelFormat, VideoCodec, VideoEncoder};

/// In logs and metrics, and the feature that it is built in by.
pub(super) const OPENH264: &str = "openh264";
/// In logs and metrics.
pub(super) const LIBVPX: &str = "libvpx-vp8";

/// Opens encoders of one kind, as often as need be.
pub trait Backend: fmt::Debug + Send + Sync {
    /// As in logs and metrics: what [`VideoEncoder::name`] of its encoders says.
    fn name(&self) -> &'static str;
    /// For people, with all that tells it from others: "bcm2835-codec-encode (/dev/video11, M2M, dmabuf)".
    fn words(&self) -> String;
    /// Where it computes.
    fn kind(&self) -> EncoderKind;
    /// The raw formats that it takes from a camera's buffers as they are.
    fn inputs(&self) -> Vec<PixelFormat>;
    /// Opens one.
    fn open(&self, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>>;
}

/// An encoder on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Software(pub VideoCodec);

impl Software {
    /// Nothing, or why this agent has no such encoder.
    pub fn built_in(self) -> Result<(), String> {
        let (there, feature) = match self.0 {
            VideoCodec::H264 => (cfg!(feature = "openh264"), OPENH264),
            VideoCodec::Vp8 => (cfg!(feature = "vp8"), "vp8"),
        };
        if there { Ok(()) } else { Err(format!("this agent was built without the feature {feature}")) }
    }
}

impl Backend for Software {
    fn name(&self) -> &'static str {
        match self.0 {
            VideoCodec::H264 => OPENH264,
            VideoCodec::Vp8 => LIBVPX,
        }
    }

    fn words(&self) -> String {
        format!("{} (software)", self.name())
    }

    fn kind(&self) -> EncoderKind {
        EncoderKind::Software
    }

    fn inputs(&self) -> Vec<PixelFormat> {
        Vec::new()
    }

    fn open(&self, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
        super::open_encoder(self.0, settings)
    }
}

/// Rockchip's encoder.
#[derive(Clone, Debug)]
pub struct Mpp(pub MppInfo);

impl Backend for Mpp {
    fn name(&self) -> &'static str {
        MppEncoder::NAME
    }

    fn words(&self) -> String {
        format!("{} ({}, {}, dmabuf)", self.name(), self.0.device.display(), self.0.library)
    }

    fn kind(&self) -> EncoderKind {
        EncoderKind::Hardware
    }

    fn inputs(&self) -> Vec<PixelFormat> {
        vec![PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv]
    }

    fn open(&self, settings: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
        Ok(Box::new(MppEncoder::open(settings, VideoCodec::H264)?))
    }
}
