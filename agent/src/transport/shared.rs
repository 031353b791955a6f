//! What all endpoints share: the sockets, the table of who gets what, and the delivery of each datagram.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rustls::ClientConfig;
use tokio::{
    sync::{OnceCell, mpsc, watch},
    task::coop::consume_budget,
};
use tracing::warn;

use super::{
    candidate::Path,
    demux::{EndpointId, Packet, Table, TransactionId, classify},
    endpoint::Datagram,
    limits::Limits,
    metrics::{Drop, TransportMetrics},
    resolved::Resolved,
    server::ServerUrl,
    sockets::{Buffers, Cadence, MAX_TRAIN, Moderation, Socket, Sockets},
    tcp::Connections,
    tls,
    turn::Reachability,
};
use crate::config::IceConfig;

/// Longer datagrams are dropped, lest a queue of them takes much memory: no path to a browser carries more than 1500 bytes.
const MAX_DATAGRAM: usize = 2048;
/// After an error of a socket the next attempt waits so long, lest a lost interface costs a whole core.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// The first bytes of a binding success response (RFC 8489 section 5).
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
/// Answers that may wait for one STUN query; it needs one.
const ANSWERS: usize = 4;

/// A STUN query that waits for its answer.
struct Query {
    local: SocketAddr,
    server: SocketAddr,
    answers: mpsc::Sender<BytesMut>,
}

#[derive(Default)]
struct State {
    next: u64,
    table: Table,
    inboxes: HashMap<EndpointId, mpsc::Sender<Datagram>>,
    queries: HashMap<TransactionId, Query>,
    resolved: Resolved,
    limits: Limits,
}

/// See the module's documentation.
pub(super) struct Shared {
    /// What is counted.
    pub metrics: TransportMetrics,
    /// Viewers' connections over TCP.
    pub tcp: Arc<Connections>,
    /// When collected datagrams are read.
    pub cadence: Cadence,
    sockets: watch::Sender<Arc<Sockets>>,
    reachability: Mutex<Reachability>,
    ca_file: Option<PathBuf>,
    tls: OnceCell<Option<Arc<ClientConfig>>>,
    state: Mutex<State>,
}

impl Shared {
    /// All that endpoints need, without any endpoint.
    pub fn new(sockets: Vec<Arc<Socket>>, metrics: TransportMetrics, config: &IceConfig) -> Self {
        let (ca_file, tcp) = (config.ca_file.clone(), Arc::new(Connections::new(config.port)));
        let sockets = Sockets { offered: sockets, ..Sockets::default() };
        let sockets = watch::Sender::new(Arc::new(sockets));
        let (reachability, state) = (Mutex::default(), Mutex::default());
        let cadence = Cadence::default();
        Self { sockets, metrics, tcp, cadence, reachability, ca_file, tls: OnceCell::new(), state }
    }

    /// Makes an endpoint known; before [`Self::answer_to`] nobody reaches it through the shared port.
    pub fn open(&self, inbox: mpsc::Sender<Datagram>) -> EndpointId {
        let mut state = self.state();
        state.next += 1;
        let id = EndpointId(state.next);
        state.inboxes.insert(id, inbox);
        self.metrics.endpoints.inc();
        id
    }

    /// Checks that name `ufrag` go to `id` from now on, and no longer those that name its ufrag before.
    pub fn answer_to(&self, id: EndpointId, ufrag: &str) {
        if !self.state().table.open(id, ufrag) {
            warn!("ICE ufrag {ufrag} is in use already: this session cannot be reached directly");
        }
    }

    /// Forgets an endpoint.
    pub fn close(&self, id: EndpointId) {
        self.tcp.close(id);
        let mut state = self.state();
        state.table.close(id);
        if state.inboxes.remove(&id).is_some() {
            self.metrics.endpoints.dec();
        }
    }

    /// The shared port, one socket a local address.
    pub fn sockets(&self) -> Arc<Sockets> {
        self.sockets.borrow().clone()
    }

    /// The same, and how it changes.
    pub fn watch_sockets(&self) -> watch::Receiver<Arc<Sockets>> {
        self.sockets.subscribe()
    }

    /// From now on the port has these; endpoints hear of it if anything differs.
    pub fn set_sockets(&self, new: Sockets) {
        self.sockets.send_if_modified(|old| {
            let locals = |list: &[Arc<Socket>]| list.iter().map(|socket| socket.local).collect::<Vec<_>>();
            let lists = |of: &Sockets| (of.routes, locals(&of.offered), locals(&of.kept));
            let differs = lists(old) != lists(&new);
            *old = Arc::new(new);
            differs
        });
    }

