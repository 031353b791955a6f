//! Picture and sound: sources, encoders, fan-out to viewers, talk-back. Knows no session.

pub mod audio;
mod backoff;
pub mod video;
