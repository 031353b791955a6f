//! Allocations on TURN servers: the relayed candidates of a session (RFC 8445 section 5.1.1.2), for as long as it lives.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::PoisonError,
    time::{Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tracing::{Instrument as _, debug, info, warn};

use super::Context;
use crate::transport::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    endpoint::EndpointEvent,
    interfaces::InterfaceChanges,
    server::{ServerUrl, Servers},
    turn::{
        self, Action, Command, Doubt, Failure, FailureKind, Held, Keeper, News, Opened, Orders, Outcome, Way,
    },
};

/// Packets that may wait for an allocation's task. When it is full, the newest is dropped.
const COMMANDS: usize = 256;
/// Reports that may wait; then the allocations' tasks wait.
const REPORTS: usize = 32;

/// The result of looking up a server's name.
type Resolved = (u32, usize, ServerUrl, Result<Vec<SocketAddr>, String>);

/// An allocation's task.
struct Line {
    url: ServerUrl,
    address: SocketAddr,
    since: Instant,
    way: Way,
    commands: mpsc::Sender<Command>,
    /// Dropping it ends the task, as long as it is not used.
    verdict: Option<oneshot::Sender<Held>>,
    orders: watch::Sender<Orders>,
    /// Dropping it ends the task.
    _release: tokio_util::sync::DropGuard,
    /// The relayed address, and what the server sees of this device.
    opened: Option<(SocketAddr, Option<SocketAddr>)>,
    /// What the session knows of it.
    told: Option<LocalCandidate>,
}

/// Does what the [`Keeper`] of a session says.
pub(super) struct Relaying {
    context: Context,
    found: mpsc::Sender<EndpointEvent>,
    servers: watch::Receiver<Servers>,
    interfaces: InterfaceChanges,
    keeper: Keeper,
    lines: HashMap<u64, Line>,
    /// Servers whose failure the log holds already.
    told: Vec<ServerUrl>,
    resolving: JoinSet<Resolved>,
    reports: (mpsc::Sender<turn::Report>, mpsc::Receiver<turn::Report>),
    /// Told, or dropped, when all servers were asked once.
    settled: Option<oneshot::Sender<()>>,
}

