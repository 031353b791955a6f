//! The candidates of the listeners (RFC 6544 section 4).

use std::net::SocketAddr;

use super::link::Connections;
use crate::transport::{CandidateKind, LocalCandidate, Protocol};

impl Connections {
    /// The host candidate beside that of the UDP socket `local`, if viewers can connect to it too. `preference`: that of
    /// the socket.
    pub fn host(&self, local: SocketAddr, preference: u16) -> Option<LocalCandidate> {
        self.listens(local).then(|| LocalCandidate::passive(CandidateKind::Host, local, local, preference))
    }

    /// The TCP candidate beside a server-reflexive one over UDP, where the router probably forwards both: the operator
    /// has chosen the port's number, and the Internet sees the same. If it does not, connecting to it is in vain, which
    /// costs the viewer a few packets.
    pub fn beside(&self, udp: &LocalCandidate) -> Option<LocalCandidate> {
        let forwarded = self.fixed
            && udp.kind == CandidateKind::ServerReflexive
            && udp.protocol == Protocol::Udp
            && udp.address.port() == udp.base.port()
            && self.listens(udp.base);
        let passive = || LocalCandidate {
            server: udp.server.clone(),
            related: udp.related,
            ..LocalCandidate::passive(udp.kind, udp.address, udp.base, udp.local_preference)
        };
        forwarded.then(passive)
    }
}
