//! A hub on free ports with clients over real sockets, for the tests.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::StatusCode},
};
use tokio_util::sync::CancellationToken;

use super::{Hub, secrets};
use crate::{config::HubConfig, telemetry::metrics::Metrics};

/// Everything in these tests takes milliseconds; this only ends a test that has failed.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub struct TestHub {
    pub hub: Hub,
    pub metrics: Metrics,
    pub http: SocketAddr,
    pub https: Option<SocketAddr>,
    pub state: tempfile::TempDir,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<anyhow::Result<()>>,
}

pub fn config() -> HubConfig {
    HubConfig { http: "127.0.0.1:0".into(), https: String::new(), ..HubConfig::default() }
}

impl TestHub {
    pub fn start(config: HubConfig) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (secrets, _) = secrets::load_or_create(state.path()).unwrap();
        let metrics = Metrics::new();
        let hub = Hub::new(&config, secrets, &metrics).unwrap();
        let bound = hub.bind().unwrap();
        let (http, https) = (bound.http().unwrap(), bound.https());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(bound.serve(shutdown.clone()));
        Self { hub, metrics, http, https, state, shutdown, serving }
    }

    pub async fn device(&self, id: &str) -> Client {
        let token = self.hub.0.secrets.device.reveal().to_owned();
        self.open(&format!("/v1/device?id={id}"), &[("Authorization", &format!("Bearer {token}"))])
            .await
            .unwrap()
    }

    pub async fn viewer(&self) -> Client {
        self.viewer_with("").await
    }

    pub async fn viewer_with(&self, more: &str) -> Client {
        let protocols = format!("p2pcam.v1, bearer.{}{more}", self.hub.0.secrets.viewer.reveal());
        self.open("/v1/viewer", &[("Sec-WebSocket-Protocol", &protocols)]).await.unwrap()
    }

    /// A WebSocket, or the status that refused it.
    pub async fn open(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Client, StatusCode> {
        let mut request = format!("ws://{}{path}", self.http).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(self.http).await.unwrap();
        match timeout(DEADLINE, client_async(request, MaybeTlsStream::Plain(tcp))).await.unwrap() {
            Ok((socket, response)) => {
                let protocol = response.headers().get("Sec-WebSocket-Protocol");
                let protocol = protocol.map(|p| p.to_str().unwrap().to_owned());
                Ok(Client { socket, protocol })
            }
            Err(tungstenite::Error::Http(response)) => Err(response.status()),
            Err(other) => panic!("{other}"),
        }
    }

    /// A plain request with a raw head, so that nothing of the answer is hidden.
    pub async fn get(&self, path: &str, headers: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut tcp = TcpStream::connect(self.http).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: cam.local:8080\r\nConnection: close\r\n{headers}\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(DEADLINE, tcp.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// The value of one of the hub's metrics.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.encode();
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("p2pcam_hub_{name} ")));
        line.unwrap_or_else(|| panic!("no metric {name} in {text}")).parse().unwrap()
    }
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub protocol: Option<String>,
}

impl Client {
    pub async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message; pings are skipped. `None`: the socket is closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(DEADLINE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn read(&mut self) -> Value {
        self.next().await.expect("a message and not the end")
    }

    /// The session id of the `connect` that must come next.
    pub async fn offered(&mut self) -> String {
        let message = self.read().await;
        assert!(message["connect"].is_object(), "{message}");
        message["session"].as_str().unwrap().to_owned()
    }

    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
    }
}

/// A TLS client that trusts one certificate and nothing else.
pub fn trusting(certificate_pem: &str) -> tokio_rustls::TlsConnector {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap()).unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    tokio_rustls::TlsConnector::from(Arc::new(config))
}
