//! The sound: one capture and one encode per codec shared by all viewers, and talk-back.

mod types;

pub use types::*;
