//! `agent.toml` as types: each key is documented where it is defined, unknown keys are refused.
//!
//! [`load()`] puts the layers together (file, `P2PCAM_*` variables, command-line flags) and names the place of
//! whatever is wrong. The keys and their types are read off the structs ([`schema`]), so that there is no second
//! list to forget. This module opens no device and no socket.

mod audio;
mod device;
mod encoder;
mod gpio;
mod hub;
mod ice;
mod load;
mod problem;
mod rules;
pub mod schema;
mod session;
mod signaling;
mod telemetry;
mod value;
mod video;

use serde::{Deserialize, Serialize};

pub use self::{
    audio::*,
    device::*,
    encoder::*,
    gpio::*,
    hub::*,
    ice::*,
    load::{DEFAULT_PATH, Loaded, Override, Setting, load, load_with, parse},
    problem::{ConfigError, Place, Problem},
    session::*,
    signaling::*,
    telemetry::*,
    video::*,
};

/// An `agent.toml` that spells out every default, with a comment for each key.
pub const COMMENTED_DEFAULT: &str = include_str!("agent.toml");

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
    /// The board's lines.
    pub gpio: GpioConfig,
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
