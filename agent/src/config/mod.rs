//! `agent.toml` as types: each key is documented where it is defined, unknown keys are refused.

mod audio;
mod hub;
mod ice;
mod session;
mod signaling;
mod video;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::{audio::*, hub::*, ice::*, session::*, signaling::*, video::*};

/// The whole of `agent.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who the device is.
    pub device: DeviceConfig,
    /// Camera and encoder.
    pub video: VideoConfig,
    /// Microphone and speaker.
    pub audio: AudioConfig,
    /// The hub inside the agent, and the stand-alone hub.
    pub hub: HubConfig,
    /// Where viewers' messages come from.
    pub signaling: SignalingConfig,
    /// STUN, TURN and the UDP port.
    pub ice: IceConfig,
    /// Limits for viewer sessions.
    pub session: SessionConfig,
    /// Logs and metrics.
    pub telemetry: TelemetryConfig,
}

/// `[device]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// Name of the device on the hub; 1 to 64 characters of `A-Z a-z 0-9 - _ . ~`. Default: the host name.
    pub id: Option<String>,
    /// Where secrets and certificates are kept. Default: `$STATE_DIRECTORY` (systemd), else
    /// `$XDG_STATE_HOME/p2pcam` or `~/.local/state/p2pcam`.
    pub state_dir: Option<PathBuf>,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Log filter, as in `info` or `p2pcam_agent::session=debug,info`.
    pub log: String,
    /// Address of `/metrics` and `/health`; empty: off.
    pub listen: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log: "info".into(), listen: "127.0.0.1:9464".into() }
    }
}
