//! A session's end of the transport: its candidates and datagrams come out, its datagrams go in.

use std::{
    future,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Inner,
    candidate::{LocalCandidate, Path, Protocol},
    demux::EndpointId,
    mdns::Disguise,
    metrics,
    nat64::Nat64,
    outcome::{Outcomes, ServerOutcome},
    server::Servers,
    sockets::Socket,
    tcp::NextPicture,
    turn::Command,
};

/// Peers remembered for allocations that are still to come; as many as an allocation permits.
const MAX_PEERS: usize = 32;

/// What an endpoint tells its session.
#[derive(Debug)]
pub enum EndpointEvent {
    /// An address at which the session can be reached was found.
    Candidate(LocalCandidate),
    /// What [`Self::Candidate`] told is void: the device lost the address, or its NAT uses another. Its datagrams come and
    /// go no more.
    CandidateGone(LocalCandidate),
    /// All servers answered or are given up. Comes once; later candidates come from changes of the network, and
    /// where an allocation is replaced.
    GatheringDone,
    /// A datagram for the session.
    Datagram {
        /// How it came.
        path: Path,
        /// Its content.
        data: BytesMut,
        /// When it was read from the socket.
        at: Instant,
    },
}

/// A received datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub path: Path,
    pub data: BytesMut,
    pub at: Instant,
}

/// The allocations of an endpoint and the peers that they should permit.
#[derive(Default)]
pub(super) struct Relays {
    handles: Vec<(SocketAddr, mpsc::Sender<Command>)>,
    peers: Vec<IpAddr>,
}

impl Relays {
    /// Takes a new allocation into use.
    pub fn add(&mut self, relayed: SocketAddr, commands: mpsc::Sender<Command>) {
        self.handles.retain(|(_, commands)| !commands.is_closed());
        for peer in &self.peers {
            // The queue of a new allocation has room for them all; what is lost is asked again by the first packet.
            let _ = commands.try_send(Command::Permit(*peer));
        }
        self.handles.push((relayed, commands));
    }
}

/// See the module's documentation. Dropping it frees its addresses, allocations and tasks.
pub struct Endpoint {
    id: EndpointId,
    direct: bool,
    inner: Arc<Inner>,
    findings: mpsc::Receiver<EndpointEvent>,
    datagrams: mpsc::Receiver<Datagram>,
    pub(super) relays: Arc<Mutex<Relays>>,
    pub(super) refresh: Arc<Notify>,
    pub(super) disguise: Disguise,
    pub(super) outcomes: Outcomes,
    /// Not for those that ask no servers.
    servers: Option<watch::Sender<Servers>>,
    _cancel: DropGuard,
}

impl Endpoint {
    pub(super) fn new(
        id: EndpointId,
        direct: bool,
        inner: Arc<Inner>,
        findings: mpsc::Receiver<EndpointEvent>,
        datagrams: mpsc::Receiver<Datagram>,
        servers: Option<watch::Sender<Servers>>,
        cancel: CancellationToken,
    ) -> Self {
        let (relays, refresh, _cancel) = (Arc::default(), Arc::default(), cancel.drop_guard());
        let disguise = Disguise::new(direct.then(|| inner.mdns.clone()));
        let outcomes = Outcomes::default();
        Self { id, direct, inner, findings, datagrams, relays, refresh, disguise, outcomes, servers, _cancel }
    }

    /// The next event; candidates come before datagrams that wait. Can be dropped at any time without loss.
    pub async fn next(&mut self) -> EndpointEvent {
        tokio::select! {
            biased;
            Some(finding) = self.findings.recv() => finding,
            Some(Datagram { path, data, at }) = self.datagrams.recv() => EndpointEvent::Datagram { path, data, at },
            else => future::pending().await,
        }
    }

    /// The next event that is there already.
    pub fn try_next(&mut self) -> Option<EndpointEvent> {
        if let Ok(finding) = self.findings.try_recv() {
            return Some(finding);
        }
        let Datagram { path, data, at } = self.datagrams.try_recv().ok()?;
        Some(EndpointEvent::Datagram { path, data, at })
    }

    /// Checks that name `ufrag` come here from now on. To be called when an answer goes out, and again with the new
    /// ufrag of each ICE restart (RFC 8445 section 9), which takes the place of the one before.
    pub fn answer_to(&self, ufrag: &str) {
        // With the policy `relay`, checks to the device's own addresses are not answered: they are nobody's business.
        if self.direct {
            self.inner.shared.answer_to(self.id, ufrag);
        }
    }

    /// Sends a datagram from the base of one of the candidates. Never blocks; what cannot be sent is dropped
    /// and counted. Towards a peer that a TURN server does not permit yet, up to 16 packets wait up to 2 s.
    pub fn send(&self, path: Path, data: &[u8]) {
        let shared = &self.inner.shared;
        if path.protocol == Protocol::Tcp {
            shared.tcp.send(Instant::now(), self.id, path, data, &shared.metrics);
            return;
        }
        if self.direct
            && let Some(socket) = shared.socket(path.local)
        {
            shared.send(self.id, &socket, path.remote, data);
            return;
        }
        self.relay(path, std::iter::once(Bytes::copy_from_slice(data)));
    }

