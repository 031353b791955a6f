//! Stateful V4L2 encoders (kernel doc: userspace-api/media/v4l/dev-encoder), as on the Raspberry Pi up to 4.
//!
//! [`discover`] finds those that make H.264, [`M2mEncoder`] is one at work. What they share with encoders of other
//! codecs is [`Engine`]: formats, buffers, draining. It takes a picture from the camera's own buffer where the encoder
//! can read it there, and a copy where not. What single drivers need is in [`Quirks`].

mod controls;
mod discover;
mod encoder;
mod engine;
mod imports;
mod layout;
mod quirks;

pub use controls::RateControls;
pub use discover::{M2mDevice, discover};
pub use encoder::M2mEncoder;
pub use engine::{Coded, Engine, EngineSettings, Ticket};
pub use layout::{Layout, Short};
pub use quirks::Quirks;
