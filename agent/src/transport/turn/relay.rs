//! The task that drives one TURN allocation from its first packet to its release.

use std::{
    future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ClientConfig;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Allocation, AllocationEvent, Challenge, Config, Doubt, Failure, FailureKind, carrier::Carrier};
use crate::transport::{
    candidate::Path,
    endpoint::Datagram,
    metrics::{Drop, TransportMetrics},
    random_id,
    server::ServerUrl,
};

/// Time to open a connection, TLS included; and for a stuck stream to take what is sent.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Redirections that are followed (RFC 8489 section 10).
const MAX_HOPS: usize = 3;
/// Packets taken from the queue at once, so that a stream gets them in one write.
const BATCH: usize = 32;

/// What a session wants of its allocation.
pub(in crate::transport) enum Command {
    /// Send to a peer.
    Send(SocketAddr, Bytes),
    /// Let a peer send.
    Permit(IpAddr),
}

/// What happened to an allocation.
pub(in crate::transport) struct Report {
    /// Which.
    pub id: u64,
    /// What.
    pub news: News,
    /// What the server wanted signed.
    pub challenge: Option<Challenge>,
}

/// See [`Report`].
pub(in crate::transport) enum News {
    /// It is there; the verdict says whether it is wanted.
    Opened {
        /// What peers send to.
        relayed: SocketAddr,
        /// What the server sees of this device.
        mapped: Option<SocketAddr>,
        /// From a request to its answer.
        round_trip: Duration,
    },
    /// There is none, or none any more.
    Failed(Failure),
    /// It should be replaced.
    Doubtful(Doubt),
    /// Its server answers again.
    Trusted,
    /// It was given back.
    Ended,
}

/// How an attempt to get an allocation ended.
pub(in crate::transport) enum Opened {
    /// It is there and is kept.
    Kept {
        /// What peers send to.
        relayed: SocketAddr,
    },
    /// It was not needed: others were better.
    NotNeeded,
    /// There is none; why is in words.
    Failed(String),
}

/// What a session wants of an allocation besides packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::transport) struct Orders {
    /// Counts the times that the server is to be asked whether it lives.
    pub probes: u32,
    /// Give it back when no media goes through it.
    pub retire: bool,
}

/// Counts an allocation that is held.
pub(in crate::transport) struct Held(Gauge);

impl Held {
    /// One more.
    pub fn new(metrics: &TransportMetrics) -> Self {
        metrics.allocations.inc();
        Self(metrics.allocations.clone())
    }
}

impl std::ops::Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the task needs.
pub(in crate::transport) struct RelayTask {
    /// What it is called in reports.
    pub id: u64,
    /// The server as it was named.
    pub url: ServerUrl,
    /// One of its addresses.
    pub server: SocketAddr,
    /// For `turns:`.
    pub tls: Option<Arc<ClientConfig>>,
    /// What the server wanted signed before.
    pub challenge: Option<Challenge>,
    /// What is counted.
    pub metrics: TransportMetrics,
    /// Ends the task; an allocation is given back then.
    pub cancel: CancellationToken,
    /// What to send.
    pub commands: mpsc::Receiver<Command>,
    /// What came.
    pub datagrams: mpsc::Sender<Datagram>,
    /// Told what happens.
    pub reports: mpsc::Sender<Report>,
    /// Comes if the allocation is wanted; is closed if not.
    pub verdict: oneshot::Receiver<Held>,
    /// The newest count.
    pub orders: watch::Receiver<Orders>,
}

/// Drives the allocation until it is lost or given back.
pub(in crate::transport) async fn run(mut task: RelayTask) {
    let (mut asked, mut redirected) = (vec![task.server], None);
    let failure = loop {
        match task.serve(redirected.take()).await {
            None => return task.report(News::Ended, None).await,
            Some(failure) => {
                let FailureKind::Redirected(to) = &failure.kind else { break failure };
                if asked.len() > MAX_HOPS || asked.contains(&to.server) || !task.may_go_to(to.server) {
                    let words = format!("it sends to {}, which is not followed", to.server);
                    break Failure { kind: FailureKind::Unavailable, words };
                }
                info!("TURN server {} ({}) sends to {}", task.url, task.server, to.server);
                asked.push(to.server);
                task.server = to.server;
                task.challenge = None;
                redirected.clone_from(&to.domain);
            }
        }
    };
    task.report(News::Failed(failure), None).await;
}

impl RelayTask {
    /// Whether a redirection there makes sense: by the same IP version, and not from afar to this device itself.
    fn may_go_to(&self, to: SocketAddr) -> bool {
        to.is_ipv4() == self.server.is_ipv4() && (!to.ip().is_loopback() || self.server.ip().is_loopback())
    }

