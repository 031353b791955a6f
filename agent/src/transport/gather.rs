//! Finds the candidates of one session: host at once, then server-reflexive and relayed as servers answer.
//!
//! All servers are asked at the same time, from all local addresses of their IP version. No server delays another, and
//! none delays a session: it has the host candidates before the first packet is sent.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::lookup_host,
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, debug, warn};

use super::{
    candidate::{CandidateKind, LocalCandidate},
    endpoint::{Datagram, EndpointEvent, Relays},
    query::{BindingQuery, Step},
    random_id,
    server::{ServerTransport, ServerUrl, Servers},
    shared::Shared,
    turn::{self, Command, Opened, RelayTask},
};

/// Time for a DNS answer. A viewer waits no longer for a candidate than for a page.
const RESOLVE_TIME: Duration = Duration::from_secs(2);
/// Allocations that a session keeps: one is enough, the second is for the day when the first server fails.
const MAX_ALLOCATIONS: usize = 2;
/// Packets that may wait for an allocation's task. When it is full, the newest is dropped.
const COMMANDS: usize = 256;
/// Results of servers that may wait; then the servers' tasks wait.
const RESULTS: usize = 16;

/// What one session's gathering needs.
pub(super) struct Gather {
    pub shared: Arc<Shared>,
    pub tasks: TaskTracker,
    pub servers: Servers,
    /// Whether host and server-reflexive candidates are wanted.
    pub direct: bool,
    pub found: mpsc::Sender<EndpointEvent>,
    pub inbox: mpsc::Sender<Datagram>,
    pub relays: Arc<Mutex<Relays>>,
    pub cancel: CancellationToken,
}

/// What a server's task needs.
#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    direct: bool,
    inbox: mpsc::Sender<Datagram>,
    relays: Arc<Mutex<Relays>>,
    cancel: CancellationToken,
    slots: Arc<Semaphore>,
    results: mpsc::Sender<LocalCandidate>,
}

impl Gather {
    /// Gathers until all servers answered or are given up, or the session ends.
    pub async fn run(self) {
        let cancel = self.cancel.clone();
        // An error means that the session is over too: its end of the channel is gone.
        let _ = cancel.run_until_cancelled(self.gather()).await;
    }

    async fn gather(self) -> Result<(), mpsc::error::SendError<EndpointEvent>> {
        let Self { shared, tasks, servers, direct, found, inbox, relays, cancel } = self;
        let mut known: Vec<LocalCandidate> = Vec::new();
        if direct {
            for socket in &shared.sockets {
                let candidate = LocalCandidate {
                    kind: CandidateKind::Host,
                    address: socket.local,
                    base: socket.local,
                    related: None,
                    server: None,
                    local_preference: socket.preference,
                };
                shared.metrics.found(candidate.kind);
                known.push(candidate.clone());
                found.send(EndpointEvent::Candidate(candidate)).await?;
            }
        }
        let (results, mut candidates) = mpsc::channel(RESULTS);
        let slots = Arc::new(Semaphore::new(MAX_ALLOCATIONS));
        let context =
            Context { shared: shared.clone(), tasks, direct, inbox, relays, cancel, slots, results };
        let mut asking = JoinSet::new();
        for (n, server) in servers.iter().enumerate() {
            asking.spawn(context.clone().ask(server.clone(), n).in_current_span());
        }
        drop(context);
        while let Some(candidate) = candidates.recv().await {
            // A reflexive address that is a host's own, or was seen by another server, says nothing new.
            let is_known = known.iter().any(|k| k.address == candidate.address && k.base == candidate.base);
            if !is_known {
                shared.metrics.found(candidate.kind);
                known.push(candidate.clone());
                found.send(EndpointEvent::Candidate(candidate)).await?;
            }
        }
        debug!("{} candidates are all that there are", known.len());
        found.send(EndpointEvent::GatheringDone).await
    }
}

impl Context {
    async fn ask(self, server: ServerUrl, n: usize) {
        let addresses = match self.resolve(&server).await {
            Ok(addresses) => addresses,
            Err(problem) => {
                self.count_failure(&server);
                warn!("{server}: {problem}");
                return;
            }
        };
        let stun = async {
            if self.direct && server.answers_stun() {
                self.ask_stun(&server, &addresses).await;
            }
        };
        let turn = async {
            if server.relays() {
                self.ask_turn(&server, &addresses, n).await;
            }
        };
        tokio::join!(stun, turn);
    }

    /// The first address of each IP version that this device has too.
    async fn resolve(&self, server: &ServerUrl) -> Result<Vec<SocketAddr>, String> {
        let all = if let Ok(ip) = server.host.parse::<IpAddr>() {
            vec![SocketAddr::new(ip, server.port)]
        } else {
            match timeout(RESOLVE_TIME, lookup_host((server.host.as_str(), server.port))).await {
                Ok(Ok(addresses)) => addresses.collect(),
                Ok(Err(e)) => {
                    return Err(format!("its name was not found: {e}; check it, and the device's DNS"));
                }
                Err(_) => return Err("the DNS server does not answer; check the device's DNS".into()),
            }
        };
        let have = |v4: bool| self.shared.sockets.iter().any(|s| s.local.is_ipv4() == v4);
        let first = |v4: bool| all.iter().find(|a| a.is_ipv4() == v4 && have(v4)).copied();
        let usable: Vec<_> = first(true).into_iter().chain(first(false)).collect();
        match usable.is_empty() {
            true => Err("it has no address of an IP version that this device has too".into()),
            false => Ok(usable),
        }
    }

