//! What the agent tells its operator: tracing to journald or the terminal, and metrics.

pub mod metrics;
