//! `[audio]`: microphone and speaker.

use serde::{Deserialize, Serialize};

/// `[audio]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioConfig {
    /// `auto` (first sound card that captures, else a tone), `tone` (a 440 Hz beep once a second), `file:PATH`
    /// (looped; anything that FFmpeg reads), `alsa:DEVICE` (as in `alsa:plughw:CARD=Device,DEV=0`; `p2pcam-agent
    /// devices` lists them) or `none`.
    pub source: String,
    /// Talk-back: `auto` (first sound card that plays, else the log), `alsa:DEVICE`, `log` or `none`.
    pub sink: String,
    /// Opus target in kilobits a second, 6 to 510; 32 carries speech and most of what a room sounds like.
    /// G.711 always takes 64.
    pub bitrate_kbps: u32,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self { source: "auto".into(), sink: "auto".into(), bitrate_kbps: 32 }
    }
}
