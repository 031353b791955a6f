//! `[hub]`: the hub inside the agent, and the stand-alone hub.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[hub]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// Plain HTTP address, `IP:PORT` or `HOST:PORT`, port 0 for any free one; empty: off. Only this machine
    /// by default: tokens must not cross a network in the clear.
    pub http: String,
    /// HTTPS address in the same form; empty: off.
    pub https: String,
    /// PEM certificate chain for HTTPS. Default: one of the device's own, made on first start.
    pub certificate: Option<PathBuf>,
    /// PEM private key of `certificate`; not readable by others than its owner and group.
    pub private_key: Option<PathBuf>,
    /// STUN URLs given to viewers and devices: `stun:HOST:PORT`.
    pub stun: Vec<String>,
    /// TURN URLs given to viewers and devices: `turn:HOST:PORT?transport=udp`, `turns:...`.
    pub turn: Vec<String>,
    /// File of mode 0600 with coturn's `static-auth-secret`; needed when `turn` is set. Credentials made from
    /// it live `turn_ttl_s`.
    pub turn_secret_file: Option<PathBuf>,
    /// Life of TURN credentials in seconds, 60 or more.
    pub turn_ttl_s: u64,
    /// Viewers connected at once, over all devices.
    pub max_viewers: usize,
    /// Devices connected at once.
    pub max_devices: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8080".into(),
            https: "0.0.0.0:8443".into(),
            certificate: None,
            private_key: None,
            stun: Vec::new(),
            turn: Vec::new(),
            turn_secret_file: None,
            turn_ttl_s: 3600,
            max_viewers: 256,
            max_devices: 64,
        }
    }
}
