//! The picture: one source and one encode per codec, shared by all viewers. How it works: `docs/media-video.md`.
//!
//! Knows no session: it hands out access units with their capture times, and takes key frame requests and bit rates.

pub mod annexb;
mod capture;
mod channel;
pub mod decoder;
pub mod encoder;
mod font;
mod gop;
mod keyframe;
mod metrics;
pub mod pattern;
pub mod picture;
mod pipeline;
mod shared;
pub mod source;
pub mod sps;
mod still;
#[cfg(test)]
mod testing;
mod types;
mod worker;

pub use encoder::{EncoderInfo, EncoderKind, encoders};
pub use metrics::VideoMetrics;
pub use pipeline::{VideoPipeline, VideoSubscription};
pub use source::{CameraInfo, CameraMode, PixelFormat, list_cameras};
pub use types::*;

pub use crate::config::VideoSourceSpec;
