//! Figures of the links: what came, what went, what was refused and what was lost.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Label of refused messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

/// Counters of the signalling links. Cheap to clone; the default counts into nowhere.
#[derive(Clone, Debug, Default)]
pub struct LinkMetrics {
    /// Messages handed to the sessions.
    pub received: Counter,
    /// Messages written to a server.
    pub sent: Counter,
    /// Messages let go because the server was away for too long.
    pub dropped: Counter,
    /// Connections made again after a loss.
    pub reconnects: Counter,
    /// 1 while messages can be sent.
    pub up: Gauge,
    refused: Family<Code, Counter>,
}

impl LinkMetrics {
    /// Enters the counters into `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("signaling");
        registry.register("messages_received", "Messages handed to the sessions", metrics.received.clone());
        registry.register("messages_sent", "Messages written to a server", metrics.sent.clone());
        registry.register(
            "messages_dropped",
            "Messages let go while the server was out of reach",
            metrics.dropped.clone(),
        );
        registry.register("messages_refused", "Messages refused, by error code", metrics.refused.clone());
        registry.register("reconnects", "Connections to the server made again", metrics.reconnects.clone());
        registry.register("link_up", "1 while messages can be sent", metrics.up.clone());
        metrics
    }

    /// Counts a refusal.
    pub fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&Code { code }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn refusals_are_counted_by_code() {
        let registry = Metrics::new();
        registry.register(LinkMetrics::register).refused("malformed");
        let text = registry.encode();
        assert!(text.contains("p2pcam_signaling_messages_refused_total{code=\"malformed\"} 1"), "{text}");
    }
}
