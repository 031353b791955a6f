//! `[session]`: limits for viewer sessions.

use serde::{Deserialize, Serialize};

/// `[session]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// Viewers served at once.
    pub max: usize,
    /// Seconds from `connect` to a working path before the session is given up.
    pub connect_timeout_s: u64,
    /// Seconds that a session may be without a path before it is given up.
    pub disconnect_timeout_s: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { max: 16, connect_timeout_s: 30, disconnect_timeout_s: 30 }
    }
}
