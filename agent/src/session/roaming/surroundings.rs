//! What a session knows of the world around it: whether its link is up, and the device's addresses and routers.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::watch;

use crate::transport::{InterfaceChanges, Interfaces};

/// Whether the link is up; counts connections, as one may take the place of another without a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct LinkState {
    pub up: bool,
    pub connections: u64,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Change {
    /// The link is up, maybe again, or down.
    Link { up: bool },
    /// Addresses or routers.
    Network,
}

/// See the module.
pub(in crate::session) struct Surroundings {
    link: watch::Receiver<LinkState>,
    changes: InterfaceChanges,
    known: Arc<Interfaces>,
}

impl Surroundings {
    pub(in crate::session) fn new(
        mut link: watch::Receiver<LinkState>,
        mut changes: InterfaceChanges,
    ) -> Self {
        link.mark_unchanged();
        let known = changes.borrow_and_update().clone();
        Self { link, changes, known }
    }

    /// Comes back when [`Self::take_change`] has something, which was not taken before this call. Never when both sources
    /// are gone.
    pub(in crate::session) fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut link, mut changes) = (self.link.clone(), self.changes.clone());
        async move {
            tokio::select! {
                Ok(()) = link.changed() => {}
                Ok(()) = changes.changed() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// The next change that was not taken yet.
    pub(in crate::session) fn take_change(&mut self) -> Option<Change> {
        // `Receiver::has_changed` sees nothing new once the sender is gone, unlike the wait above.
        if self.link.borrow().has_changed() {
            return Some(Change::Link { up: self.link.borrow_and_update().up });
        }
        let network = self.changes.borrow().has_changed();
        if network {
            self.changes.mark_unchanged();
        }
        network.then_some(Change::Network)
    }

    /// After [`Change::Network`]: why a path from `local` should be left, if it should.
    pub(in crate::session) fn take_in(&mut self, local: Option<IpAddr>) -> Option<&'static str> {
        let now = self.changes.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.known, now.clone());
        reason_to_leave(&before, &now, local?)
    }
}

/// The address of a relay is none of the device's, before or after.
fn reason_to_leave(before: &Interfaces, now: &Interfaces, local: IpAddr) -> Option<&'static str> {
    let index = |all: &Interfaces| all.addresses.iter().find(|a| a.ip == local).map(|a| a.index);
    let best =
        |all: &Interfaces| all.gateways.iter().find(|g| g.address.is_ipv4() == local.is_ipv4()).cloned();
    match (index(before), index(now)) {
        (Some(_), None) => Some("the camera lost the address of its path"),
        (Some(_), Some(index)) => {
            let (old, new) = (best(before), best(now)?);
            let other = old.as_ref().is_none_or(|old| (old.address, old.index) != (new.address, new.index));
            (other && new.index != index).then_some("the camera has another way to the internet")
        }
        (None, _) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transport::{Gateway, InterfaceAddress};

    const LAN: &str = "192.0.2.7";
    const MOBILE: &str = "198.51.100.9";

    fn address(ip: &str, index: u32) -> InterfaceAddress {
        let interface = format!("if{index}");
        InterfaceAddress { ip: ip.parse().unwrap(), interface, index, temporary: false, deprecated: false }
    }

    fn network(addresses: &[(&str, u32)], gateways: &[(&str, u32)]) -> Interfaces {
        let gateway =
            |(ip, index): &(&str, u32)| Gateway { address: ip.parse().unwrap(), index: *index, metric: 0 };
        Interfaces {
            addresses: addresses.iter().map(|(ip, index)| address(ip, *index)).collect(),
            gateways: gateways.iter().map(gateway).collect(),
        }
    }

    fn leaves(before: &Interfaces, now: &Interfaces, local: &str) -> bool {
        reason_to_leave(before, now, local.parse().unwrap()).is_some()
    }

    #[test]
    fn a_path_is_left_when_its_address_goes() {
        let (both, one) = (network(&[(LAN, 2), (MOBILE, 3)], &[]), network(&[(MOBILE, 3)], &[]));
        assert!(leaves(&both, &one, LAN));
        assert!(!leaves(&both, &one, MOBILE));
        assert!(!leaves(&both, &one, "203.0.113.5"), "a relay's");
    }

    #[test]
    fn a_path_is_left_when_another_router_becomes_the_best() {
        let before = network(&[(LAN, 2), (MOBILE, 3)], &[("198.51.100.1", 3)]);
        let now = network(&[(LAN, 2), (MOBILE, 3)], &[("192.0.2.1", 2), ("198.51.100.1", 3)]);
        assert!(leaves(&before, &now, MOBILE));
        assert!(!leaves(&before, &now, LAN), "it goes there already");
        assert!(!leaves(&now, &now, MOBILE));
        assert!(!leaves(&now, &network(&[(MOBILE, 3)], &[]), MOBILE), "no router is no better one");
    }
}
