//! What the hub counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The hub's metrics; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct HubMetrics {
    pub viewers: Gauge,
    pub devices: Gauge,
    pub sessions_opened: Counter,
    pub auth_failures: Counter,
    pub messages_refused: Counter,
    pub paths: Family<[(&'static str, &'static str); 1], Counter>,
}

impl HubMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("hub");
        registry.register("viewers", "Viewer sockets open now", metrics.viewers.clone());
        registry.register("devices", "Devices connected now", metrics.devices.clone());
        registry.register(
            "sessions_opened",
            "Sessions pushed to a device since start",
            metrics.sessions_opened.clone(),
        );
        registry.register(
            "auth_failures",
            "Requests with a wrong or missing token since start",
            metrics.auth_failures.clone(),
        );
        registry.register(
            "messages_refused",
            "Signalling messages refused since start",
            metrics.messages_refused.clone(),
        );
        let words = "Sessions over, by what their device said last of the path";
        registry.register("paths", words, metrics.paths.clone());
        metrics
    }
}
