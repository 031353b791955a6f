//! The words of the video path: frames, access units, and the traits of sources and encoders.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

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
}

impl RawFrame {
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
    /// When the encoder was done with it.
    pub encoded: Instant,
}

/// What a source hands over.
#[derive(Clone, Debug)]
pub enum SourceFrame {
    /// A picture to encode.
    Raw(Arc<RawFrame>),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(pub u32);

/// What makes access units of pictures. It blocks, so it lives on a thread of its own.
pub trait VideoEncoder: Send {
    /// For logs and metrics: "openh264", "libvpx-vp8".
    fn name(&self) -> &'static str;
    /// What it makes.
    fn codec(&self) -> VideoCodec;
    /// The bit rates that it really holds.
    fn limits(&self) -> std::ops::RangeInclusive<Bitrate>;
    /// Encodes one picture; `keyframe` forces an IDR. `None`: the rate control dropped the picture.
    fn encode(&mut self, frame: &RawFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>>;
    /// Changes the target, clamped to [`Self::limits`].
    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()>;
}
