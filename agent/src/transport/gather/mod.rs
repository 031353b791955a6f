//! Finds the candidates of one session: host at once, then server-reflexive and relayed as servers answer.
//!
//! All servers are asked at the same time, from all local addresses of their IP version. No server delays another, and
//! none delays a session: it has the host candidates before the first packet is sent. Afterwards the device's addresses
//! are followed for as long as the session lives.

mod known;
mod live;
mod mapped;
mod reflexive;
mod relayed;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, debug, warn};

use self::{
    known::{Change, Known},
    live::{Live, tell},
    mapped::Mapped,
    relayed::Relaying,
};
use super::{
    candidate::{CandidateKind, LocalCandidate},
    endpoint::{Datagram, EndpointEvent, Relays},
    interfaces::InterfaceChanges,
    mapping::Mapping,
    nat64::Nat64,
    outcome::Outcomes,
    server::{ServerUrl, Servers},
    shared::Shared,
};

/// Time for a DNS answer. A viewer waits no longer for a candidate than for a page.
const RESOLVE_TIME: Duration = Duration::from_secs(2);
/// Results of servers that may wait; then the servers' tasks wait.
const RESULTS: usize = 16;

/// What one session's gathering needs.
pub(super) struct Gather {
    pub shared: Arc<Shared>,
    pub tasks: TaskTracker,
    pub servers: watch::Receiver<Servers>,
    pub interfaces: InterfaceChanges,
    pub nat64: Nat64,
    /// Host candidates are told as names that only the device's own network knows.
    pub hide: bool,
    /// Whether host and server-reflexive candidates are wanted.
    pub direct: bool,
    pub found: mpsc::Sender<EndpointEvent>,
    pub inbox: mpsc::Sender<Datagram>,
    pub relays: Arc<Mutex<Relays>>,
    /// Asks for another look of all servers.
    pub refresh: Arc<Notify>,
    /// What routers hold open, if they are asked.
    pub mappings: Option<watch::Receiver<Arc<[Mapping]>>>,
    pub outcomes: Outcomes,
    pub cancel: CancellationToken,
}

/// What a server's task needs.
#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    nat64: Nat64,
    direct: bool,
    inbox: mpsc::Sender<Datagram>,
    relays: Arc<Mutex<Relays>>,
    outcomes: Outcomes,
    cancel: CancellationToken,
    results: mpsc::Sender<LocalCandidate>,
}

impl Gather {
    /// Gathers, and follows what changes, until the session ends.
    pub async fn run(self) {
        let cancel = self.cancel.clone();
        // An error means that the session is over too: its end of the channel is gone.
        let _ = cancel.run_until_cancelled(self.gather()).await;
    }

