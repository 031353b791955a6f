//! Finds the candidates of one session: host at once, then server-reflexive and relayed as servers answer.
//!
//! All servers are asked at the same time, from all local addresses of their IP version. No server delays another, and
//! none delays a session: it has the host candidates before the first packet is sent.

mod reflexive;
mod relayed;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, debug, warn};

use self::relayed::Relaying;
use super::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    endpoint::{Datagram, EndpointEvent, Relays},
    interfaces::InterfaceChanges,
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
    results: mpsc::Sender<LocalCandidate>,
}

impl Gather {
    /// Gathers until all servers answered or are given up, and keeps what was found until the session ends.
    pub async fn run(self) {
        let cancel = self.cancel.clone();
        // An error means that the session is over too: its end of the channel is gone.
        let _ = cancel.run_until_cancelled(self.gather()).await;
    }

    async fn gather(self) -> Result<(), mpsc::error::SendError<EndpointEvent>> {
        let Self { shared, tasks, servers, interfaces, direct, found, inbox, relays, cancel } = self;
        let mut known: Vec<LocalCandidate> = Vec::new();
        if direct {
            for socket in &shared.sockets {
                let candidate = LocalCandidate {
                    kind: CandidateKind::Host,
                    protocol: Protocol::Udp,
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
        let context = Context { shared: shared.clone(), tasks, direct, inbox, relays, cancel, results };
        let mut asking = JoinSet::new();
        for server in servers.borrow().iter().filter(|server| direct && server.answers_stun()) {
            asking.spawn(context.clone().ask(server.clone()).in_current_span());
        }
        let relaying = Relaying::new(context, found.clone(), servers, interfaces);
        let finding = async {
            while let Some(candidate) = candidates.recv().await {
                // A reflexive address that is a host's own, or was seen by another server, says nothing new.
                let is_known =
                    known.iter().any(|k| k.address == candidate.address && k.base == candidate.base);
                if !is_known {
                    shared.metrics.found(candidate.kind);
                    known.push(candidate.clone());
                    found.send(EndpointEvent::Candidate(candidate)).await?;
                }
            }
            debug!("{} candidates are all that there are", known.len());
            found.send(EndpointEvent::GatheringDone).await
        };
        tokio::join!(finding, relaying.run()).0
    }
}

impl Context {
    async fn ask(self, server: ServerUrl) {
        match self.resolve(&server).await {
            Ok(addresses) => self.ask_stun(&server, &addresses).await,
            // A TURN server that fails is told about by what asks it for an allocation.
            Err(_) if server.relays() => {}
            Err(problem) => {
                self.shared.metrics.stun_failed();
                warn!("{server}: {problem}");
            }
        }
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
}
