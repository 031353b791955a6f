//! The registry of metrics: each part makes its own struct of counters with `register(&mut Registry)`.
//!
//! Names carry no prefix in the code; the registry adds `p2pcam_` to all of them.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

/// A handle to the agent's metrics registry, cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// An empty registry whose metrics all start with `p2pcam_`.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("p2pcam"))))
    }

    /// Registers a part's metrics: `let m = metrics.register(VideoMetrics::register);`.
    pub fn register<T>(&self, part: impl FnOnce(&mut Registry) -> T) -> T {
        part(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The OpenMetrics text exposition of all registered metrics.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
