//! The meeting point of devices and viewers: HTTP, WebSocket, tokens, the viewer page. Knows no media.
//!
//! A [`Hub`] runs inside the agent (its camera attached by [`Hub::attach_local`]) or alone on a server, where
//! cameras connect by WebSocket. It passes signalling messages between a viewer and a device and hands both
//! the STUN and TURN settings. It does NOT carry video or sound, keep recordings or know users: whoever has
//! the viewer token may watch. How it is run and how it routes: docs/hub.md; what it protects and how:
//! docs/security.md.

mod assets;
mod auth;
mod device_id;
mod endpoints;
mod ice;
mod idle;
mod links;
mod listener;
mod metrics;
mod peer;
mod port;
mod private_file;
pub mod secrets;
mod server;
mod socket;
mod switchboard;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests_server;
#[cfg(test)]
mod tests_wire;
mod tls;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    auth::Gate, ice::IceSettings, metrics::HubMetrics, peer::Limits, port::Port, server::Addresses,
    switchboard::Switchboard,
};
use crate::{
    config::HubConfig,
    signaling::link::{self, Link, LinkEvent},
    telemetry::metrics::Metrics,
};

pub use self::{
    device_id::DeviceId,
    links::{LinkKind, ViewerLink, configured_links, qr},
    peer::Now,
    secrets::Secrets,
    server::Bound,
};

/// A hub, cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    config: HubConfig,
    secrets: Secrets,
    gate: Mutex<Gate>,
    switchboard: Mutex<Switchboard>,
    metrics: HubMetrics,
    addresses: OnceLock<Addresses>,
    /// Cancelled when the hub ends: what still runs for a socket or a local device ends with it.
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Hub {
    /// A hub after `config`; binds nothing yet.
    ///
    /// # Errors
    /// A STUN or TURN URL that is not one, a missing or publicly readable TURN secret file, no random source.
    pub fn new(config: &HubConfig, secrets: Secrets, metrics: &Metrics) -> anyhow::Result<Self> {
        let ice = IceSettings::from_config(config)?;
        let metrics = metrics.register(HubMetrics::register);
        // Asked once here, so that a board without randomness fails at start and not at the first viewer.
        peer::random_id()?;
        let limits = Limits { viewers: config.max_viewers, devices: config.max_devices };
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            secrets,
            gate: Mutex::new(Gate::new()),
            switchboard: Mutex::new(Switchboard::new(ice, limits, metrics.clone())),
            metrics,
            addresses: OnceLock::new(),
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// The link of a device in this process: the agent's own camera. Must be called on a tokio runtime.
    ///
    /// The device is there until the link is dropped; remote devices cannot take its name.
    pub fn attach_local(&self, device: DeviceId) -> Link {
        let (link, mut carrier) = link::pair("hub");
        // The queue is new and empty, so it has room for this.
        let _ = carrier.events.try_send(LinkEvent::Up);
        let opened = self.switchboard().device_open(&device, Port::local(carrier.events), true, Now::read());
        let key = match opened {
            Ok(key) => key,
            Err(refused) => {
                tracing::error!(%device, %refused, "the camera cannot be attached to its own hub");
                return link;
            }
        };
        let hub = self.clone();
        let ending = self.0.ending.clone();
        self.0.tasks.spawn(async move {
            while let Some(Some(envelope)) = ending.run_until_cancelled(carrier.outbox.recv()).await {
                hub.switchboard().device_message(&device, key, envelope, Now::read());
            }
            hub.switchboard().device_close(&device, key);
        });
        link
    }

    /// Addresses to open in a browser, the best for a phone first. Empty before [`Hub::bind`].
    ///
    /// The viewer token is in the fragment, which browsers send to nobody.
    pub fn links(&self) -> Vec<ViewerLink> {
        let Some(addresses) = self.0.addresses.get() else { return Vec::new() };
        let device = self.switchboard().only_device();
        links::viewer_links(addresses, &links::own_addresses(), device.as_ref(), &self.0.secrets.viewer)
    }

    /// Binds the configured addresses; port 0 takes a free one. [`Bound::serve`] then serves them.
    ///
    /// # Errors
    /// An address that is not one, is taken or not allowed; a certificate or key that cannot be read or made;
    /// neither `http` nor `https` configured; a second call.
    pub fn bind(&self) -> anyhow::Result<Bound> {
        server::bind(self)
    }

    /// [`Hub::bind`] and [`Bound::serve`] in one. Ends within a second of `shutdown`.
    ///
    /// # Errors
    /// As of [`Hub::bind`].
    pub async fn serve(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.bind()?.serve(shutdown).await
    }

    fn switchboard(&self) -> MutexGuard<'_, Switchboard> {
        self.0.switchboard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
