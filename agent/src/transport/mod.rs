//! What lies under the sessions: the shared UDP port, STUN and TURN (docs/network.md).
//!
//! One [`Transport`] has one UDP socket for each local address, all with the same port number, and serves all
//! sessions; sockets come and go with the addresses. Each session opens an [`Endpoint`]: it gathers candidates in the background and receives the datagrams
//! that are meant for the session, from the shared port and from TURN servers alike. What a datagram means (ICE,
//! DTLS, SRTP) is the session's business; here is only decided whose it is.
//!
//! Not here: connectivity checks, ICE over TCP that the device opens.

mod candidate;
pub mod channel;
pub mod coarse;
pub mod demux;
pub mod discovery;
mod endpoint;
mod gather;
pub mod interfaces;
mod limits;
pub mod mapping;
pub mod mdns;
mod metrics;
pub mod nat64;
mod outcome;
mod query;
mod resolved;
mod server;
mod shared;
mod sockets;
pub mod tcp;
mod tls;
pub mod turn;

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::{mpsc, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{Instrument as _, info};

pub use self::{
    candidate::{CandidateKind, LocalCandidate, Path, Protocol},
    endpoint::{Endpoint, EndpointEvent},
    interfaces::{Gateway, InterfaceAddress, InterfaceChanges, Interfaces},
    metrics::{Drop as DropReason, TransportMetrics},
    outcome::{Asked, Said, ServerOutcome},
    query::{BindingQuery, Step},
    server::{MAX_SERVERS, Scheme, ServerTransport, ServerUrl, ServerUrlError, Servers},
};
use self::{
    gather::Gather,
    mapping::{Mapper, Mapping, MappingMetrics},
    shared::Shared,
};
use crate::{
    config::{IceConfig, IcePolicy},
    telemetry::metrics::Metrics,
};

/// Candidates and the end of gathering that may wait for the session. When it is full, gathering waits.
const FINDINGS: usize = 32;
/// Datagrams that may wait for a session: a third of a second at 2 Mbit/s. When it is full, the newest is dropped.
const INBOX: usize = 512;

/// The shared UDP port and all that the endpoints have in common. Cheap to clone; ends with its last clone and endpoint.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    port: u16,
    interfaces: InterfaceChanges,
    _follower: Option<AbortOnDropHandle<()>>,
    nat64: nat64::Nat64,
    _keeper: AbortOnDropHandle<()>,
    mdns: mdns::Mdns,
    mapper: Option<Mapper>,
    tasks: TaskTracker,
}

impl Transport {
    /// Binds the UDP port on all local addresses and starts to receive.
    ///
    /// # Errors
    ///
    /// The port is taken, or there is no address to bind it to; the error says what to do.
    pub async fn bind(config: &IceConfig, metrics: &Metrics) -> anyhow::Result<Self> {
        let (interfaces, _follower) = interfaces::follow().await;
        let addresses = sockets::choose(&interfaces.borrow().addresses, config.loopback);
        let sockets = sockets::bind(&addresses, config.port).await?;
        let mapping_metrics = metrics.register(MappingMetrics::register);
        let counted = metrics.register(TransportMetrics::register);
        let shared = Arc::new(Shared::new(sockets, counted, config));
        let nat64 = nat64::Nat64::start(interfaces.clone(), metrics);
        let port = shared.sockets().offered.first().map_or(0, |socket| socket.local.port());
        let mdns = mdns::Mdns::start(interfaces.clone(), config.hide_addresses, metrics);
        // Where only relays are told there is nothing to connect to.
        let tcp = config.tcp && config.policy != IcePolicy::Relay;
        let keeper = sockets::Keeper::new(shared.clone(), port, config.loopback, tcp);
        let _keeper = AbortOnDropHandle::new(tokio::spawn(keeper.run(interfaces.clone())));
        let tasks = TaskTracker::new();
        // Loopback is for tests on one machine, whose network's router is not to be bothered.
        let wanted = config.port_mapping && config.policy == IcePolicy::All && !config.loopback;
        let protocols: &[Protocol] = if tcp { &[Protocol::Udp, Protocol::Tcp] } else { &[Protocol::Udp] };
        let mapper =
            wanted.then(|| Mapper::start(port, interfaces.clone(), protocols, mapping_metrics, &tasks));
        let inner = Inner { shared, port, interfaces, _follower, nat64, mdns, _keeper, mapper, tasks };
        let this = Self(Arc::new(inner));
        let addresses: Vec<_> = this.local_addresses().iter().map(|a| a.ip().to_string()).collect();
        info!("UDP port {} is open on {}", this.port(), addresses.join(", "));
        Ok(this)
    }

    /// The port number that all sessions share.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The addresses of the shared port that are offered now, best first.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.0.shared.sockets().offered.iter().map(|socket| socket.local).collect()
    }

    /// The device's addresses and routers, and their changes.
    pub fn interfaces(&self) -> InterfaceChanges {
        self.0.interfaces.clone()
    }

    /// What the device's routers hold open, and its changes; `None`: they are not asked.
    pub fn mappings(&self) -> Option<watch::Receiver<Arc<[Mapping]>>> {
        self.0.mapper.as_ref().map(Mapper::mappings)
    }

    /// What is counted.
    pub fn metrics(&self) -> &TransportMetrics {
        &self.0.shared.metrics
    }

    /// Opens a session's endpoint and starts to gather its candidates in the background. Viewers' checks find it after
    /// [`Endpoint::answer_to`]. Must be called within a tokio runtime.
    pub fn open(&self, servers: &Servers, policy: IcePolicy) -> Endpoint {
        let (found, findings) = mpsc::channel(FINDINGS);
        let (inbox, datagrams) = mpsc::channel(INBOX);
        let cancel = CancellationToken::new();
        let direct = policy != IcePolicy::Relay;
        let asks = policy != IcePolicy::Host;
        let (renewals, servers) = watch::channel(if asks { servers.clone() } else { Servers::new() });
        let renewals = asks.then_some(renewals);
        let id = self.0.shared.open(inbox.clone());
        let endpoint =
            Endpoint::new(id, direct, self.0.clone(), findings, datagrams, renewals, cancel.clone());
        endpoint.outcomes.expect(servers.borrow().iter().count());
        let gather = Gather {
            shared: self.0.shared.clone(),
            tasks: self.0.tasks.clone(),
            servers,
            interfaces: self.interfaces(),
            nat64: self.0.nat64.clone(),
            hide: self.0.mdns.hides(),
            direct,
            found,
            inbox,
            relays: endpoint.relays.clone(),
            refresh: endpoint.refresh.clone(),
            mappings: self.mappings(),
            outcomes: endpoint.outcomes.clone(),
            cancel,
        };
        self.0.tasks.spawn(gather.run().in_current_span());
        endpoint
    }

    /// Waits until all allocations of dropped endpoints and all mappings are given back: a second at most after the last
    /// endpoint was dropped. No port is mapped any more.
    pub async fn released(&self) {
        if let Some(mapper) = &self.0.mapper {
            mapper.stop();
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// A random STUN transaction id.
fn random_id() -> [u8; 12] {
    let mut id = [0; 12];
    getrandom::fill(&mut id).expect("the kernel's random numbers are always there");
    id
}

#[cfg(test)]
#[path = "../../tests/support/own_network.rs"]
mod own_network;
#[cfg(test)]
mod roaming_tests;
#[cfg(test)]
mod tests;
