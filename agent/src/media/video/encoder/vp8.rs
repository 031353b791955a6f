//! VP8 by libvpx, for viewers without H.264.

use std::{ops::RangeInclusive, time::Instant};

use anyhow::ensure;

use super::{
    EncoderSettings, clamp, software_limits,
    vpx::{VpxEncoder, VpxPicture, VpxSettings},
};
use crate::media::video::{AccessUnit, Bitrate, VideoCodec, VideoEncoder, VideoFrame};

/// Sides have 14 bits in VP8's header (RFC 6386 section 9.1).
const MAX_SIDE: u32 = 16_383;
/// One thread: libvpx's threads wait for each other actively. At 1280x720 on two busy cores two of them take 25 to
/// 50 ms a picture, one takes 3.5 ms.
const THREADS: u32 = 1;
/// Pictures of this many pixels and more are encoded with the higher speed.
const LARGE_FROM: u32 = 1280 * 720;
/// Speed for pictures below [`LARGE_FROM`]: a little better quality is affordable.
const CPU_USED_SMALL: i32 = -8;
/// Speed for large pictures: they must be done within a frame interval on small boards.
const CPU_USED_LARGE: i32 = -12;

/// A libvpx VP8 encoder for one picture size.
pub struct Vp8Encoder {
    encoder: VpxEncoder,
    settings: EncoderSettings,
    first: Option<Instant>,
    last_pts: i64,
    /// Every second picture is one that none refers to.
    layers: bool,
    /// The last picture was one that others refer to.
    after_base: bool,
}

impl Vp8Encoder {
    /// For logs and metrics.
    pub const NAME: &'static str = super::backend::LIBVPX;

    /// Opens an encoder; its first picture is a key frame.
    pub fn new(settings: &EncoderSettings) -> anyhow::Result<Self> {
        let &EncoderSettings { width, height, fps, keyframe_interval, .. } = settings;
        ensure!(
            (16..=MAX_SIDE).contains(&width) && (16..=MAX_SIDE).contains(&height),
            "VP8 cannot encode {width}x{height}: choose sides from 16 to {MAX_SIDE} in [video]"
        );
        let large = width * height >= LARGE_FROM;
        let encoder = VpxEncoder::new(&VpxSettings {
            width,
            height,
            kbps: clamp(settings.bitrate, &software_limits(width, height, fps)).0 / 1000,
            threads: THREADS,
            keyframe_interval,
            cpu_used: if large { CPU_USED_LARGE } else { CPU_USED_SMALL },
        })?;
        Ok(Self { encoder, settings: *settings, first: None, last_pts: -1, layers: false, after_base: false })
    }
}

impl VideoEncoder for Vp8Encoder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn codec(&self) -> VideoCodec {
        VideoCodec::Vp8
    }

    fn limits(&self) -> RangeInclusive<Bitrate> {
        software_limits(self.settings.width, self.settings.height, self.settings.fps)
    }

    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>> {
        let frame = &*frame.i420()?;
        let first = *self.first.get_or_insert(frame.captured);
        let pts = frame.captured.saturating_duration_since(first).as_millis() as i64;
        // libvpx refuses times that do not grow.
        let pts = pts.max(self.last_pts + 1);
        self.last_pts = pts;
        let duration = (1000 / self.settings.fps.max(1)).max(1);
        let picture = match keyframe {
            true => VpxPicture::Key,
            false if self.layers && self.after_base => VpxPicture::Discardable,
            false => VpxPicture::Any,
        };
        let Some((data, keyframe)) = self.encoder.encode(frame, pts, duration, picture)? else {
            return Ok(None);
        };
        let discardable = picture == VpxPicture::Discardable && !keyframe;
        self.after_base = !discardable;
        let unit = AccessUnit::of(frame, VideoCodec::Vp8, data.into(), keyframe);
        Ok(Some(AccessUnit { discardable, ..unit }))
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        self.encoder.set_kbps(clamp(bitrate, &self.limits()).0 / 1000)
    }
    fn has_layers(&self) -> bool {
        true
    }

    fn set_layers(&mut self, layers: bool) -> anyhow::Result<()> {
        self.layers = layers;
        self.encoder.set_layers(layers)
    }
}