impl Relaying {
    /// For the TURN servers among `servers`, and what tells that they were asked once.
    pub(super) fn new(
        context: Context,
        found: mpsc::Sender<EndpointEvent>,
        mut servers: watch::Receiver<Servers>,
        mut interfaces: InterfaceChanges,
    ) -> (Self, oneshot::Receiver<()>) {
        let (settled, all_asked) = oneshot::channel();
        let turn_servers = turn_servers(&servers.borrow_and_update());
        context.shared.reachability().at(&interfaces.borrow_and_update());
        let random = Box::new(|| crate::transport::random_id()[0]);
        let this = Self {
            context,
            found,
            servers,
            interfaces,
            keeper: Keeper::new(Instant::now(), turn_servers, random),
            lines: HashMap::new(),
            told: Vec::new(),
            resolving: JoinSet::new(),
            reports: mpsc::channel(REPORTS),
            settled: Some(settled),
        };
        (this, all_asked)
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            while let Some(action) = self.keeper.poll_action() {
                self.act(action).await;
            }
            let due = self.keeper.poll_timeout();
            tokio::select! {
                Some(Ok(resolved)) = self.resolving.join_next() => self.resolved(resolved),
                Some(report) = self.reports.1.recv() => self.report(report).await,
                Ok(()) = self.servers.changed() => {
                    let servers = turn_servers(&self.servers.borrow_and_update());
                    info!("the session has new TURN servers or credentials: {servers:?}");
                    self.told.clear();
                    self.keeper.renew(Instant::now(), servers);
                }
                Ok(()) = self.interfaces.changed() => {
                    self.context.shared.reachability().at(&self.interfaces.borrow_and_update());
                    self.keeper.network_changed(Instant::now());
                }
                () = turn::wait_until(due) => self.keeper.handle_timeout(Instant::now()),
            }
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Resolve { round, server, url } => {
                let context = self.context.clone();
                let resolve = async move {
                    let mut addresses = context.resolve(&url, false).await;
                    if let Ok(addresses) = &mut addresses
                        && context.nat64.is_needed()
                    {
                        // One allocation is enough where IPv4 is reached by IPv6 anyhow.
                        addresses.truncate(1);
                    }
                    (round, server, url, addresses)
                };
                self.resolving.spawn(resolve.in_current_span());
            }
            Action::Ask { id, url, address } => self.ask(id, url, address),
            Action::Keep(id, preference) => self.keep(id, preference).await,
            Action::Retire(id) => self.order(id, |orders| orders.retire = true),
            Action::Probe(id) => self.order(id, |orders| orders.probes = orders.probes.wrapping_add(1)),
            Action::Release(id) => self.release(id).await,
            // Dropping it tells.
            Action::Settled => self.settled = None,
        }
    }

    fn resolved(&mut self, (round, server, url, addresses): Resolved) {
        let addresses = addresses.unwrap_or_else(|words| {
            if !self.told.contains(&url) {
                self.context.outcomes.not_found(&url, &words);
            }
            self.tell_failure(&url, &words);
            Vec::new()
        });
        let memory = self.context.shared.reachability();
        self.keeper.resolved(Instant::now(), round, server, &addresses, &memory);
    }

    fn ask(&mut self, id: u64, url: ServerUrl, address: SocketAddr) {
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (verdict, judged) = oneshot::channel();
        let (orders, ordered) = watch::channel(Orders::default());
        let way = Way::new(&url, address);
        let shared = self.context.shared.clone();
        let cancel = self.context.cancel.child_token();
        let mut task = turn::RelayTask {
            id,
            url: url.clone(),
            server: address,
            tls: None,
            challenge: shared.reachability().challenge(Instant::now(), &way),
            metrics: shared.metrics.clone(),
            cancel: cancel.clone(),
            commands: command_queue,
            datagrams: self.context.inbox.clone(),
            reports: self.reports.0.clone(),
            verdict: judged,
            orders: ordered,
        };
        let running = async move {
            if task.url.is_tls() {
                task.tls = shared.tls().await;
            }
            turn::run(task).await;
        };
        self.context.tasks.spawn(running.in_current_span());
        let _release = cancel.drop_guard();
        let (since, verdict) = (Instant::now(), Some(verdict));
        let (opened, told) = (None, None);
        let line = Line { url, address, since, way, commands, verdict, orders, _release, opened, told };
        self.lines.insert(id, line);
    }

    async fn report(&mut self, report: turn::Report) {
        let turn::Report { id, news, challenge } = report;
        let now = Instant::now();
        // What was released has nothing to say.
        let Some(line) = self.lines.get_mut(&id) else { return };
        match news {
            News::Opened { relayed, mapped, round_trip } => {
                line.opened = Some((relayed, mapped));
                self.told.retain(|told| *told != line.url);
                let outcome = Outcome::Answered(round_trip);
                self.context.shared.reachability().learn(now, line.way.clone(), outcome, challenge);
                self.keeper.opened(now, SystemTime::now(), id, round_trip);
            }
            News::Failed(failure) => self.failed(now, id, &failure).await,
            News::Doubtful(doubt) => {
                let words = match &doubt {
                    Doubt::Credentials(words) => words,
                    Doubt::Silent => "it does not answer",
                };
                warn!("TURN server {}: the allocation is doubtful, another one is sought: {words}", line.url);
                self.keeper.doubtful(now, id, doubt != Doubt::Silent);
            }
            News::Trusted => {
                info!("TURN server {} answers again", line.url);
                self.keeper.trusted(now, id);
            }
            News::Ended => {
                self.release(id).await;
                self.keeper.failed(now, id, &FailureKind::Unavailable);
            }
        }
    }

    async fn failed(&mut self, now: Instant, id: u64, failure: &Failure) {
        let Some(line) = self.lines.remove(&id) else { return };
        self.gone(line.told).await;
        let was_held = line.verdict.is_none();
        if !was_held && !self.told.contains(&line.url) {
            let ended = Opened::Failed(failure.words.clone());
            self.context.outcomes.allocation(&line.url, line.address, line.since, &ended);
        }
        // A refusal is an answer too: it says nothing about the way.
        if failure.kind == FailureKind::Unavailable && !was_held {
            self.context.shared.reachability().learn(now, line.way, Outcome::Failed, None);
        }
        let is_last = self.keeper.failed(now, id, &failure.kind);
        if was_held {
            self.context.shared.metrics.turn_failed();
            warn!("TURN server {}: the allocation is lost: {}", line.url, failure.words);
        } else if is_last {
            self.tell_failure(&line.url, &failure.words);
        }
    }

    /// Once, however often it fails until it is of use again.
    fn tell_failure(&mut self, url: &ServerUrl, words: &str) {
        self.context.shared.metrics.turn_failed();
        if self.told.contains(url) {
            debug!("TURN server {url}: {words}");
            return;
        }
        warn!("TURN server {url}: {words}");
        self.told.push(url.clone());
    }

    async fn keep(&mut self, id: u64, local_preference: u16) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let (Some((relayed, mapped)), Some(verdict)) = (line.opened, line.verdict.take()) else { return };
        let shared = &self.context.shared;
        if verdict.send(Held::new(&shared.metrics)).is_err() {
            // Lost meanwhile: its report is under way.
            return;
        }
        let commands = line.commands.clone();
        self.context.relays.lock().unwrap_or_else(PoisonError::into_inner).add(relayed, commands);
        let candidate = LocalCandidate {
            kind: CandidateKind::Relayed,
            protocol: Protocol::Udp,
            address: relayed,
            base: relayed,
            // With the policy `relay` the viewer must not learn where the device is.
            related: mapped.filter(|_| self.context.direct),
            server: Some(line.url.to_string()),
            local_preference,
        };
        shared.metrics.found(&candidate);
        self.context.outcomes.allocation(&line.url, line.address, line.since, &Opened::Kept { relayed });
        line.told = Some(candidate.clone());
        // Nobody waits for it if the session is over.
        let _ = self.found.send(EndpointEvent::Candidate(candidate)).await;
    }

    /// Lets go of it: its task gives it back.
    async fn release(&mut self, id: u64) {
        let Some(line) = self.lines.remove(&id) else { return };
        if line.verdict.is_some() && line.opened.is_some() {
            self.context.outcomes.allocation(&line.url, line.address, line.since, &Opened::NotNeeded);
        }
        self.gone(line.told).await;
    }

    async fn gone(&mut self, candidate: Option<LocalCandidate>) {
        if let Some(candidate) = candidate {
            // Nobody waits for it if the session is over.
            let _ = self.found.send(EndpointEvent::CandidateGone(candidate)).await;
        }
    }

    fn order(&mut self, id: u64, change: impl FnOnce(&mut Orders)) {
        if let Some(line) = self.lines.get(&id) {
            line.orders.send_modify(change);
        }
    }
}

fn turn_servers(servers: &Servers) -> Vec<ServerUrl> {
    servers.iter().filter(|server| server.relays()).cloned().collect()
}
