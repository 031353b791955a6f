//! The crate's estimator, with its figure in reach: the crate takes it by value and says nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rtc::interceptor::{BandwidthEstimator, EstimatorStats, Gcc, PacketReport};

/// The estimate's least and its most, in bits a second.
const LEAST: f64 = 100_000.0;
const MOST: f64 = 5_000_000.0;

/// Google's congestion control, which tells its figure.
pub struct Told {
    inner: Gcc,
    target: Arc<AtomicU64>,
}

impl Told {
    /// The estimator, beginning at `start` bits a second, and where its figure can be read.
    pub fn new(start: u64) -> (Self, Arc<AtomicU64>) {
        let target = Arc::new(AtomicU64::new(start));
        (Self { inner: Gcc::new(start as f64, LEAST, MOST), target: target.clone() }, target)
    }

    fn tell(&self) {
        self.target.store(self.inner.target_bitrate() as u64, Ordering::Relaxed);
    }
}

impl BandwidthEstimator for Told {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.inner.on_reports(now, reports);
        self.tell();
    }

    fn target_bitrate(&self) -> f64 {
        self.inner.target_bitrate()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
        self.tell();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn stats(&self) -> EstimatorStats {
        self.inner.stats()
    }
}
