//! The shared UDP port: one socket for each local address, all with the same port number, following the interfaces.

mod bind;
mod cadence;
mod choose;
mod gate;
mod keeper;
mod moderation;
mod wire;

use std::{net::SocketAddr, sync::Arc};

pub(super) use self::{
    bind::bind,
    cadence::Cadence,
    choose::choose,
    keeper::Keeper,
    moderation::Moderation,
    wire::{Buffers, MAX_TRAIN, Wire},
};

/// Addresses offered; each is one candidate, and each pair of candidates costs checks.
pub(super) const MAX_ADDRESSES: usize = 16;

/// One local address of the shared port.
#[derive(Debug)]
pub(super) struct Socket {
    /// Its exact address.
    pub local: SocketAddr,
    /// Its place among the host candidates (RFC 8445 section 5.1.2.1).
    pub preference: u16,
    /// The socket.
    pub wire: Wire,
}

/// The sockets at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    /// Those whose addresses are candidates, best first.
    pub offered: Vec<Arc<Socket>>,
    /// Those of addresses that new sessions are not to use any more (RFC 4862 section 5.5.4, RFC 8981), and that those
    /// before may still use while the device has them.
    pub kept: Vec<Arc<Socket>>,
    /// Counts the changes of the default routers: what servers see of a socket may be another address after each.
    pub routes: u64,
}

impl Sockets {
    /// All that are open.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Socket>> {
        self.offered.iter().chain(&self.kept)
    }

    /// The one with the local address.
    pub fn find(&self, local: SocketAddr) -> Option<&Arc<Socket>> {
        self.all().find(|socket| socket.local == local)
    }

    /// Whether an address of the IP version is offered.
    pub fn has(&self, v4: bool) -> bool {
        self.offered.iter().any(|socket| socket.local.is_ipv4() == v4)
    }
}
