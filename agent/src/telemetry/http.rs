//! The operator's HTTP endpoint: `GET /metrics` (OpenMetrics text) and `GET /health` (JSON).
//!
//! No secret guards it, so it listens on this machine only unless the configuration says otherwise; it takes
//! nothing in and names no viewer.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    health::{Health, Level},
    limited::Limited,
    metrics::Metrics,
};

/// OpenMetrics 1.0, section "Text format".
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Scrapers at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8;

/// What a scrape that is under way at the end may still take: the agent promises to end within 2 s.
const GRACE: Duration = Duration::from_millis(500);

/// The endpoint, bound to its address.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address cannot be listened on.
    #[error(
        "metrics and health: cannot listen on {listen}: {error}: set telemetry.listen to a free address of this machine, or to \"\" for none"
    )]
    Bind {
        /// As configured.
        listen: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Accepting connections failed for good.
    #[error("metrics and health: {0}")]
    Serve(std::io::Error),
}

impl Endpoint {
    /// Listens on `listen` (`ADDRESS:PORT`); warns if others than this machine can reach it.
    ///
    /// # Errors
    ///
    /// The address is in use, not of this machine, or malformed.
    pub async fn bind(listen: &str) -> Result<Self, EndpointError> {
        let failed = |error| EndpointError::Bind { listen: listen.to_owned(), error };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if address.ip().is_loopback() {
            tracing::info!(%address, "metrics and health");
        } else {
            tracing::warn!(
                %address,
                "metrics and health can be read by whoever reaches this address: \
                 set telemetry.listen to 127.0.0.1:9464 to keep them on this machine"
            );
        }
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, and at most half a second longer.
    ///
    /// # Errors
    ///
    /// The listener failed.
    pub async fn run(
        self,
        metrics: Metrics,
        health: Health,
        shutdown: CancellationToken,
    ) -> Result<(), EndpointError> {
        let app = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/health", get(health_page))
            .with_state((metrics, health));
        let ended = shutdown.clone().cancelled_owned();
        let server = axum::serve(Limited::new(self.listener, MAX_CONNECTIONS), app);
        tokio::select! {
            result = server.with_graceful_shutdown(ended) => result.map_err(EndpointError::Serve),
            () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }
}

/// Binds and answers until `shutdown`; an empty `listen` switches the endpoint off.
///
/// # Errors
///
/// As for [`Endpoint::bind`] and [`Endpoint::run`].
pub async fn serve(
    listen: &str,
    metrics: Metrics,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), EndpointError> {
    if listen.is_empty() {
        shutdown.cancelled().await;
        return Ok(());
    }
    Endpoint::bind(listen).await?.run(metrics, health, shutdown).await
}

type Shared = (Metrics, Health);

async fn metrics_page(State((metrics, _)): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], metrics.encode())
}

async fn health_page(State((_, health)): State<Shared>) -> impl IntoResponse {
    let report = health.report();
    let code = match report.status {
        Level::Ok | Level::Degraded => StatusCode::OK,
        Level::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, [(header::CACHE_CONTROL, "no-store")], Json(report))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    struct Server {
        address: SocketAddr,
        health: Health,
        shutdown: CancellationToken,
        task: JoinHandle<Result<(), EndpointError>>,
    }

    async fn start() -> Server {
        let endpoint = Endpoint::bind("127.0.0.1:0").await.unwrap();
        let (address, health, shutdown) = (endpoint.address(), Health::new(), CancellationToken::new());
        let task = tokio::spawn(endpoint.run(Metrics::new(), health.clone(), shutdown.clone()));
        Server { address, health, shutdown, task }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_openmetrics_text() {
        let server = start().await;
        let answer = get(server.address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("application/openmetrics-text; version=1.0.0"), "{answer}");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    }

    #[tokio::test]
    async fn health_is_503_with_words_only_when_something_has_failed() {
        let server = start().await;
        server.health.set("camera", Level::Degraded, "no camera: the test pattern is shown");
        assert!(get(server.address, "/health").await.starts_with("HTTP/1.1 200"));
        server.health.set("signaling", Level::Failed, "the hub is gone");
        let answer = get(server.address, "/health").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["status"], "failed");
        assert_eq!(body["conditions"][1]["detail"], "the hub is gone");
    }

    #[tokio::test]
    async fn it_ends_in_time_although_a_client_holds_its_connection() {
        let server = start().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        // An answered request proves that the first connection was accepted before the end.
        get(server.address, "/health").await;
        server.shutdown.cancel();
        timeout(SOON, server.task).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_a_place() {
        let server = start().await;
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            held.push(TcpStream::connect(server.address).await.unwrap());
        }
        let mut next = TcpStream::connect(server.address).await.unwrap();
        next.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let waiting = timeout(Duration::from_millis(100), next.read_to_string(&mut answer)).await;
        assert!(waiting.is_err(), "answered although all places were taken: {answer}");
        held.pop();
        timeout(SOON, next.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_what_to_do() {
        let server = start().await;
        let listen = server.address.to_string();
        let error = Endpoint::bind(&listen).await.unwrap_err().to_string();
        assert!(error.contains(&listen) && error.contains("set telemetry.listen"), "{error}");
    }
}
