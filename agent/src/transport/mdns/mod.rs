//! Multicast DNS (RFC 6762) for candidates whose addresses are hidden (draft-ietf-mmusic-mdns-ice-candidates-03): viewers'
//! names are looked up on the links that the device is on, and names of the device's own addresses are answered for.
//!
//! All of it is one task with sockets of its own, which are open only while a session needs them. They share port 5353 with
//! avahi, systemd-resolved or a browser on the same device.
//!
//! Not here: services (DNS-SD), names that people choose, and a cache beyond a session's.

mod disguise;
pub mod message;
mod name;
mod querier;
mod responder;
mod sockets;

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use tokio::{sync::Notify, time::sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

pub(super) use self::disguise::Disguise;
pub use self::name::{HiddenName, NotHidden};
use self::{
    message::{MAX_MESSAGE, Message},
    querier::Querier,
    responder::{Link, Responder},
    sockets::Sockets,
};
use super::interfaces::InterfaceChanges;
use crate::telemetry::metrics::Metrics;

/// The port that answers come from (RFC 6762 section 6).
const PORT: u16 = 5353;
/// Without anything due the task looks around this often.
const IDLE_TICK: Duration = Duration::from_secs(60);

/// What is counted.
#[derive(Clone, Debug, Default)]
struct Counts {
    lookups: Family<[(&'static str, &'static str); 1], Counter>,
    names: Gauge,
}

#[derive(Default)]
struct Core {
    querier: Querier,
    responder: Responder,
    /// While there is something to do.
    sockets: Option<Arc<Sockets>>,
}

#[derive(Default)]
struct Shared {
    core: Mutex<Core>,
    wake: Notify,
    counts: Counts,
}

/// See the module. Cheap to clone; ends with its last clone.
#[derive(Clone)]
pub struct Mdns {
    shared: Arc<Shared>,
    interfaces: InterfaceChanges,
    hide: bool,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// A name that is answered for until this is dropped.
pub(super) struct Published {
    name: HiddenName,
    shared: Arc<Shared>,
}

impl Mdns {
    /// Ready to be used; no socket is open yet. `hide`: the device's own addresses are to be hidden. Within a tokio
    /// runtime.
    pub(super) fn start(interfaces: InterfaceChanges, hide: bool, metrics: &Metrics) -> Self {
        let counts = metrics.register(|registry| {
            let counts = Counts::default();
            let registry = registry.sub_registry_with_prefix("transport");
            let lookups = counts.lookups.clone();
            registry.register("mdns_lookups", "Lookups of viewers' hidden addresses, by result", lookups);
            registry.register("mdns_names", "Names that hide addresses of this device", counts.names.clone());
            counts
        });
        let shared = Arc::new(Shared { counts, ..Shared::default() });
        let task = tokio::spawn(run(shared.clone(), interfaces.clone()));
        Self { shared, interfaces, hide, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// Whether the device's own addresses are to be hidden.
    pub(super) fn hides(&self) -> bool {
        self.hide
    }

    /// The address behind a viewer's name, if somebody on one of the device's links answers for it within 11 s. Begins at
    /// once; dropping the future ends it.
    pub fn resolve(&self, name: HiddenName) -> impl Future<Output = Option<IpAddr>> + Send + use<> {
        let shared = self.shared.clone();
        let asked = shared.core().querier.ask(name, Instant::now());
        shared.wake.notify_one();
        async move {
            let address = match asked {
                Some(answer) => answer.await.ok(),
                None => None,
            };
            let result = if address.is_some() { "found" } else { "not_found" };
            shared.counts.lookups.get_or_create(&[("result", result)]).inc();
            match address {
                Some(address) => debug!("{name} is {address}"),
                None => debug!("{name} was not found on this network: it is left to the viewer's own checks"),
            }
            address
        }
    }

    /// Answers for a new random name of one of the device's own addresses. `None`: there are too many names, or the
    /// address is gone.
    pub(super) fn publish(&self, address: IpAddr) -> Option<Published> {
        let index = self.interfaces.borrow().addresses.iter().find(|a| a.ip == address)?.index;
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let name = HiddenName::of(random);
        if !self.shared.core().responder.publish(name, address, index) {
            return None;
        }
        self.shared.counts.names.inc();
        self.shared.wake.notify_one();
        Some(Published { name, shared: self.shared.clone() })
    }
}

impl Published {
    /// The name.
    pub fn name(&self) -> HiddenName {
        self.name
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let mut core = self.shared.core();
        core.responder.withdraw(self.name);
        core.say_farewell();
        drop(core);
        self.shared.counts.names.dec();
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn is_idle(&self) -> bool {
        self.querier.is_idle() && self.responder.is_idle()
    }

    /// At once, as the agent may be about to end.
    fn say_farewell(&mut self) {
        for (index, message) in self.responder.farewells() {
            if let Some(sockets) = &self.sockets {
                sockets.tell(Some(index), &message);
            }
        }
    }

    /// Sends what is due; when to come again.
    fn tick(&mut self, now: Instant) -> Instant {
        for question in self.querier.poll(now) {
            if let Some(sockets) = &self.sockets {
                sockets.tell(None, &question);
            }
        }
        self.querier.due().unwrap_or(now + IDLE_TICK)
    }

    fn handle(&mut self, now: Instant, link: Link, from: SocketAddr, datagram: &[u8]) {
        match message::parse(datagram) {
            Some(Message::Query { id, questions, known }) => {
                let answers = self.responder.handle(now, link, from, (id, &questions, &known));
                for (to, answer) in answers {
                    if let Some(sockets) = &self.sockets {
                        sockets.send(link, to, &answer);
                    }
                }
            }
            // RFC 6762 section 6: all others were not sent by a responder.
            Some(Message::Response(records)) if from.port() == PORT => self.querier.heard(&records),
            _ => {}
        }
    }
}

/// Runs until it is aborted.
async fn run(shared: Arc<Shared>, mut changes: InterfaceChanges) {
    let mut buffer = vec![0; MAX_MESSAGE];
    let (mut turn, mut told) = (0, false);
    loop {
        while shared.core().is_idle() {
            shared.wake.notified().await;
        }
        let interfaces = changes.borrow_and_update().clone();
        let sockets = Sockets::open(&interfaces).await.unwrap_or_else(|error| {
            if !std::mem::replace(&mut told, true) {
                warn!(
                    "viewers' hidden addresses are not looked up, and this device's own not answered for: UDP port 5353 \
                     cannot be shared ({error}); does avahi-daemon.conf have disallow-other-stacks=yes?"
                );
            }
            Sockets::default()
        });
        let sockets = Arc::new(sockets);
        shared.core().sockets = Some(sockets.clone());
        // Until nobody needs it any more, or there are other links.
        loop {
            let due = {
                let mut core = shared.core();
                let due = core.tick(Instant::now());
                if core.is_idle() {
                    break;
                }
                due
            };
            tokio::select! {
                () = shared.wake.notified() => {}
                () = sleep_until(due.into()) => {}
                // Without netlink nothing is told of changes: then the links are those of the start.
                Ok(()) = changes.changed() => break,
                (link, from, length) = sockets.receive(&mut turn, &mut buffer) => {
                    if let Some(datagram) = buffer.get(..length) {
                        shared.core().handle(Instant::now(), link, from, datagram);
                    }
                }
            }
        }
        shared.core().sockets = None;
    }
}

#[cfg(test)]
#[path = "lan_tests.rs"]
mod lan_tests;
