//! The picture: one source and one encode per codec, shared by all viewers. How it works: `docs/media-video.md`.
//!
//! Knows no session: it hands out access units with their capture times, and takes key frame requests and bit rates.

pub mod annexb;
mod capture;
mod channel;
mod closer;
pub mod convert;
#[cfg_attr(not(feature = "openh264"), path = "decoder_absent.rs")]
pub mod decoder;
mod device_frame;
pub mod encoder;
mod font;
mod gop;
mod keyframe;
mod latency;
mod mailbox;
mod metrics;
mod pacing;
mod passing;
pub mod pattern;
pub mod payload;
pub mod picture;
mod pipeline;
mod pixel_format;
pub mod rate;
mod rate_report;
pub mod scale;
mod shared;
pub mod source;
pub mod sps;
mod still;
#[cfg(test)]
mod testing;
mod types;
pub mod v4l2;
mod viewer;
mod wake;
mod worker;

pub use device_frame::{BufferKey, DeviceBuffer, DeviceFrame, DevicePlane};
pub use encoder::{EncoderInfo, EncoderKind, encoders};
pub use latency::Latency;
pub use metrics::VideoMetrics;
pub use pipeline::{VideoPipeline, VideoSubscription};
pub use pixel_format::PixelFormat;
pub use source::{CameraInfo, CameraMode, list_cameras};
pub use types::*;

pub use crate::config::VideoSourceSpec;
