//! One task for each default router, as routers and addresses come and go.

use std::{
    collections::HashMap,
    future::pending,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::debug;

use super::{Mapping, MappingMetrics, announce::Announcements, router::Router, speak::Place};
use crate::transport::{
    candidate::Protocol,
    interfaces::{InterfaceChanges, Interfaces},
};

/// Default routers that are asked; a device with more has mistakes in its routes.
const MAX_ROUTERS: usize = 4;
/// A changing network changes several times in a moment; and a flapping one must not make traffic.
const SETTLE: Duration = Duration::from_secs(1);
/// Pause after an error of the socket for announcements, lest a lost interface costs a whole core.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the shared port open at the device's routers. Gives it back when [stopped](Self::stop) or dropped.
pub struct Mapper {
    mappings: watch::Receiver<Arc<[Mapping]>>,
    _stop: DropGuard,
    stop: CancellationToken,
}

/// A router's task.
struct Task {
    announced: Arc<Notify>,
    task: AbortOnDropHandle<()>,
}

impl Mapper {
    /// Starts to ask for `port`, now and whenever the interfaces change, for each of `protocols`; sessions need the
    /// first. What is given back at the end is among `tasks`. Must be called within a tokio runtime.
    pub fn start(
        port: u16,
        interfaces: InterfaceChanges,
        protocols: &[Protocol],
        metrics: MappingMetrics,
        tasks: &TaskTracker,
    ) -> Self {
        let stop = CancellationToken::new();
        let (table, mappings) = watch::channel(Arc::default());
        let work = Work {
            port,
            protocols: protocols.into(),
            table: Arc::new(table),
            metrics,
            stop: stop.clone(),
            running: HashMap::new(),
        };
        tasks.spawn(work.run(interfaces));
        Self { mappings, _stop: stop.clone().drop_guard(), stop }
    }

    /// What is held now, and its changes.
    pub fn mappings(&self) -> watch::Receiver<Arc<[Mapping]>> {
        self.mappings.clone()
    }

    /// Gives all back, within a second.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

struct Work {
    port: u16,
    protocols: Arc<[Protocol]>,
    table: Arc<super::router::Table>,
    metrics: MappingMetrics,
    stop: CancellationToken,
    running: HashMap<Place, Task>,
}

impl Work {
    async fn run(mut self, mut interfaces: InterfaceChanges) {
        let stop = self.stop.clone();
        let mut announcements = None;
        // False: its sender is gone, and nothing changes any more.
        let mut follows = true;
        self.follow(&interfaces.borrow_and_update().clone());
        loop {
            if announcements.is_none() && !self.running.is_empty() {
                announcements = Announcements::listen()
                    .inspect_err(|e| debug!("routers that restart are noticed later: UDP port 5350: {e}"))
                    .ok();
            }
            let announced = async {
                match &announcements {
                    Some(announcements) => announcements.next().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                changed = interfaces.changed(), if follows => {
                    follows = changed.is_ok();
                    stop.run_until_cancelled(sleep(SETTLE)).await;
                    self.follow(&interfaces.borrow_and_update().clone());
                }
                from = announced => match from {
                    Ok(gateway) => self.announced(gateway),
                    Err(_) => {
                        stop.run_until_cancelled(sleep(ERROR_PAUSE)).await;
                    }
                },
            }
        }
        for (_, task) in self.running.drain() {
            // Each gives its mappings back in a bounded time.
            let _ = task.task.await;
        }
    }

    /// Begins with new routers, ends with those that are gone.
    fn follow(&mut self, interfaces: &Interfaces) {
        let routers = routers(interfaces);
        self.running.retain(|place, _| routers.contains(place));
        for place in routers {
            let announced = Arc::new(Notify::new());
            let router = Router {
                place,
                port: self.port,
                protocols: self.protocols.clone(),
                table: self.table.clone(),
                announced: announced.clone(),
                metrics: self.metrics.clone(),
                stop: self.stop.clone(),
            };
            self.running.entry(place).or_insert_with(|| Task {
                announced,
                task: AbortOnDropHandle::new(tokio::spawn(router.run())),
            });
        }
    }

    fn announced(&self, gateway: Ipv4Addr) {
        for (_, task) in self.running.iter().filter(|(place, _)| place.gateway == gateway) {
            task.announced.notify_one();
        }
    }
}

/// The default routers of IPv4, best first, each with this device's address on its link.
pub(super) fn routers(interfaces: &Interfaces) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for gateway in &interfaces.gateways {
        let IpAddr::V4(address) = gateway.address else { continue };
        let own = interfaces.addresses.iter().filter(|own| own.index == gateway.index && !own.deprecated);
        let local = own.filter_map(|own| match own.ip {
            IpAddr::V4(ip) if !ip.is_link_local() => Some(ip),
            _ => None,
        });
        for local in local.take(1) {
            let place = Place { gateway: address, local };
            if !places.iter().any(|other| other.local == local) {
                places.push(place);
            }
        }
    }
    places.truncate(MAX_ROUTERS);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::interfaces::{Gateway, InterfaceAddress};

    fn address(ip: &str, index: u32) -> InterfaceAddress {
        let ip = ip.parse().expect("an address");
        InterfaceAddress { ip, interface: format!("eth{index}"), index, temporary: false, deprecated: false }
    }

    fn gateway(address: &str, index: u32, metric: u32) -> Gateway {
        Gateway { address: address.parse().expect("an address"), index, metric }
    }

    #[test]
    fn each_ipv4_router_is_asked_from_the_address_on_its_link() {
        let interfaces = Interfaces {
            addresses: vec![
                address("192.168.1.2", 2),
                address("192.168.1.3", 2),
                address("169.254.1.1", 3),
                address("10.0.0.2", 3),
                address("2001:db8::2", 3),
            ],
            gateways: vec![
                gateway("192.168.1.1", 2, 100),
                gateway("fe80::1", 3, 100),
                gateway("10.0.0.1", 3, 200),
                gateway("192.168.1.254", 2, 300),
                gateway("172.16.0.1", 9, 400),
            ],
        };
        let place = |gateway: &str, local: &str| Place {
            gateway: gateway.parse().expect("an address"),
            local: local.parse().expect("an address"),
        };
        let expected = [place("192.168.1.1", "192.168.1.2"), place("10.0.0.1", "10.0.0.2")];
        assert_eq!(routers(&interfaces), expected);
        assert_eq!(routers(&Interfaces::default()), []);
    }
}
