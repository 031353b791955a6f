//! `[signaling]`: where viewers' messages come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[signaling]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalingConfig {
    /// `embedded` (hub and page inside the agent), `stdio`, `unix:PATH` (the agent listens there), or the
    /// `ws://` or `wss://` URL of a hub.
    pub link: String,
    /// File with the device token for a remote hub; must not be readable by others.
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate to trust for a `wss://` hub that has one of its own.
    pub ca_file: Option<PathBuf>,
}

impl Default for SignalingConfig {
    fn default() -> Self {
        Self { link: "embedded".into(), token_file: None, ca_file: None }
    }
}
