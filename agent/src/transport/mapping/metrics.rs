//! What port mapping counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::MappingKind;

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// Counters and gauges of port mapping.
#[derive(Clone, Debug, Default)]
pub struct MappingMetrics {
    held: Family<Label, Gauge>,
    failures: Family<Label, Counter>,
}

impl MappingMetrics {
    /// Makes and registers all of them; the names start with `transport_`.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("transport");
        r.register("mappings", "Ports that routers hold open, by protocol", m.held.clone());
        r.register(
            "mapping_failures",
            "Routers that opened or renewed no port, by reason",
            m.failures.clone(),
        );
        m
    }

    pub(super) fn held(&self, kind: MappingKind) -> Gauge {
        self.held.get_or_create(&[("protocol", kind.label())]).clone()
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&[("reason", reason)]).inc();
    }
}
