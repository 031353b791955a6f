//! What the transport counts.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    candidate::{CandidateKind, LocalCandidate, Protocol},
    tcp::Refusal,
};

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Came from an address, or with a ufrag, of no session.
    Unknown,
    /// Too many checks from addresses of no session came from one source.
    RateLimit,
    /// The session did not take its datagrams fast enough.
    SessionQueue,
    /// The kernel's send buffer is full.
    SendBuffer,
    /// The kernel refused it: no route, too long, interface gone.
    SendError,
    /// To be sent from an address that is not, or no longer, ours.
    NoSuchLocal,
    /// To be sent over TCP to where no connection of the session is.
    NoConnection,
    /// The viewer's TCP connection is too slow for it.
    TcpQueue,
    /// The queue to a TURN allocation is full.
    RelayQueue,
    /// The TURN server does not permit the peer, or did not in time.
    RelayPermission,
}

impl Drop {
    fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::RateLimit => "rate_limit",
            Self::SessionQueue => "session_queue",
            Self::SendBuffer => "send_buffer",
            Self::SendError => "send_error",
            Self::NoSuchLocal => "no_such_local",
            Self::NoConnection => "no_connection",
            Self::TcpQueue => "tcp_queue",
            Self::RelayQueue => "relay_queue",
            Self::RelayPermission => "relay_permission",
        }
    }
}

/// Counters and gauges of the transport.
#[derive(Clone, Debug, Default)]
pub struct TransportMetrics {
    /// Datagrams received on the shared port.
    pub datagrams_in: Counter,
    /// Bytes received on the shared port, without IP and UDP headers.
    pub bytes_in: Counter,
    /// Datagrams sent on the shared port.
    pub datagrams_out: Counter,
    /// Bytes sent on the shared port, without IP and UDP headers.
    pub bytes_out: Counter,
    /// Calls of the kernel that received from the shared port; one may bring several datagrams.
    pub receive_calls: Counter,
    /// Calls of the kernel that sent from the shared port; one may take several datagrams.
    pub send_calls: Counter,
    /// Frames received over viewers' TCP connections.
    pub tcp_frames_in: Counter,
    /// Frames sent over viewers' TCP connections.
    pub tcp_frames_out: Counter,
    /// Viewers' TCP connections that are open.
    pub tcp_connections: Gauge,
    /// Datagrams received through TURN.
    pub relayed_in: Counter,
    /// Datagrams sent through TURN.
    pub relayed_out: Counter,
    /// Endpoints that exist.
    pub endpoints: Gauge,
    /// TURN allocations held.
    pub allocations: Gauge,
    dropped: Family<Label, Counter>,
    candidates: Family<Label, Counter>,
    failures: Family<Label, Counter>,
    refused: Family<Label, Counter>,
}

impl TransportMetrics {
    /// Makes and registers all of them; the names start with `transport_`.
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("transport");
        r.register("datagrams_in", "Datagrams received on the shared UDP port", m.datagrams_in.clone());
        r.register("bytes_in", "Bytes received on the shared UDP port", m.bytes_in.clone());
        r.register("datagrams_out", "Datagrams sent on the shared UDP port", m.datagrams_out.clone());
        r.register("bytes_out", "Bytes sent on the shared UDP port", m.bytes_out.clone());
        r.register("receive_calls", "Calls that received from the shared UDP port", m.receive_calls.clone());
        r.register("send_calls", "Calls that sent from the shared UDP port", m.send_calls.clone());
        r.register("tcp_frames_in", "Frames received over ICE-TCP", m.tcp_frames_in.clone());
        r.register("tcp_frames_out", "Frames sent over ICE-TCP", m.tcp_frames_out.clone());
        r.register("tcp_connections", "ICE-TCP connections open", m.tcp_connections.clone());
        r.register("tcp_refused", "ICE-TCP connections refused or cut, by reason", m.refused.clone());
        r.register("relayed_in", "Datagrams received through TURN", m.relayed_in.clone());
        r.register("relayed_out", "Datagrams sent through TURN", m.relayed_out.clone());
        r.register("endpoints", "Sessions with an endpoint", m.endpoints.clone());
        r.register("allocations", "TURN allocations held", m.allocations.clone());
        r.register("dropped", "Datagrams dropped, by reason", m.dropped.clone());
        r.register("candidates", "Candidates found, by kind", m.candidates.clone());
        r.register("server_failures", "STUN and TURN servers that failed", m.failures.clone());
        m
    }

    /// One datagram was dropped.
    pub fn drop_one(&self, why: Drop) {
        self.dropped.get_or_create(&[("reason", why.label())]).inc();
    }

    /// Several datagrams were dropped.
    pub fn drop_some(&self, why: Drop, count: u64) {
        if count > 0 {
            self.dropped.get_or_create(&[("reason", why.label())]).inc_by(count);
        }
    }

    /// Datagrams dropped for `why` so far.
    pub fn dropped(&self, why: Drop) -> u64 {
        self.dropped.get_or_create(&[("reason", why.label())]).get()
    }

    /// A candidate was found.
    pub fn found(&self, candidate: &LocalCandidate) {
        let kind = match (candidate.protocol, candidate.kind) {
            (Protocol::Udp, kind) => kind.as_str(),
            (Protocol::Tcp, CandidateKind::Host) => "host_tcp",
            (Protocol::Tcp, CandidateKind::ServerReflexive) => "srflx_tcp",
            (Protocol::Tcp, CandidateKind::Relayed) => "relay_tcp",
        };
        self.candidates.get_or_create(&[("kind", kind)]).inc();
    }

    /// A TCP connection was not taken, or was cut.
    pub fn tcp_refused(&self, why: Refusal) {
        self.refused.get_or_create(&[("reason", why.label())]).inc();
    }

    /// TCP connections not taken, or cut, for `why` so far.
    pub fn tcp_refusals(&self, why: Refusal) -> u64 {
        self.refused.get_or_create(&[("reason", why.label())]).get()
    }

    /// A STUN server gave no usable answer.
    pub fn stun_failed(&self) {
        self.failures.get_or_create(&[("protocol", "stun")]).inc();
    }

    /// A TURN server gave no allocation, or took it back.
    pub fn turn_failed(&self) {
        self.failures.get_or_create(&[("protocol", "turn")]).inc();
    }
}
