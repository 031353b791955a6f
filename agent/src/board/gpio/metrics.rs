//! What the board's lines tell the operator in numbers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// `role="status_led"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RoleLabel {
    role: &'static str,
}

impl From<&'static str> for RoleLabel {
    fn from(role: &'static str) -> Self {
        Self { role }
    }
}

/// The lines' figures.
#[derive(Clone, Debug, Default)]
pub struct GpioMetrics {
    /// 1 while the line of a role is held, 0 while it cannot be.
    pub held: Family<RoleLabel, Gauge>,
    /// Times that a line could not be taken, set or read.
    pub failures: Family<RoleLabel, Counter>,
    /// 1 while camera and microphone are kept closed.
    pub privacy: Gauge,
    /// Times that the privacy switch closed them.
    pub privacy_closings: Counter,
    /// 1 at night.
    pub night: Gauge,
}

impl GpioMetrics {
    /// Registers all as `gpio_*` and `privacy_*`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let (r, m) = (registry, &metrics);
        r.register("gpio_line_held", "1 while the line of a role is held", m.held.clone());
        r.register("gpio_failures", "Times that a line could not be taken, set or read", m.failures.clone());
        r.register("gpio_night", "1 while filter and light are set for the night", m.night.clone());
        r.register("privacy_closed", "1 while camera and microphone are kept closed", m.privacy.clone());
        r.register(
            "privacy_closings",
            "Times that the privacy switch closed camera and microphone",
            m.privacy_closings.clone(),
        );
        metrics
    }
}
