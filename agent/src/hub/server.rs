//! Binds the hub's HTTP and HTTPS addresses and serves them until told to stop.

use std::{
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, bail};
use axum::{Json, Router, extract::State, routing::get};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Hub, assets, endpoints, links,
    listener::{Listener, Room},
    peer::Now,
    tls,
};

/// A client that sends no request for this long is closed.
const REQUEST: Duration = Duration::from_secs(10);
/// For goodbyes to leave; with [`LINGER`] under the second in which the hub ends.
const GOODBYE: Duration = Duration::from_millis(600);
/// For requests that are being answered.
const LINGER: Duration = Duration::from_millis(200);
/// How often the switchboard looks for what is over.
const TICK: Duration = Duration::from_secs(1);
/// Connections besides the viewers and devices that are allowed: page loads, and those being turned away.
const SPARE_CONNECTIONS: usize = 64;

/// The addresses that the hub really has.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
}

/// A hub whose addresses are bound: connections wait until [`Bound::serve`].
pub struct Bound {
    hub: Hub,
    http: Option<TcpListener>,
    https: Option<(TcpListener, TlsAcceptor)>,
    addresses: Addresses,
    fingerprint: Option<String>,
}

pub(super) fn bind(hub: &Hub) -> anyhow::Result<Bound> {
    let config = &hub.0.config;
    let http = listen("hub.http", &config.http)?;
    let (https, fingerprint) = match listen("hub.https", &config.https)? {
        None => (None, None),
        Some(listener) => {
            let identity = tls::load_or_create(config, hub.0.secrets.dir(), &links::own_names())?;
            (Some((listener, identity.acceptor)), Some(identity.fingerprint))
        }
    };
    if http.is_none() && https.is_none() {
        bail!("hub.http and hub.https are both empty: the hub would listen nowhere");
    }
    let addresses = Addresses {
        http: http.as_ref().map(TcpListener::local_addr).transpose()?,
        https: https.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?,
    };
    if let Some(address) = addresses.http.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "hub.http is open to the network: tokens can be read on the way");
    }
    if hub.0.addresses.set(addresses.clone()).is_err() {
        bail!("the hub is bound already");
    }
    Ok(Bound { hub: hub.clone(), http, https, addresses, fingerprint })
}

fn listen(key: &str, address: &str) -> anyhow::Result<Option<TcpListener>> {
    if address.is_empty() {
        return Ok(None);
    }
    let resolved: Vec<_> = address
        .to_socket_addrs()
        .with_context(|| format!("{key} = {address:?}: not IP:PORT or HOST:PORT"))?
        .collect();
    let listener = TcpListener::bind(&resolved[..])
        .with_context(|| format!("{key} = {address:?}: cannot listen; does another program use the port?"))?;
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

impl Bound {
    /// The plain HTTP address, with the port that was really taken.
    pub fn http(&self) -> Option<SocketAddr> {
        self.addresses.http
    }

    /// The HTTPS address, with the port that was really taken.
    pub fn https(&self) -> Option<SocketAddr> {
        self.addresses.https
    }

    /// SHA-256 of the HTTPS certificate as browsers show it (`AB:CD:...`), to compare before trusting it.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// Serves until `shutdown`, then says goodbye and ends within a second.
    ///
    /// # Errors
    /// A listener that fails.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let hub = self.hub;
        let app = router(hub.clone());
        let limits = &hub.0.config;
        let room = Room::new(limits.max_viewers + limits.max_devices + SPARE_CONNECTIONS);
        let (closing, grace) = (CancellationToken::new(), GOODBYE + LINGER);
        let mut servers = tokio::task::JoinSet::new();
        let plain = self.http.map(|socket| (socket, None));
        let secure = self.https.map(|(socket, tls)| (socket, Some(tls)));
        for (socket, tls) in plain.into_iter().chain(secure) {
            let socket = tokio::net::TcpListener::from_std(socket)?;
            let (room, app) = (room.clone(), app.clone());
            let listener = Listener { socket, tls, room, app, patience: REQUEST, grace };
            servers.spawn(listener.serve(closing.clone()));
        }
        let mut tick = tokio::time::interval(TICK);
        let failed = loop {
            tokio::select! {
                () = shutdown.cancelled() => break None,
                Some(ended) = servers.join_next() => break Some(ended),
                _ = tick.tick() => hub.switchboard().tick(Now::read()),
            }
        };
        // First no more newcomers, then goodbye to those who are here.
        closing.cancel();
        hub.switchboard().end("the camera is shutting down");
        hub.0.tasks.close();
        let _ = tokio::time::timeout(GOODBYE, hub.0.tasks.wait()).await;
        hub.0.ending.cancel();
        while servers.join_next().await.is_some() {}
        match failed {
            None => Ok(()),
            Some(ended) => ended.context("a listener panicked"),
        }
    }
}

fn router(hub: Hub) -> Router {
    Router::new()
        .merge(assets::router())
        .route("/v1/device", get(endpoints::device))
        .route("/v1/viewer", get(endpoints::viewer))
        .route("/v1/info", get(info))
        .fallback(assets::not_found)
        .layer(axum::middleware::from_fn(assets::security_headers))
        .with_state(hub)
}

/// What a page may know without a token: where its secure address is.
async fn info(State(hub): State<Hub>) -> Json<serde_json::Value> {
    let https = hub.0.addresses.get().and_then(|a| a.https).map(|a| a.port());
    Json(serde_json::json!({ "httpsPort": https }))
}