    /// Asks from each socket how the server sees it.
    async fn ask_stun(&self, server: &ServerUrl, addresses: &[SocketAddr]) {
        let mut queries = JoinSet::new();
        for (n, socket) in self.shared.sockets.iter().enumerate() {
            for &address in addresses.iter().filter(|a| reachable(socket.local, **a)) {
                queries.spawn(query(self.shared.clone(), n, address));
            }
        }
        let mut problem = None;
        while let Some(Ok((socket, result))) = queries.join_next().await {
            let socket = &self.shared.sockets[socket];
            match result {
                Ok(address) => {
                    let candidate = LocalCandidate {
                        kind: CandidateKind::ServerReflexive,
                        address,
                        base: socket.local,
                        related: Some(socket.local),
                        server: Some(server.to_string()),
                        local_preference: socket.preference,
                    };
                    problem = Some(Ok(()));
                    // Nobody waits for it if the session is over.
                    let _ = self.results.send(candidate).await;
                }
                Err(words) => {
                    problem.get_or_insert(Err(words));
                }
            }
        }
        // A TURN server that fails is told about by what asks it for an allocation.
        let problem = problem.unwrap_or_else(|| Err("none of this device's addresses can reach it".into()));
        if let Err(words) = problem
            && !server.relays()
        {
            self.count_failure(server);
            warn!("STUN server {server}: {words}");
        }
    }

    /// Asks for an allocation at each address.
    async fn ask_turn(&self, server: &ServerUrl, addresses: &[SocketAddr], n: usize) {
        let tls = if server.is_tls() { self.shared.tls().await } else { None };
        let mut attempts = JoinSet::new();
        for &address in addresses {
            let (commands, command_queue) = mpsc::channel(COMMANDS);
            let (opened, answer) = oneshot::channel();
            let task = RelayTask {
                url: server.clone(),
                server: address,
                tls: tls.clone(),
                metrics: self.shared.metrics.clone(),
                cancel: self.cancel.clone(),
                commands: command_queue,
                datagrams: self.inbox.clone(),
                opened,
                slots: self.slots.clone(),
            };
            self.tasks.spawn(turn::run(task).in_current_span());
            attempts.spawn(async move { (commands, answer.await.unwrap_or(Opened::NotNeeded)) });
        }
        let mut problem = None;
        while let Some(Ok((commands, opened))) = attempts.join_next().await {
            match opened {
                Opened::Kept { relayed, mapped } => {
                    problem = Some(Ok(()));
                    self.keep(server, n, relayed, mapped, commands).await;
                }
                Opened::NotNeeded => problem = Some(Ok(())),
                Opened::Failed(words) => {
                    problem.get_or_insert(Err(words));
                }
            }
        }
        if let Some(Err(words)) = problem {
            self.count_failure(server);
            warn!("TURN server {server}: {words}");
        }
    }

    async fn keep(
        &self,
        server: &ServerUrl,
        n: usize,
        relayed: SocketAddr,
        mapped: Option<SocketAddr>,
        commands: mpsc::Sender<Command>,
    ) {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner).add(relayed, commands);
        // A relay over UDP loses less time than one over TCP, and that less than one over TLS.
        let best = match (server.transport, server.is_tls()) {
            (ServerTransport::Udp, _) => u16::MAX,
            (ServerTransport::Tcp, false) => u16::MAX / 2,
            (ServerTransport::Tcp, true) => u16::MAX / 4,
        };
        let candidate = LocalCandidate {
            kind: CandidateKind::Relayed,
            address: relayed,
            base: relayed,
            // With the policy `relay` the viewer must not learn where the device is.
            related: mapped.filter(|_| self.direct),
            server: Some(server.to_string()),
            local_preference: best - u16::try_from(n).unwrap_or(0),
        };
        // Nobody waits for it if the session is over.
        let _ = self.results.send(candidate).await;
    }

    fn count_failure(&self, server: &ServerUrl) {
        match server.relays() {
            true => self.shared.metrics.turn_failed(),
            false => self.shared.metrics.stun_failed(),
        }
    }
}

/// Whether it makes sense to ask `server` from `local`: loopback reaches only loopback.
fn reachable(local: SocketAddr, server: SocketAddr) -> bool {
    local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback()
}

/// Asks one server from one socket. Returns the number of the socket with the answer.
async fn query(shared: Arc<Shared>, n: usize, server: SocketAddr) -> (usize, Result<SocketAddr, String>) {
    let socket = &shared.sockets[n];
    let mut query = BindingQuery::new(Instant::now(), random_id());
    let (_guard, mut answers) = shared.expect_answer(query.id(), socket.local, server);
    loop {
        let due = match query.poll(Instant::now()) {
            Step::Send(request) => {
                shared.transmit(socket, server, request);
                continue;
            }
            Step::Wait(due) => due,
            Step::GiveUp => {
                let port = server.port();
                let advice = "is it running, and may this device send UDP to that port?";
                return (n, Err(format!("{} does not answer on UDP port {port}; {advice}", server.ip())));
            }
        };
        tokio::select! {
            Some(answer) = answers.recv() => {
                if let Some(result) = query.handle(&answer) {
                    return (n, result);
                }
            }
            () = sleep_until(due.into()) => {}
        }
    }
}