    /// One allocation at one server, from its first packet to its end; returns why it failed, if it did. `domain`: what
    /// is in the server's certificate, if it is not the name in the URL.
    async fn serve(&mut self, domain: Option<String>) -> Option<Failure> {
        if let Some(domain) = domain {
            self.url.host = domain;
        }
        let (server, url) = (self.server, self.url.clone());
        let connecting = timeout(CONNECT_TIME, Carrier::connect(server, &url, self.tls.clone()));
        let too_long = |_| Err(format!("connecting to {server} took too long"));
        let carrier = tokio::select! {
            () = self.cancel.cancelled() => return None,
            carrier = connecting => carrier.unwrap_or_else(too_long),
        };
        let challenge = self.challenge.take();
        let opened =
            carrier.and_then(|carrier| Ok((config(&url, carrier.is_reliable(), challenge)?, carrier)));
        let (config, carrier) = match opened {
            Ok(opened) => opened,
            Err(words) => return Some(Failure { kind: FailureKind::Unavailable, words }),
        };
        let mut relay = Relay {
            name: format!("{url} ({server})"),
            allocation: Allocation::new(Instant::now(), config),
            carrier,
            metrics: self.metrics.clone(),
            datagrams: self.datagrams.clone(),
            relayed: None,
            held: None,
        };
        let (mut closing, mut obeyed) = (false, *self.orders.borrow());
        let mut failure = None;
        loop {
            relay.flush().await;
            while let Some(news) = relay.next_news() {
                match news {
                    News::Failed(reason) => failure = Some(reason),
                    news => self.report(news, relay.allocation.challenge()).await,
                }
            }
            if relay.allocation.is_over() {
                return failure;
            }
            if relay.allocation.has_output() {
                continue;
            }
            let due = relay.allocation.poll_timeout();
            tokio::select! {
                () = self.cancel.cancelled(), if !closing => {
                    closing = true;
                    relay.allocation.close(Instant::now());
                }
                verdict = &mut self.verdict, if !closing && relay.held.is_none() => match verdict {
                    Ok(held) => relay.hold(held),
                    Err(_) => {
                        closing = true;
                        relay.allocation.close(Instant::now());
                    }
                },
                Ok(()) = self.orders.changed(), if !closing => {
                    let orders = *self.orders.borrow_and_update();
                    relay.follow(obeyed, orders);
                    obeyed = orders;
                }
                frame = relay.carrier.receive() => match frame {
                    Ok(frame) => relay.allocation.handle_input(Instant::now(), frame),
                    Err(e) => relay.broken(&e.to_string()),
                },
                Some(command) = self.commands.recv(), if !closing => {
                    relay.obey(command);
                    for _ in 1..BATCH {
                        let Ok(command) = self.commands.try_recv() else { break };
                        relay.obey(command);
                    }
                }
                () = wait_until(due) => relay.allocation.handle_timeout(Instant::now()),
            }
        }
    }

    async fn report(&self, news: News, challenge: Option<Challenge>) {
        // Nobody hears it if the session is over.
        let _ = self.reports.send(Report { id: self.id, news, challenge }).await;
    }
}

struct Relay {
    name: String,
    allocation: Allocation,
    carrier: Carrier,
    metrics: TransportMetrics,
    datagrams: mpsc::Sender<Datagram>,
    relayed: Option<SocketAddr>,
    held: Option<Held>,
}

impl Relay {
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

    /// Passes on what came from peers, until something else happened.
    fn next_news(&mut self) -> Option<News> {
        loop {
            return Some(match self.allocation.poll_event()? {
                AllocationEvent::Opened { relayed, mapped, round_trip } => {
                    self.relayed = Some(relayed);
                    News::Opened { relayed, mapped, round_trip }
                }
                AllocationEvent::Failed(failure) => News::Failed(failure),
                AllocationEvent::Doubtful(doubt) => News::Doubtful(doubt),
                AllocationEvent::Trusted => News::Trusted,
                AllocationEvent::PeerRefused(ip, reason) => {
                    debug!("TURN server {} does not relay to {ip}: {reason}", self.name);
                    continue;
                }
                AllocationEvent::Data { peer, data } => {
                    self.metrics.relayed_in.inc();
                    let Some(local) = self.relayed else { continue };
                    let datagram = Datagram { path: Path::udp(local, peer), data, at: Instant::now() };
                    if self.datagrams.try_send(datagram).is_err() {
                        self.metrics.drop_one(Drop::SessionQueue);
                    }
                    continue;
                }
            });
        }
    }

    fn hold(&mut self, held: Held) {
        if let Some(relayed) = self.relayed {
            info!("relayed address {relayed} at {} is ours", self.name);
        }
        self.held = Some(held);
    }

    fn follow(&mut self, before: Orders, now: Orders) {
        if now.probes != before.probes {
            self.allocation.probe(Instant::now());
        }
        if now.retire {
            self.allocation.retire(Instant::now());
        }
    }

    /// The way to the server is of no use any more.
    fn broken(&mut self, reason: &str) {
        self.allocation.abort(reason.to_owned());
    }
}

impl std::ops::Drop for Relay {
    fn drop(&mut self) {
        if let Some(relayed) = self.relayed.filter(|_| self.held.is_some()) {
            info!("relayed address {relayed} at {} is no longer ours", self.name);
        }
    }
}

fn config(url: &ServerUrl, reliable: bool, challenge: Option<Challenge>) -> Result<Config, String> {
    let crypto = rtc::crypto::default_provider().map_err(|e| format!("there is no cryptography: {e}"))?;
    let username = url.username.clone().unwrap_or_default();
    let password = url.credential.clone().unwrap_or_default();
    Ok(Config { username, password, challenge, reliable, crypto, ids: Box::new(random_id) })
}

/// Waits for an instant; for ever if there is none.
pub(in crate::transport) async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => future::pending().await,
    }
}