    async fn gather(self) -> Result<(), mpsc::error::SendError<EndpointEvent>> {
        let Self {
            shared,
            tasks,
            servers,
            interfaces,
            nat64,
            hide,
            direct,
            found,
            inbox,
            relays,
            refresh,
            mappings,
            outcomes,
            cancel,
        } = self;
        let mut known = Known::new(hide);
        let mut sockets = shared.watch_sockets();
        let now = sockets.borrow_and_update().clone();
        let hosts = match direct {
            true => tell(&shared, &mut known, &now),
            false => Vec::new(),
        };
        send(&shared, &found, hosts).await?;
        let (results, mut candidates) = mpsc::channel(RESULTS);
        let context = Context {
            shared: shared.clone(),
            tasks,
            nat64,
            direct,
            inbox,
            relays,
            outcomes,
            cancel,
            results,
        };
        let mut asking = JoinSet::new();
        for server in servers.borrow().iter().filter(|server| direct && server.answers_stun()) {
            asking.spawn(context.clone().ask(server.clone()).in_current_span());
        }
        let (relaying, settled) = Relaying::new(context.clone(), found.clone(), servers.clone(), interfaces);
        asking.spawn(async move { settled.await.unwrap_or_default() });
        let mut live = Live::new(context, servers, sockets, &now, refresh);
        // An address that comes back can only be bound when its old socket is closed.
        drop(now);
        let mut mapped = Mapped::new(mappings.filter(|_| direct), shared.clone());
        let mut done = false;
        let finding = async {
            loop {
                if !done && asking.is_empty() && candidates.is_empty() && mapped.is_idle() {
                    done = true;
                    debug!("{} candidates are all that there are for now", known.len());
                    found.send(EndpointEvent::GatheringDone).await?;
                }
                let mut changes = tokio::select! {
                    biased;
                    change = mapped.next() => match change {
                    Change::New(candidate) => known.found(candidate),
                    Change::Gone(candidate) => known.lost(&candidate),
                },
                    Some(mut candidate) = candidates.recv() => {
                        if candidate.kind == CandidateKind::ServerReflexive {
                            candidate.local_preference = candidate.local_preference.saturating_sub(mapped::BETTER);
                        }
                        known.found(candidate)
                    }
                    Some(_) = asking.join_next() => continue,
                    changes = live.next(&mut known) => {
                        mapped.look_again();
                        changes
                    }
                };
                // Where viewers reach the port over UDP, they may over TCP too.
                let beside = |change: &Change| match change {
                    Change::New(candidate) => shared.tcp.beside(candidate),
                    Change::Gone(_) => None,
                };
                let passive: Vec<_> = changes.iter().filter_map(beside).collect();
                changes.extend(passive.into_iter().flat_map(|candidate| known.found(candidate)));
                send(&shared, &found, changes).await?;
            }
        };
        // Neither ends before the session does.
        tokio::select! {
            over = finding => over,
            () = relaying.run() => Ok(()),
        }
    }
}

/// Tells the session.
async fn send(
    shared: &Shared,
    found: &mpsc::Sender<EndpointEvent>,
    changes: Vec<Change>,
) -> Result<(), mpsc::error::SendError<EndpointEvent>> {
    for change in changes {
        found
            .send(match change {
                Change::New(candidate) => {
                    shared.metrics.found(&candidate);
                    EndpointEvent::Candidate(candidate)
                }
                Change::Gone(candidate) => EndpointEvent::CandidateGone(candidate),
            })
            .await?;
    }
    Ok(())
}

impl Context {
    async fn ask(self, server: ServerUrl) {
        match self.resolve(&server, false).await {
            Ok(addresses) => {
                let sockets = self.shared.sockets().offered.clone();
                self.ask_stun(&server, &addresses, &sockets, false).await;
            }
            // A TURN server that fails is told about by what asks it for an allocation.
            Err(_) if server.relays() => {}
            Err(problem) => {
                self.shared.metrics.stun_failed();
                self.outcomes.not_found(&server, &problem);
                warn!("{server}: {problem}");
            }
        }
    }

    /// The first address of each IP version that this device has too. `again`: DNS need not be asked once more.
    async fn resolve(&self, server: &ServerUrl, again: bool) -> Result<Vec<SocketAddr>, String> {
        let all = if let Ok(ip) = server.host.parse::<IpAddr>() {
            vec![SocketAddr::new(ip, server.port)]
        } else if let Some(addresses) = self.shared.recall(server).filter(|_| again) {
            addresses
        } else {
            match timeout(RESOLVE_TIME, lookup_host((server.host.as_str(), server.port))).await {
                Ok(Ok(addresses)) => self.shared.remember(server, addresses.collect()),
                Ok(Err(e)) => {
                    return Err(format!("its name was not found: {e}; check it, and the device's DNS"));
                }
                Err(_) => return Err("the DNS server does not answer; check the device's DNS".into()),
            }
        };
        let sockets = self.shared.sockets();
        let have = |v4: bool| sockets.has(v4);
        let first = |v4: bool| all.iter().find(|a| a.is_ipv4() == v4 && have(v4)).copied();
        let mut usable: Vec<_> = first(true).into_iter().chain(first(false)).collect();
        // Also beside an IPv6 address: only this way the device learns how IPv4 viewers see it.
        if !have(true) && have(false) {
            usable.extend(self.nat64.server(&all).await.filter(|twin| !usable.contains(twin)));
        }
        match usable.is_empty() {
            true => Err("it has no address of an IP version that this device has too".into()),
            false => Ok(usable),
        }
    }
}
