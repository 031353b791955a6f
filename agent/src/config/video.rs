//! `[video]`: camera and encoder.

use serde::{Deserialize, Serialize};

/// `[video]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoConfig {
    /// `auto` (first camera, else the test pattern), `pattern`, `file:PATH` or `v4l2:/dev/videoN`.
    pub source: String,
    /// Picture width in pixels; the nearest that the camera has is taken.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Encoder target in kilobits a second.
    pub bitrate_kbps: u32,
    /// Seconds between key frames when nobody asks for one.
    pub keyframe_interval_s: u32,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            source: "auto".into(),
            width: 1280,
            height: 720,
            fps: 30,
            bitrate_kbps: 2000,
            keyframe_interval_s: 10,
        }
    }
}
