//! What a sound card does, in numbers: the same for the microphone and for the speaker.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{CardReport, metrics::RealGauge};

/// One direction of a sound card; the gauges are 0 while none is open.
#[derive(Clone, Debug, Default)]
pub struct CardMetrics {
    /// Overruns or underruns.
    pub xruns: Counter,
    /// Times that the machine's sleep stopped the card.
    pub suspends: Counter,
    /// Frames per second that were agreed on with the driver.
    pub rate_hz: Gauge,
    /// Measured drift of its clock.
    pub drift_ppm: RealGauge,
    /// Frames on their way.
    pub latency_frames: Gauge,
}

impl CardMetrics {
    /// Registers all with `prefix`, as in `audio_source_xruns`.
    pub fn register(registry: &mut Registry, prefix: &str) -> Self {
        let m = Self::default();
        let name = |metric: &str| format!("{prefix}_{metric}");
        let r = registry;
        r.register(name("xruns"), "Overruns or underruns of the sound card's ring", m.xruns.clone());
        r.register(name("suspends"), "Times that a suspend stopped the sound card", m.suspends.clone());
        r.register(name("rate_hz"), "Frames per second agreed on with the driver", m.rate_hz.clone());
        r.register(name("drift_ppm"), "Drift of the card's clock, positive is fast", m.drift_ppm.clone());
        r.register(name("latency_frames"), "Frames between card and agent", m.latency_frames.clone());
        m
    }

    /// Takes what a card says; None says that none is open.
    pub fn note(&self, report: Option<CardReport>) {
        let report = report.unwrap_or_default();
        self.xruns.inc_by(report.xruns);
        self.suspends.inc_by(report.suspends);
        self.rate_hz.set(i64::from(report.rate));
        self.drift_ppm.set(report.drift_ppm.unwrap_or_default());
        self.latency_frames.set(report.latency_frames as i64);
    }
}