    /// The socket with the local address.
    pub fn socket(&self, local: SocketAddr) -> Option<Arc<Socket>> {
        self.sockets.borrow().find(local).cloned()
    }

    /// Notes what DNS told of a server.
    pub fn remember(&self, server: &ServerUrl, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.state().resolved.remember(&format!("{}:{}", server.host, server.port), &addresses);
        addresses
    }

    /// What DNS told of a server last.
    pub fn recall(&self, server: &ServerUrl) -> Option<Vec<SocketAddr>> {
        self.state().resolved.recall(&format!("{}:{}", server.host, server.port))
    }

    /// Sends a session's datagram; the answer to a check finds back to `id`. Never blocks.
    pub fn send(&self, id: EndpointId, socket: &Socket, to: SocketAddr, data: &[u8]) {
        let path = Path::udp(socket.local, to);
        match classify(data) {
            Packet::StunRequest { .. } => self.state().table.expect(Instant::now(), path, id),
            // The session answers so only what has the right password.
            Packet::StunResponse { .. } if data.starts_with(&BINDING_SUCCESS) => {
                self.state().table.prove(path, id)
            }
            _ => {}
        }
        self.transmit(socket, to, data);
    }

    /// Sends from the shared port. What the kernel does not take is dropped and counted: it is the queue.
    pub fn transmit(&self, socket: &Socket, to: SocketAddr, data: &[u8]) {
        self.metrics.send_calls.inc();
        match socket.wire.send(to, data, None) {
            Ok(()) => {
                self.metrics.datagrams_out.inc();
                self.metrics.bytes_out.inc_by(data.len() as u64);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.metrics.drop_one(Drop::SendBuffer),
            Err(_) => self.metrics.drop_one(Drop::SendError),
        }
    }

    /// Sends datagrams of `segment` bytes each, the last of which may be shorter, in as few calls as the kernel allows.
    pub fn transmit_train(&self, socket: &Socket, to: SocketAddr, data: &[u8], segment: usize) {
        let at_once = socket.wire.max_segments().min(MAX_TRAIN / segment).max(1);
        for part in data.chunks(segment * at_once) {
            if part.len() > segment {
                self.transmit_part(socket, to, part, segment);
            } else {
                self.transmit(socket, to, part);
            }
        }
    }

    /// Sends several datagrams in one call, or each in one of its own where the kernel does not do it.
    fn transmit_part(&self, socket: &Socket, to: SocketAddr, part: &[u8], segment: usize) {
        let count = part.len().div_ceil(segment) as u64;
        self.metrics.send_calls.inc();
        match socket.wire.send(to, part, Some(segment)) {
            Ok(()) => {
                self.metrics.datagrams_out.inc_by(count);
                self.metrics.bytes_out.inc_by(part.len() as u64);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                self.metrics.drop_some(Drop::SendBuffer, count);
            }
            // A network card that cannot cut them, or a path that is too narrow for one of them.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => {
                part.chunks(segment).for_each(|datagram| self.transmit(socket, to, datagram));
            }
            Err(_) => self.metrics.drop_some(Drop::SendError, count),
        }
    }

    /// Registers a STUN query: answers from `server` to `local` come out of the receiver until the guard is dropped.
    pub fn expect_answer(
        &self,
        id: TransactionId,
        local: SocketAddr,
        server: SocketAddr,
    ) -> (QueryGuard<'_>, mpsc::Receiver<BytesMut>) {
        let (answers, receiver) = mpsc::channel(ANSWERS);
        self.state().queries.insert(id, Query { local, server, answers });
        (QueryGuard { shared: self, id }, receiver)
    }

    /// TLS settings for `turns:` servers, made at first use. `None`: they cannot be made; the log says why.
    pub async fn tls(&self) -> Option<Arc<ClientConfig>> {
        let make = || async {
            let ca_file = self.ca_file.clone();
            let made = tokio::task::spawn_blocking(move || tls::client_config(ca_file.as_deref())).await;
            match made {
                Ok(Ok(config)) => Some(config),
                Ok(Err(problem)) => {
                    warn!("{problem}");
                    None
                }
                // The runtime is shutting down.
                Err(_) => None,
            }
        };
        self.tls.get_or_init(make).await.clone()
    }

