//! `[audio]`: microphone and speaker.

use serde::{Deserialize, Serialize};

/// `[audio]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioConfig {
    /// `auto` (first sound card that captures, else a tone), `tone`, `file:PATH`, `alsa:DEVICE` or `none`.
    pub source: String,
    /// Talk-back: `auto` (first sound card that plays, else the log), `alsa:DEVICE`, `log` or `none`.
    pub sink: String,
    /// Opus target in kilobits a second.
    pub bitrate_kbps: u32,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self { source: "auto".into(), sink: "auto".into(), bitrate_kbps: 32 }
    }
}
