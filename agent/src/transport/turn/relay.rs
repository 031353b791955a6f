//! The task that drives one TURN allocation from its first packet to its release.

use std::{
    future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustls::ClientConfig;
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{Allocation, AllocationEvent, Config, carrier::Carrier};
use crate::transport::{
    candidate::Path,
    endpoint::Datagram,
    metrics::{Drop, TransportMetrics},
    random_id,
    server::ServerUrl,
};

/// Time to open a connection, TLS included; and for a stuck stream to take what is sent.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Packets taken from the queue at once, so that a stream gets them in one write.
const BATCH: usize = 32;

/// What a session wants of its allocation.
pub(in crate::transport) enum Command {
    /// Send to a peer.
    Send(SocketAddr, Bytes),
    /// Let a peer send.
    Permit(IpAddr),
}

/// How the attempt to get an allocation ended.
pub(in crate::transport) enum Opened {
    /// It is there and is kept.
    Kept {
        /// What peers send to.
        relayed: SocketAddr,
        /// What the server sees of this device.
        mapped: Option<SocketAddr>,
    },
    /// It was not needed any more: others were faster.
    NotNeeded,
    /// There is none; why is in words.
    Failed(String),
}

/// What the task needs.
pub(in crate::transport) struct RelayTask {
    /// The server as it was named.
    pub url: ServerUrl,
    /// One of its addresses.
    pub server: SocketAddr,
    /// For `turns:`.
    pub tls: Option<Arc<ClientConfig>>,
    /// What is counted.
    pub metrics: TransportMetrics,
    /// Ends the task; an allocation is given back then.
    pub cancel: CancellationToken,
    /// What to send.
    pub commands: mpsc::Receiver<Command>,
    /// What came.
    pub datagrams: mpsc::Sender<Datagram>,
    /// Told once.
    pub opened: oneshot::Sender<Opened>,
    /// As many allocations as the session may keep.
    pub slots: Arc<Semaphore>,
}

/// Drives the allocation until it is lost or given back.
pub(in crate::transport) async fn run(task: RelayTask) {
    let RelayTask { url, server, tls, metrics, cancel, mut commands, datagrams, opened, slots } = task;
    let connecting = timeout(CONNECT_TIME, Carrier::connect(server, &url, tls));
    let carrier = tokio::select! {
        () = cancel.cancelled() => return,
        carrier = connecting => carrier.unwrap_or_else(|_| Err(format!("connecting to {server} took too long"))),
    };
    let (carrier, config) =
        match carrier.and_then(|carrier| Ok((config(&url, carrier.is_reliable())?, carrier))) {
            Ok((config, carrier)) => (carrier, config),
            Err(reason) => {
                // Nobody waits for it if the session is over.
                let _ = opened.send(Opened::Failed(reason));
                return;
            }
        };
    let mut relay = Relay {
        name: format!("{url} ({server})"),
        allocation: Allocation::new(Instant::now(), config),
        carrier,
        metrics,
        datagrams,
        relayed: None,
        opened: Some(opened),
        slot: None,
    };
    let mut closing = false;
    loop {
        relay.flush().await;
        relay.handle_events(&slots);
        if relay.allocation.is_over() {
            break;
        }
        if relay.allocation.has_output() {
            continue;
        }
        let due = relay.allocation.poll_timeout();
        tokio::select! {
            () = cancel.cancelled(), if !closing => {
                closing = true;
                relay.allocation.close(Instant::now());
            }
            frame = relay.carrier.receive() => match frame {
                Ok(frame) => relay.allocation.handle_input(Instant::now(), frame),
                Err(e) => relay.broken(&e.to_string()),
            },
            Some(command) = commands.recv(), if !closing => {
                relay.obey(command);
                for _ in 1..BATCH {
                    let Ok(command) = commands.try_recv() else { break };
                    relay.obey(command);
                }
            }
            () = wait_until(due) => relay.allocation.handle_timeout(Instant::now()),
        }
    }
}

struct Relay<'a> {
    name: String,
    allocation: Allocation,
    carrier: Carrier,
    metrics: TransportMetrics,
    datagrams: mpsc::Sender<Datagram>,
    relayed: Option<SocketAddr>,
    opened: Option<oneshot::Sender<Opened>>,
    slot: Option<SemaphorePermit<'a>>,
}

