//! `[telemetry]`: logs and metrics.

use serde::{Deserialize, Serialize};

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
