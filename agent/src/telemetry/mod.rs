//! What the agent tells its operator: logs, metrics, health, and its state to systemd.

pub mod connection;
pub mod health;
pub mod http;
mod limited;
pub mod liveness;
pub mod log;
pub mod metrics;
pub mod process;
pub mod service;
pub mod watchdog;

pub use log::init;
