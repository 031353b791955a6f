//! What devices say of their sessions' paths: logged when said, counted when the session is over.

use super::{DeviceId, Session, SessionId, Switchboard};
use crate::{
    hub::metrics::HubMetrics,
    signaling::message::{Body, code, notice},
};

/// The last word on one session's path. Counts it when dropped.
pub(super) struct PathTold {
    kind: Option<&'static str>,
    metrics: HubMetrics,
}

impl PathTold {
    /// Nothing was said yet.
    pub fn new(metrics: &HubMetrics) -> Self {
        Self { kind: None, metrics: metrics.clone() }
    }
}

impl Drop for PathTold {
    fn drop(&mut self) {
        if let Some(kind) = self.kind {
            self.metrics.paths.get_or_create(&[("path", kind)]).inc();
        }
    }
}

impl Switchboard {
    /// Takes down what a device says of a session's path, if it does.
    pub(super) fn note_path(&mut self, id: &SessionId, device: &DeviceId, body: &Body) {
        let (kind, words) = match body {
            Body::Notice(told) => match told.code.as_str() {
                notice::PATH_DIRECT => ("direct", &told.message),
                notice::PATH_RELAYED => ("relayed", &told.message),
                notice::PATH_NONE => ("none", &told.message),
                _ => return,
            },
            Body::Error(error) if error.code == code::NO_PATH => ("none", &error.message),
            _ => return,
        };
        let Some(Session { path, .. }) = self.sessions.get_mut(id) else { return };
        path.kind = Some(kind);
        match kind {
            "none" => tracing::warn!(session = %id, %device, "{words}"),
            _ => tracing::info!(session = %id, %device, "path: {words}"),
        }
    }
}
