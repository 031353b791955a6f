//! The two WebSocket endpoints, for devices and for viewers: who may open them, and what runs behind them.

use std::{net::SocketAddr, time::Instant};

use axum::{
    extract::{
        ConnectInfo, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    Hub,
    auth::{self, Verdict},
    device_id::DeviceId,
    peer::{Now, Refused},
    port::Port,
    secrets::Token,
    socket::{self, End, MAX_FRAME},
};
use crate::signaling::{
    link::flood::Rates,
    message::{SessionId, code},
};

/// The WebSocket subprotocol of viewers. Browsers cannot set headers on a WebSocket, so the token comes
/// beside it.
const SUBPROTOCOL: &str = "p2pcam.v1";
const TOKEN_PREFIX: &str = "bearer.";
const RESUME_PREFIX: &str = "resume.";

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /v1/device?id=DEVICE`, `Authorization: Bearer <device token>`.
pub(super) async fn device(
    State(hub): State<Hub>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if let Err(response) = hub.admit(&hub.0.secrets.device, auth::bearer(&headers), source, "device") {
        return *response;
    }
    let Some(id) = query(&uri, "id").and_then(DeviceId::new) else {
        return (StatusCode::BAD_REQUEST, "id: missing, or not 1 to 64 characters of A-Z a-z 0-9 - _ . ~\n")
            .into_response();
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    // Entered before the upgrade is answered, so that a refusal is an HTTP status with words.
    let (port, end) = Port::socket();
    let key = match hub.switchboard().device_open(&id, port, false, Now::read()) {
        Ok(key) => key,
        Err(refused) => {
            tracing::warn!(device = %id, %source, %refused, "a device was turned away");
            let status = match refused {
                Refused::NameTaken => StatusCode::CONFLICT,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            return (status, format!("{refused}\n")).into_response();
        }
    };
    let (failed, failed_id, tasks) = (hub.clone(), id.clone(), hub.0.tasks.clone());
    sized(upgrade).on_failed_upgrade(move |_| failed.switchboard().device_close(&failed_id, key)).on_upgrade(
        move |socket| {
            tasks.track_future(async move {
                let on_message = |envelope| hub.switchboard().device_message(&id, key, envelope, Now::read());
                socket::run(socket, end, Rates::LINK, &hub.0.metrics, on_message).await;
                hub.switchboard().device_close(&id, key);
            })
        },
    )
}

/// `GET /v1/viewer?device=DEVICE`, `Sec-WebSocket-Protocol: p2pcam.v1, bearer.<viewer token>[,
/// resume.<session>]`.
///
/// Without an upgrade it only judges the token, so that a page can tell a wrong token from a network fault,
/// which the browser's WebSocket does not say: 401 or 429 for a wrong one.
pub(super) async fn viewer(
    State(hub): State<Hub>,
    ConnectInfo(source): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if !auth::same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "Origin: not this hub\n").into_response();
    }
    let offered = subprotocols(&headers);
    let given = offered.iter().find_map(|p| p.strip_prefix(TOKEN_PREFIX)).or(auth::bearer(&headers));
    if let Err(response) = hub.admit(&hub.0.secrets.viewer, given, source, "viewer") {
        return *response;
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let wanted = match query(&uri, "device").map(DeviceId::new) {
        Some(None) => return (StatusCode::BAD_REQUEST, "device: not a device id\n").into_response(),
        other => other.flatten(),
    };
    let resume = offered.iter().find_map(|p| p.strip_prefix(RESUME_PREFIX)).and_then(SessionId::new);
    let mut upgrade = sized(upgrade);
    if offered.contains(&SUBPROTOCOL) {
        upgrade.set_selected_protocol(HeaderValue::from_static(SUBPROTOCOL));
    }
    let tasks = hub.0.tasks.clone();
    upgrade.on_upgrade(move |socket| tasks.track_future(serve_viewer(hub, socket, wanted, resume, source)))
}

async fn serve_viewer(
    hub: Hub,
    socket: WebSocket,
    wanted: Option<DeviceId>,
    resume: Option<SessionId>,
    source: SocketAddr,
) {
    let (port, end) = Port::socket();
    let opened = hub.switchboard().viewer_open(port, wanted, resume, Now::read());
    let key = match opened {
        Ok(key) => key,
        // Closed without words: the page comes back by itself and finds the hub gone, or new.
        Err(Refused::Ending) => return,
        Err(refused) => {
            tracing::warn!(%source, %refused, "a viewer was turned away");
            return socket::turn_away(socket, code::TOO_MANY_SESSIONS, refused.to_string()).await;
        }
    };
    let on_message = |envelope| hub.switchboard().viewer_message(key, envelope, Now::read());
    let ended = socket::run(socket, end, Rates::VIEWER, &hub.0.metrics, on_message).await;
    hub.switchboard().viewer_close(key, ended == End::Goodbye, Now::read());
}

impl Hub {
    fn admit(
        &self,
        token: &Token,
        given: Option<&str>,
        source: SocketAddr,
        role: &str,
    ) -> Result<(), Box<Response>> {
        let gate = &self.0.gate;
        let verdict = gate.lock().unwrap_or_else(std::sync::PoisonError::into_inner).judge(
            token,
            given,
            source.ip(),
            Instant::now(),
        );
        if verdict == Verdict::Enter {
            return Ok(());
        }
        self.0.metrics.auth_failures.inc();
        Err(Box::new(if verdict == Verdict::Wrong {
            tracing::warn!(source = %source.ip(), role, missing = given.is_none(), "wrong token");
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, "wrong or missing token\n").into_response()
        } else {
            let wait = [(header::RETRY_AFTER, "60")];
            (StatusCode::TOO_MANY_REQUESTS, wait, "wrong token, too often\n").into_response()
        }))
    }
}

fn sized(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME)
}

/// The first `key=value` of the query. Ids need no escapes, so none are undone.
fn query<'a>(uri: &'a Uri, key: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect()
}
