//! The words of the video path: frames, access units, and the traits of sources and encoders.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::{DeviceFrame, annexb, payload::Prepared};

/// A codec that viewers can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VideoCodec {
    /// H.264 constrained baseline, packetization-mode 1 (RFC 6184).
    H264,
    /// VP8 (RFC 7741), for viewers without H.264.
    Vp8,
}

/// One picture in I420 (Y, then U and V at half size each way), limited-range BT.601.
#[derive(Clone, Debug)]
pub struct RawFrame {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Y, U and V planes, each tightly packed (stride = plane width).
    pub planes: [Bytes; 3],
    /// When the picture was taken, on the monotonic clock.
    pub captured: Instant,
    /// When the agent had it.
    pub dequeued: Instant,
    /// How often the CPU has copied or converted its samples since the device wrote them.
    pub copies: u32,
}

impl RawFrame {
    /// A picture that was made in memory at this instant.
    pub fn new(width: u32, height: u32, planes: [Bytes; 3], captured: Instant) -> Self {
        Self { width, height, planes, captured, dequeued: captured, copies: 0 }
    }

    /// True if the size is even and each plane has the length that it asks for.
    pub fn is_whole(&self) -> bool {
        let pixels = self.width as usize * self.height as usize;
        let lengths = self.planes.each_ref().map(bytes::Bytes::len);
        self.width.is_multiple_of(2)
            && self.height.is_multiple_of(2)
            && lengths == [pixels, pixels / 4, pixels / 4]
    }
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// What it is encoded with.
    pub codec: VideoCodec,
    /// H.264: Annex B NAL units; an IDR is always preceded by SPS and PPS. VP8: one frame.
    pub data: Bytes,
    /// True if decoding can start here (H.264 IDR, VP8 key frame).
    pub keyframe: bool,
    /// Picture size in pixels.
    pub width: u32,
    /// Picture size in pixels.
    pub height: u32,
    /// When the picture was taken, on the monotonic clock. RTP time comes from it.
    pub captured: Instant,
    /// When the agent had the picture.
    pub dequeued: Instant,
    /// When the encoder was done with it.
    pub encoded: Instant,
    /// How often the CPU copied or converted the picture's samples between the device that took it and the encoder.
    pub copies: u32,
    /// Room for [`Self::payloads`].
    pub prepared: Prepared,
    /// No other picture refers to it: a viewer can do without (H.264: `nal_ref_idc` is 0; VP8: it updates no reference).
    pub discardable: bool,
}

impl AccessUnit {
    /// What an encoder made of a picture just now.
    pub fn of(frame: &RawFrame, codec: VideoCodec, data: Bytes, keyframe: bool) -> Self {
        let &RawFrame { width, height, captured, dequeued, copies, .. } = frame;
        Self { copies, ..Self::passed(codec, data, keyframe, (width, height), (captured, dequeued)) }
    }

    /// A picture that came encoded, and that the agent had at the second of the two instants.
    pub fn passed(
        codec: VideoCodec,
        data: Bytes,
        keyframe: bool,
        (width, height): (u32, u32),
        (captured, dequeued): (Instant, Instant),
    ) -> Self {
        let discardable = codec == VideoCodec::H264 && annexb::is_discardable(&data);
        let (encoded, copies, prepared) = (Instant::now(), 0, Prepared::default());
        Self {
            codec,
            data,
            keyframe,
            width,
            height,
            captured,
            dequeued,
            encoded,
            copies,
            discardable,
            prepared,
        }
    }
}

/// A picture that is to be encoded.
#[derive(Clone, Debug)]
pub enum VideoFrame {
    /// In the agent's memory.
    Memory(Arc<RawFrame>),
    /// In a buffer of the camera's driver, which gets it back when the last clone is dropped.
    Device(Arc<DeviceFrame>),
}

impl VideoFrame {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Memory(frame) => (frame.width, frame.height),
            Self::Device(frame) => (frame.width, frame.height),
        }
    }

    /// When the picture was taken, on the monotonic clock.
    pub fn captured(&self) -> Instant {
        match self {
            Self::Memory(frame) => frame.captured,
            Self::Device(frame) => frame.captured,
        }
    }

    /// The picture in memory; a device's is converted once for all who ask. An error if the device gave too few
    /// bytes.
    pub fn i420(&self) -> anyhow::Result<Arc<RawFrame>> {
        match self {
            Self::Memory(frame) => Ok(frame.clone()),
            Self::Device(frame) => frame.i420(),
        }
    }
}

impl From<RawFrame> for VideoFrame {
    fn from(frame: RawFrame) -> Self {
        Self::Memory(Arc::new(frame))
    }
}

/// What a source hands over.
#[derive(Clone, Debug)]
pub enum SourceFrame {
    /// A picture to encode.
    Raw(VideoFrame),
    /// A picture that came encoded (a camera or file that gives H.264): passed through.
    Encoded(Arc<AccessUnit>),
}

/// What a source is, for logs, `devices` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// For people: "test pattern", "/dev/video0 (HD USB Camera)".
    pub name: String,
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// Nominal pictures a second.
    pub fps: u32,
    /// The codec if the source gives encoded pictures.
    pub encoded: Option<VideoCodec>,
}

/// Where pictures come from. It blocks, so it lives on a thread of its own.
pub trait VideoSource: Send {
    /// What this source is.
    fn info(&self) -> &SourceInfo;
    /// Waits for the next picture, at most about a second; a camera may take three for its first.
    fn next(&mut self) -> anyhow::Result<SourceFrame>;
}

/// Bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(pub u32);

/// What makes access units of pictures. It blocks, so it lives on a thread of its own.
pub trait VideoEncoder: Send {
    /// For logs and metrics: "openh264", "libvpx-vp8".
    fn name(&self) -> &'static str;
    /// What it makes.
    fn codec(&self) -> VideoCodec;
    /// The bit rates that it really holds.
    fn limits(&self) -> std::ops::RangeInclusive<Bitrate>;
    /// Encodes one picture; `keyframe` forces an IDR. `None`: the rate control dropped the picture. Blocks until it is
    /// encoded, at most a second: a device that takes longer is an error, after which the encoder is opened anew.
    /// Has no more use for the picture when it returns.
    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>>;
    /// Changes the target, clamped to [`Self::limits`].
    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()>;
    /// Whether [`Self::set_layers`] has any effect.
    fn has_layers(&self) -> bool {
        false
    }
    /// From now on every second picture is to be one that no other refers to, or no longer.
    fn set_layers(&mut self, _layers: bool) -> anyhow::Result<()> {
        Ok(())
    }
}
