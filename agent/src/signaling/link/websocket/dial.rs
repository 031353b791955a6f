//! One attempt to reach the hub: the request that asks, and words for what came of it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest,
        handshake::client::Request,
        http::{HeaderValue, Uri, header::AUTHORIZATION},
        protocol::WebSocketConfig,
    },
};

use super::{WebSocketOptions, tls};
use crate::signaling::message::{MAX_MESSAGE, SessionId};

/// Where a hub meets its devices.
const DEVICE_PATH: &str = "/v1/device";

/// Time for name, TCP, TLS and upgrade together: seconds suffice on any path that could carry video afterwards.
const DIAL_TIME: Duration = Duration::from_secs(15);

/// Longest message that the connection survives: above [`MAX_MESSAGE`], so that one somewhat too large is answered with an
/// `error` and not with a broken connection.
const MAX_FRAME: usize = 4 * MAX_MESSAGE;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) socket: Socket,
    /// A guess: TCP and the upgrade took one each.
    pub(super) round_trip: Duration,
}

/// Both ends of a connection: this device's and the hub's.
pub(super) fn ends(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    let tcp = match socket.get_ref() {
        MaybeTlsStream::Plain(tcp) => tcp,
        MaybeTlsStream::Rustls(tls) => tls.get_ref().0,
        _ => return None,
    };
    tcp.local_addr().ok().zip(tcp.peer_addr().ok())
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The hub answered and does not want this device: only a person can change that.
    pub(super) denied: bool,
    /// For the technician.
    pub(super) words: String,
}

/// How to reach one hub.
pub(super) struct Dialer {
    request: Request,
    /// For `wss://` alone: a plain link needs nobody whom the system trusts.
    tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    pub(super) fn new(options: &WebSocketOptions) -> anyhow::Result<Self> {
        let uri = device_uri(&options.url, &options.device_id)?;
        let mut request = uri.into_client_request().with_context(|| format!("hub URL {}", options.url))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", options.token.secret()))
            .context("the device token cannot be sent in a header")?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let tls = match request.uri().scheme_str() {
            Some("wss") => Some(tls::config(options.ca_file.as_deref())?),
            _ => None,
        };
        Ok(Self { request, tls })
    }

    pub(super) async fn dial(&self) -> Result<Dialed, Failure> {
        let began = Instant::now();
        let config =
            WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
        let connector = self.tls.clone().map_or(Connector::Plain, Connector::Rustls);
        let connected =
            connect_async_tls_with_config(self.request.clone(), Some(config), true, Some(connector));
        match tokio::time::timeout(DIAL_TIME, connected).await {
            Ok(Ok((socket, _))) => Ok(Dialed { socket, round_trip: began.elapsed() / 2 }),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err(Failure {
                denied: false,
                words: format!(
                    "no answer within {} s: is the hub's port open to this network?",
                    DIAL_TIME.as_secs()
                ),
            }),
        }
    }
}

/// The URL with [`DEVICE_PATH`], unless it has a path of its own, and the device's id.
pub(super) fn device_uri(url: &str, device_id: &str) -> anyhow::Result<Uri> {
    ensure!(
        SessionId::new(device_id).is_some(),
        "device id `{device_id}`: has 1 to 64 characters of A-Z a-z 0-9 - _ . ~; set `id` in [device]"
    );
    let uri: Uri =
        url.trim().parse().with_context(|| format!("hub URL {url}: write wss://HOST or wss://HOST:PORT"))?;
    match uri.scheme_str() {
        Some("ws" | "wss") => {}
        Some("https") => bail!("hub URL {url}: write wss:// instead of https://"),
        Some("http") => bail!("hub URL {url}: write ws:// instead of http://"),
        _ => bail!("hub URL {url}: write wss://HOST or wss://HOST:PORT"),
    }
    let path = match uri.path() {
        "" | "/" => DEVICE_PATH,
        path => path,
    };
    let id = format!("id={device_id}");
    let query =
        uri.query().filter(|q| !q.is_empty()).map_or_else(|| id.clone(), |query| format!("{query}&{id}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(
        format!("{path}?{query}")
            .parse()
            .with_context(|| format!("hub URL {url}: its path cannot be used"))?,
    );
    Uri::from_parts(parts).with_context(|| format!("hub URL {url}: write wss://HOST or wss://HOST:PORT"))
}

/// True if the token would cross a network in the clear.
pub(super) fn exposes_token(url: &str) -> bool {
    let Ok(uri) = url.trim().parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("ws") && !local
}

fn explain(error: &tungstenite::Error) -> Failure {
    let failure = |denied, words: String| Failure { denied, words };
    match error {
        tungstenite::Error::Http(response) => match response.status().as_u16() {
            401 => failure(
                true,
                "the hub does not know the device token (401): put the token that the hub made for this device into \
                 `token_file`"
                    .into(),
            ),
            403 => failure(
                true,
                "the hub refuses this device (403): the token is for another device id, or the hub has no room; see the \
                 hub's log"
                    .into(),
            ),
            404 => failure(false, "the server has no p2pcam hub at this URL (404): check its host and path".into()),
            status => failure(false, format!("the server answered with HTTP status {status}: see its log")),
        },
        tungstenite::Error::Io(e) => {
            let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            failure(false, tls.map_or_else(|| format!("cannot connect: {e}"), tls::advice))
        }
        other => failure(false, other.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_device_path_is_added_unless_there_is_one() {
        for (url, wanted) in [
            ("wss://hub.example", "wss://hub.example/v1/device?id=cam"),
            ("wss://hub.example:8443/", "wss://hub.example:8443/v1/device?id=cam"),
            ("ws://[::1]:8080", "ws://[::1]:8080/v1/device?id=cam"),
            ("wss://hub.example/mine/ws", "wss://hub.example/mine/ws?id=cam"),
            ("wss://hub.example/?site=7", "wss://hub.example/v1/device?site=7&id=cam"),
        ] {
            assert_eq!(device_uri(url, "cam").unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn a_url_of_another_kind_is_refused_with_the_right_one() {
        for (url, words) in [
            ("https://hub.example", "wss://"),
            ("http://h", "ws://"),
            ("hub.example", "wss://HOST"),
            ("", "wss://HOST"),
        ] {
            let error = device_uri(url, "cam").unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
        }
        assert!(device_uri("wss://h", "my cam").unwrap_err().to_string().contains("[device]"));
    }

    #[test]
    fn a_token_in_the_clear_is_noticed_except_on_this_machine() {
        assert!(exposes_token("ws://hub.example"));
        for url in ["wss://hub.example", "ws://127.0.0.1:8080", "ws://[::1]:8080", "ws://localhost"] {
            assert!(!exposes_token(url), "{url}");
        }
    }
}
