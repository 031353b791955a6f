//! The name of a device on the hub.

use std::fmt;

use crate::signaling::message::SessionId;

/// Names one device; 1 to 64 characters of `A-Z a-z 0-9 - _ . ~`, as they stand in a URL without escapes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(SessionId);

impl DeviceId {
    /// Checks the form, which is that of a session id. `None` if it is not one.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        SessionId::new(id).map(Self)
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
