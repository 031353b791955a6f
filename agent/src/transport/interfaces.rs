//! The device's own addresses and the routers that it knows.

use std::{net::IpAddr, sync::Arc};

use anyhow::Context as _;
use if_addrs::{IfOperStatus, get_if_addrs};
use tokio::sync::watch;

/// An address of an interface that is up.
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
    /// Addresses of interfaces that are up, in the kernel's order.
    pub addresses: Vec<InterfaceAddress>,
    /// Default routers, best first.
    pub gateways: Vec<Gateway>,
}

/// Holds the newest state; wakes whoever waits when it changes.
pub type InterfaceChanges = watch::Receiver<Arc<Interfaces>>;

impl Interfaces {
    /// Asks the kernel once.
    pub(super) fn now() -> anyhow::Result<Self> {
        let found = get_if_addrs().context("the network interfaces cannot be listed")?;
        let up = found.into_iter().filter(|i| i.oper_status != IfOperStatus::Down);
        let addresses = up.map(|i| InterfaceAddress {
            ip: i.ip(),
            index: i.index.unwrap_or_default(),
            interface: i.name,
            temporary: false,
            deprecated: false,
        });
        Ok(Self { addresses: addresses.collect(), gateways: Vec::new() })
    }
}
