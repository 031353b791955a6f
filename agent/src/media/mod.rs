//! Picture and sound: sources, encoders, fan-out to viewers, talk-back. Knows no session.

pub mod audio;
pub(crate) use crate::board::backoff;
pub mod video;
