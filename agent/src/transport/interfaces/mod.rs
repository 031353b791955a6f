//! The device's own addresses and the routers that it knows, and how both change (rtnetlink(7)).
//!
//! The kernel tells of every change; some tens of milliseconds later, when the burst is over, all is read again, and
//! told only if it is not what it was.

mod dump;
pub mod message;
mod read;
mod socket;
mod watch;

use std::{
    net::{IpAddr, UdpSocket},
    sync::Arc,
};

use tokio::sync::watch::{Receiver, channel};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

/// An address that can be used now, of an interface that is up and has a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The interface's name, as `eth0`.
    pub interface: String,
    /// The interface's number in the kernel; addresses of one link share it.
    pub index: u32,
    /// Made by the kernel for privacy (RFC 8981), to be preferred to the lasting one of the same prefix.
    pub temporary: bool,
    /// Still valid, not to be used for what is new (RFC 4862 section 5.5.4).
    pub deprecated: bool,
}

/// A default router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gateway {
    /// Its address on the link.
    pub address: IpAddr,
    /// The interface that leads to it.
    pub index: u32,
    /// The kernel's preference: less is better.
    pub metric: u32,
}

/// What the kernel knows at one instant. Two that are equal mean the same to every session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Usable addresses, in the kernel's order. IPv6 addresses are among them once duplicate detection is done
    /// (RFC 4862 section 5.4).
    pub addresses: Vec<InterfaceAddress>,
    /// Default routers of the main routing table, best first; a default route without a router is not among them.
    pub gateways: Vec<Gateway>,
}

/// Holds the newest state; wakes whoever waits when it changes.
pub type InterfaceChanges = Receiver<Arc<Interfaces>>;

impl Interfaces {
    /// Asks the kernel once.
    ///
    /// # Errors
    ///
    /// Netlink is not there, or is forbidden to this process.
    pub async fn now() -> std::io::Result<Self> {
        read::read().await
    }

    /// Without netlink: the two addresses that packets leave from, as the routes say. Nothing is sent.
    fn by_routes() -> Self {
        // Documentation prefixes (RFC 5737, RFC 3849): no network has a route of its own to them.
        let ways = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
        let own = ways.into_iter().filter_map(|(any, far)| {
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(far).ok()?;
            Some(socket.local_addr().ok()?.ip())
        });
        let loopback = [IpAddr::from([127, 0, 0, 1])];
        let addresses = own.chain(loopback).map(|ip| InterfaceAddress {
            ip,
            interface: String::new(),
            index: 0,
            temporary: false,
            deprecated: false,
        });
        Self { addresses: addresses.collect(), gateways: Vec::new() }
    }
}

/// Reads the state and follows it until the handle is dropped; without a handle it stays as it is. Never fails: what
/// netlink refuses is told once, and what can be known without it is taken.
pub(super) async fn follow() -> (InterfaceChanges, Option<AbortOnDropHandle<()>>) {
    let advice = "addresses that change later are not followed: allow AF_NETLINK to this process \
                  (systemd: RestrictAddressFamilies), or restart it after each change";
    // Before the first look, lest a change in between is missed.
    let watch = watch::Watch::open();
    let first = Interfaces::now().await.unwrap_or_else(|e| {
        warn!("the network interfaces cannot be listed: {e}; the addresses of the default routes are used");
        Interfaces::by_routes()
    });
    let (publish, changes) = channel(Arc::new(first));
    match watch {
        Ok(watch) => {
            let task = tokio::spawn(watch.run(publish));
            (changes, Some(AbortOnDropHandle::new(task)))
        }
        Err(e) => {
            warn!("netlink cannot be opened: {e}; {advice}");
            (changes, None)
        }
    }
}

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod tests;
