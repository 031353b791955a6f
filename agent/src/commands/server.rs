//! What `run` and `hub` share: metrics, health, signals, and the word to systemd.

use std::time::Instant;

use anyhow::Context;
use p2pcam_agent::{
    config::Config,
    telemetry::{
        self,
        health::{Health, Level},
        http::Endpoint,
        liveness::Liveness,
        metrics::Metrics,
        process::ProcessMetrics,
        service, watchdog,
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A process that serves until it is told to stop.
pub struct Server {
    /// All parts register here.
    pub metrics: Metrics,
    /// Cancelled by SIGTERM, SIGINT or the end of the link.
    pub stop: CancellationToken,
    /// All parts say here how they do.
    pub health: Health,
    endpoint: JoinHandle<Result<(), telemetry::http::EndpointError>>,
}

impl Server {
    /// Binds the metrics endpoint and listens for signals.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        metrics.register(|registry| ProcessMetrics::register(registry, Instant::now()));
        let stop = CancellationToken::new();
        let health = Health::new();
        health.pending("serving");
        let listen = config.telemetry.listen.clone();
        let endpoint = if listen.is_empty() { None } else { Some(Endpoint::bind(&listen).await?) };
        let (m, h, s) = (metrics.clone(), health.clone(), stop.clone());
        let endpoint = tokio::spawn(async move {
            match endpoint {
                Some(endpoint) => endpoint.run(m, h, s).await,
                None => Ok(()),
            }
        });
        let (h, s) = (health.clone(), stop.clone());
        tokio::spawn(s.run_until_cancelled_owned(watchdog::watch(Liveness::process(), h)));
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let asked = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM: saying goodbye"),
                _ = interrupt.recv() => info!("SIGINT: saying goodbye"),
            }
            service::stopping();
            asked.cancel();
        });
        Ok(Self { metrics, stop, health, endpoint })
    }

    /// Says that it serves, to systemd and on `/health`.
    pub fn ready(&self, what: &str) {
        self.health.set("serving", Level::Ok, what);
        service::ready(what);
    }

    /// Waits for the endpoint to end; `stop` was cancelled before.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.endpoint.await.context("the metrics endpoint broke")??)
    }
}