    /// What is remembered of TURN servers.
    pub fn reachability(&self) -> MutexGuard<'_, Reachability> {
        self.reachability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, path: Path, data: BytesMut) {
        let at = Instant::now();
        self.metrics.datagrams_in.inc();
        self.metrics.bytes_in.inc_by(data.len() as u64);
        if data.len() > MAX_DATAGRAM {
            self.metrics.drop_one(Drop::Unknown);
            return;
        }
        let packet = classify(&data);
        let mut state = self.state();
        if let Packet::StunResponse { id } = packet
            && let Some(query) = state.queries.get(&id)
            && path == Path::udp(query.local, query.server)
        {
            // Full only if the server repeats itself.
            let _ = query.answers.try_send(data);
            return;
        }
        if let Packet::StunRequest { .. } = packet
            && !state.table.is_proven(path)
            && !state.limits.admit(at, path.remote.ip())
        {
            self.metrics.drop_one(Drop::RateLimit);
            return;
        }
        let owner = state.table.route(at, path, &packet);
        match owner.and_then(|id| state.inboxes.get(&id)) {
            None => self.metrics.drop_one(Drop::Unknown),
            Some(inbox) => {
                if inbox.try_send(Datagram { path, data, at }).is_err() {
                    self.metrics.drop_one(Drop::SessionQueue);
                }
            }
        }
    }

    /// The endpoint that a check with this ufrag is for.
    pub fn named(&self, ufrag: &str) -> Option<EndpointId> {
        self.state().table.named(ufrag)
    }

    /// Gives an endpoint a datagram that came over TCP.
    pub fn give(&self, id: EndpointId, datagram: Datagram) {
        match self.state().inboxes.get(&id) {
            None => self.metrics.drop_one(Drop::Unknown),
            Some(inbox) => {
                if inbox.try_send(datagram).is_err() {
                    self.metrics.drop_one(Drop::SessionQueue);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the wait for an answer when dropped.
pub(super) struct QueryGuard<'a> {
    shared: &'a Shared,
    id: TransactionId,
}

impl std::ops::Drop for QueryGuard<'_> {
    fn drop(&mut self) {
        self.shared.state().queries.remove(&self.id);
    }
}

/// How a socket is listened to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    /// Each datagram wakes up.
    Awake,
    /// Nothing does up to this instant: datagrams are collected.
    Asleep(Instant),
    /// Awake again; what came before that is still to be taken.
    Waking,
}

/// Receives on one socket until it is aborted.
pub(super) async fn receive(shared: Arc<Shared>, socket: Arc<Socket>) {
    let (mut buffers, mut told) = (Buffers::new(), None);
    let (mut moderation, mut hearing) = (Moderation::new(Instant::now()), Hearing::Awake);
    loop {
        match receive_once(&shared, &socket, &mut buffers, &mut moderation, hearing).await {
            Ok(next) => (told, hearing) = (None, next),
            Err(e) => {
                if told.replace(e.kind()) != Some(e.kind()) {
                    warn!("receiving on {} fails: {e}", socket.local);
                }
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

async fn receive_once(
    shared: &Shared,
    socket: &Socket,
    buffers: &mut Buffers,
    moderation: &mut Moderation,
    hearing: Hearing,
) -> std::io::Result<Hearing> {
    let wire = &socket.wire;
    let take = |from, data| shared.deliver(Path::udp(socket.local, from), data);
    let taken = match hearing {
        Hearing::Awake => wire.receive(buffers, take).await?,
        Hearing::Asleep(_) | Hearing::Waking => wire.take_waiting(buffers, take)?,
    };
    // Before it is asked who is in a hurry: whoever is from then on ends the wait.
    let beat = shared.cadence.next_beat();
    let now = Instant::now();
    let hurried = shared.cadence.is_hurried(now);
    let hold = match taken.datagrams {
        0 => None,
        some => {
            shared.metrics.receive_calls.inc();
            moderation.collects(now, some, hurried)
        }
    };
    let next = match (hold, hearing) {
        (Some(until), _) => Hearing::Asleep(until),
        // A beat at which nothing had come yet.
        (None, Hearing::Asleep(until)) if taken.datagrams == 0 && now < until && !hurried => hearing,
        (None, Hearing::Asleep(_)) => Hearing::Waking,
        (None, Hearing::Waking) if taken.datagrams > 0 => Hearing::Waking,
        (None, Hearing::Awake | Hearing::Waking) => Hearing::Awake,
    };
    let is_asleep = |hearing: Hearing| matches!(hearing, Hearing::Asleep(_));
    if is_asleep(next) != is_asleep(hearing) {
        wire.set_awake(!is_asleep(next))?;
    }
    match next {
        Hearing::Asleep(until) if taken.is_all => tokio::select! {
            () = beat => {}
            () = tokio::time::sleep_until(until.into()) => {}
        },
        // A flood keeps the socket readable for ever: others of this thread have their turn.
        _ => consume_budget().await,
    }
    Ok(next)
}
