//! Rockchip's video encoder through `librockchip_mpp` (RK3328, RK3399, RK3566/RK3568, RK3588, RV11xx).
//!
//! The library is opened at run time, so that one binary serves all boards. What is proved without such a board, and
//! what only a board can show: `docs/encoders-mpp.md`.

mod abi;
#[cfg(test)]
mod camera;
mod error;
mod ffi;
#[cfg(test)]
mod headers_tests;
mod hevc;
mod layout;
mod library;
mod probe;
mod settings;
#[cfg(test)]
mod stand_in;
mod stream;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use anyhow::bail;

pub use error::MppError;
pub use probe::{MppInfo, NotHere};
pub use stream::{MppCodec, MppStream, MppUnit};

use super::{EncoderSettings, software_limits};
use crate::media::video::{AccessUnit, Bitrate, VideoCodec, VideoEncoder, VideoFrame};

/// H.264 for viewers by a Rockchip chip.
pub struct MppEncoder {
    stream: MppStream,
    limits: RangeInclusive<Bitrate>,
}

impl MppEncoder {
    /// For logs and metrics.
    pub const NAME: &'static str = "rockchip-mpp";

    /// Looks for the library and the device; costs a few file operations. The error says what is missing.
    pub fn probe() -> Result<MppInfo, NotHere> {
        probe::probe()
    }

    /// Opens an encoder; its first picture is an IDR. An error says what is missing ([`NotHere`]), or gives MPP's code
    /// and the next step.
    pub fn open(settings: &EncoderSettings, codec: VideoCodec) -> anyhow::Result<Self> {
        match codec {
            VideoCodec::H264 => Ok(Self::on(MppStream::open(settings, MppCodec::H264)?, settings)),
            other => bail!("MPP encodes H.264 for viewers, not {}", other.label()),
        }
    }

    fn on(stream: MppStream, settings: &EncoderSettings) -> Self {
        let &EncoderSettings { width, height, fps, .. } = settings;
        Self { stream, limits: software_limits(width, height, fps) }
    }
}

impl VideoEncoder for MppEncoder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn codec(&self) -> VideoCodec {
        VideoCodec::H264
    }

    fn limits(&self) -> RangeInclusive<Bitrate> {
        self.limits.clone()
    }

    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>> {
        let MppUnit { data, keyframe, copies } = self.stream.encode(frame, keyframe)?;
        let (width, height) = frame.size();
        let dequeued = match frame {
            VideoFrame::Memory(raw) => raw.dequeued,
            VideoFrame::Device(device) => device.dequeued,
        };
        let times = (frame.captured(), dequeued);
        let unit = AccessUnit::passed(VideoCodec::H264, data, keyframe, (width, height), times);
        Ok(Some(AccessUnit { copies, ..unit }))
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        self.stream.set_bitrate(bitrate)
    }
}