impl<'a> Relay<'a> {
    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Send(peer, data) => {
                self.metrics.relayed_out.inc();
                self.allocation.send(now, peer, &data);
            }
            Command::Permit(ip) => self.allocation.permit(now, ip),
        }
    }

    async fn flush(&mut self) {
        let mut messages = Vec::new();
        while let Some(message) = self.allocation.poll_transmit() {
            messages.push(message);
        }
        for _ in 0..self.allocation.take_dropped() {
            self.metrics.drop_one(Drop::RelayPermission);
        }
        if messages.is_empty() {
            return;
        }
        match timeout(CONNECT_TIME, self.carrier.send(&messages)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => self.broken(&e.to_string()),
            Err(_) => self.broken("the connection is stuck"),
        }
    }

    fn handle_events(&mut self, slots: &'a Semaphore) {
        while let Some(event) = self.allocation.poll_event() {
            match event {
                AllocationEvent::Opened { relayed, mapped } => self.keep_or_release(relayed, mapped, slots),
                AllocationEvent::Failed(reason) => self.failed(reason),
                AllocationEvent::PeerRefused(ip, reason) => {
                    debug!("TURN server {} does not relay to {ip}: {reason}", self.name);
                }
                AllocationEvent::Data { peer, data } => {
                    self.metrics.relayed_in.inc();
                    let Some(local) = self.relayed else { continue };
                    let datagram = Datagram { path: Path::udp(local, peer), data, at: Instant::now() };
                    if self.datagrams.try_send(datagram).is_err() {
                        self.metrics.drop_one(Drop::SessionQueue);
                    }
                }
            }
        }
    }

    fn keep_or_release(&mut self, relayed: SocketAddr, mapped: Option<SocketAddr>, slots: &'a Semaphore) {
        self.slot = slots.try_acquire().ok();
        let told = match self.slot {
            Some(_) => Opened::Kept { relayed, mapped },
            None => Opened::NotNeeded,
        };
        let is_wanted = self.opened.take().is_some_and(|opened| opened.send(told).is_ok());
        if is_wanted && self.slot.is_some() {
            info!("relayed address {relayed} at {} is ours", self.name);
            self.relayed = Some(relayed);
            self.metrics.allocations.inc();
        } else {
            self.allocation.close(Instant::now());
        }
    }

    /// The way to the server is of no use any more.
    fn broken(&mut self, reason: &str) {
        self.allocation.abort(reason.to_owned());
    }

    fn failed(&mut self, reason: String) {
        match self.opened.take() {
            Some(opened) => {
                // Nobody waits for it if the session is over.
                let _ = opened.send(Opened::Failed(reason));
            }
            None => {
                self.metrics.turn_failed();
                warn!("TURN server {}: the allocation is lost: {reason}", self.name);
            }
        }
    }
}

impl std::ops::Drop for Relay<'_> {
    fn drop(&mut self) {
        if let Some(relayed) = self.relayed {
            self.metrics.allocations.dec();
            info!("relayed address {relayed} at {} is no longer ours", self.name);
        }
    }
}

fn config(url: &ServerUrl, reliable: bool) -> Result<Config, String> {
    let crypto = rtc::crypto::default_provider().map_err(|e| format!("there is no cryptography: {e}"))?;
    let username = url.username.clone().unwrap_or_default();
    let password = url.credential.clone().unwrap_or_default();
    Ok(Config { username, password, reliable, crypto, ids: Box::new(random_id) })
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => future::pending().await,
    }
}