    /// Hands datagrams to the allocation that `path` begins at.
    fn relay(&self, path: Path, datagrams: impl ExactSizeIterator<Item = Bytes>) {
        let metrics = &self.inner.shared.metrics;
        let relays = self.relays();
        let Some((_, commands)) = relays.handles.iter().find(|(relayed, _)| *relayed == path.local) else {
            metrics.drop_some(metrics::Drop::NoSuchLocal, datagrams.len() as u64);
            return;
        };
        for datagram in datagrams {
            match commands.try_send(Command::Send(path.remote, datagram)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => metrics.drop_one(metrics::Drop::RelayQueue),
                Err(mpsc::error::TrySendError::Closed(_)) => metrics.drop_one(metrics::Drop::NoSuchLocal),
            }
        }
    }

    /// Sends encrypted media, prepared as datagrams of `segment` bytes one behind the other, of which the last may be
    /// shorter: from the shared port in as few calls as the kernel allows, to a TURN server or over TCP one by one. Never
    /// blocks; what cannot be sent is dropped and counted, as by [`Self::send`].
    pub fn send_media(&self, path: Path, data: &[u8], segment: usize) {
        if segment == 0 {
            return;
        }
        let shared = &self.inner.shared;
        if path.protocol == Protocol::Tcp {
            let now = Instant::now();
            data.chunks(segment).for_each(|one| shared.tcp.send(now, self.id, path, one, &shared.metrics));
        } else if let Some(socket) = self.socket(path) {
            shared.transmit_train(&socket, path.remote, data, segment);
            shared.cadence.beats(Instant::now());
        } else {
            let all = Bytes::copy_from_slice(data);
            let count = all.len().div_ceil(segment);
            self.relay(path, (0..count).map(|n| all.slice(n * segment..all.len().min((n + 1) * segment))));
        }
    }

    /// What comes for this session is waited for: while many viewers report, it is not collected for long for a second.
    pub fn hurry(&self, now: Instant) {
        self.inner.shared.cadence.hurry(now);
    }

    /// The socket of the shared port that datagrams by `path` leave from, if it is one of this session's.
    pub(super) fn socket(&self, path: Path) -> Option<Arc<Socket>> {
        let is_mine = self.direct && path.protocol == Protocol::Udp;
        is_mine.then(|| self.inner.shared.socket(path.local)).flatten()
    }

    /// Tells an address of the viewer, so that TURN servers let it through early.
    pub fn remote_candidate(&self, address: SocketAddr) {
        let peer = address.ip();
        let mut relays = self.relays();
        if relays.peers.contains(&peer) || relays.peers.len() >= MAX_PEERS {
            return;
        }
        relays.peers.push(peer);
        for (_, commands) in &relays.handles {
            // If the queue is full, the first packet to the peer asks again.
            let _ = commands.try_send(Command::Permit(peer));
        }
    }

    /// How many servers are asked for this session.
    pub fn servers_asked(&self) -> usize {
        self.outcomes.asked()
    }

    /// Whether the policy allows other ways than relays.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Asks all STUN servers again, from all addresses, as before an ICE restart: a NAT may show other addresses than at
    /// first. What is new comes as [`EndpointEvent::Candidate`], what is void as [`EndpointEvent::CandidateGone`].
    /// Calls within 500 ms of the last such round wait for its end and count as one.
    pub fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// What the servers that were asked for this session said so far.
    pub fn outcomes(&self) -> Vec<ServerOutcome> {
        self.outcomes.all()
    }

    /// What makes IPv6 addresses of the viewer's, where there is no IPv4.
    pub fn nat64(&self) -> &Nat64 {
        &self.inner.nat64
    }

    /// What is to be done with the next picture, to be sent by `path`: over TCP, a viewer that is behind is not sent what
    /// it cannot show.
    pub fn next_picture(&self, path: Option<Path>, keyframe: bool) -> NextPicture {
        match path {
            Some(path) if path.protocol == Protocol::Tcp => {
                self.inner.shared.tcp.next_picture(Instant::now(), path, keyframe)
            }
            _ => NextPicture::Send,
        }
    }

    /// Replaces the session's servers. Allocations at TURN servers that are in both lists go on with the credentials that
    /// they were made with until these are refused or have a fifth of their life left; then, and for servers that are not
    /// listed any more, others are made first, and told as [`EndpointEvent::Candidate`]. STUN servers are asked when the
    /// network changes next.
    pub fn renew(&self, servers: &Servers) {
        if let Some(sender) = &self.servers {
            sender.send_if_modified(|old| {
                let is_new = old != servers;
                old.clone_from(servers);
                is_new
            });
        }
    }

    fn relays(&self) -> MutexGuard<'_, Relays> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.inner.shared.close(self.id);
    }
}
