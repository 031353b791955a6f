//! The picture: one source and one encode per codec, shared by all viewers.

mod types;

pub use types::*;
