//! The picture: one source and one encode per codec, shared by all viewers.

pub mod annexb;
pub mod decoder;
pub mod encoder;
mod font;
pub mod pattern;
pub mod picture;
pub mod sps;
mod still;
mod types;

pub use encoder::{EncoderInfo, EncoderKind, encoders};
pub use types::*;
