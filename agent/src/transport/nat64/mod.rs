//! NAT64: how a device in a network with IPv6 alone reaches what has IPv4 alone.
//!
//! The prefix is asked for in the background, as RFC 7050 section 3 says, whenever the network is another one and has no
//! IPv4. Viewers' IPv4 addresses, and those of STUN and TURN servers, get an IPv6 twin made with it (RFC 6052).
//!
//! Not here: PREF64 of router advertisements (RFC 8781), which the kernel does not pass on, and 464XLAT, which is the
//! system's.

mod discovery;
mod prefix;

use std::{
    future::{Future, pending},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{net::lookup_host, sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

pub use self::{
    discovery::{MAX_PREFIXES, prefixes},
    prefix::{LENGTHS, Prefix},
};
use super::interfaces::InterfaceChanges;
use crate::telemetry::metrics::Metrics;

/// Time for a DNS answer, as for the names of servers.
const LOOKUP_TIME: Duration = Duration::from_secs(2);
/// After a lookup that failed; doubled each time, up to [`AGAIN`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// After an answer without a prefix: a network may get its NAT64 later.
const AGAIN: Duration = Duration::from_secs(300);
/// A prefix is asked for anew so often: the lookup does not tell how long its answer holds.
const REFRESH: Duration = Duration::from_secs(3600);

/// What is known of the network that the device is in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There is IPv4, or no network at all.
    NotNeeded,
    /// There is IPv6 alone, and the first answer is still to come.
    Asking,
    /// These prefixes, best first; none if there is no NAT64.
    Known(Arc<[Prefix]>),
}

/// See the module. Cheap to clone; ends with its last clone.
#[derive(Clone, Debug)]
pub struct Nat64 {
    state: watch::Receiver<State>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Nat64 {
    /// Starts to watch the interfaces. Within a tokio runtime.
    pub(super) fn start(changes: InterfaceChanges, metrics: &Metrics) -> Self {
        let gauge = metrics.register(|registry| {
            let gauge: Gauge = Gauge::default();
            let registry = registry.sub_registry_with_prefix("transport");
            registry.register("nat64_prefixes", "NAT64 prefixes in use", gauge.clone());
            gauge
        });
        Self::start_with(changes, gauge, || async {
            Ok(lookup_host((discovery::NAME, 0)).await?.map(|address| address.ip()).collect())
        })
    }

    fn start_with<F>(
        changes: InterfaceChanges,
        gauge: Gauge,
        lookup: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        let first = match discovery::needed(&changes.borrow()) {
            true => State::Asking,
            false => State::NotNeeded,
        };
        let (sender, state) = watch::channel(first);
        let task = tokio::spawn(watch_network(changes, sender, gauge, lookup));
        Self { state, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    /// Whether there is, or may be, a NAT64: the device has no IPv4.
    pub fn is_needed(&self) -> bool {
        *self.state.borrow() != State::NotNeeded
    }

    /// The IPv6 twins of an IPv4 address, best first, at most [`MAX_PREFIXES`]. Waits for the first answer after the
    /// network changed, 2 s at most.
    pub async fn twins(&self, address: Ipv4Addr) -> Vec<Ipv6Addr> {
        let mut state = self.state.clone();
        let known = timeout(LOOKUP_TIME, state.wait_for(|state| *state != State::Asking)).await;
        match known.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Known(prefixes))) => {
                let usable = prefixes.iter().filter(|prefix| prefix.may_reach(address));
                usable.map(|prefix| prefix.synthesize(address)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where the first of `servers` that has a twin is reached.
    pub(super) async fn server(&self, servers: &[SocketAddr]) -> Option<SocketAddr> {
        for server in servers {
            if let IpAddr::V4(address) = server.ip()
                && let Some(twin) = self.twins(address).await.first()
            {
                return Some((*twin, server.port()).into());
            }
        }
        None
    }
}

/// Runs until the transport ends.
async fn watch_network<F>(
    mut changes: InterfaceChanges,
    state: watch::Sender<State>,
    gauge: Gauge,
    lookup: impl Fn() -> F,
) where
    F: Future<Output = io::Result<Vec<IpAddr>>>,
{
    let set = |new: State| {
        let count = if let State::Known(prefixes) = &new { prefixes.len() } else { 0 };
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        state.send_replace(new)
    };
    loop {
        let here = changes.borrow_and_update().clone();
        if !discovery::needed(&here) {
            set(State::NotNeeded);
            if changes.changed().await.is_err() {
                return;
            }
            continue;
        }
        let network = discovery::network(&here);
        set(State::Asking);
        let asking = async {
            let mut rhythm = Rhythm::default();
            loop {
                let answer = timeout(LOOKUP_TIME, lookup()).await.ok().and_then(Result::ok);
                let (found, wait) = rhythm.heard(answer.as_deref());
                // After a failure what is known holds, and nobody waits any longer where nothing is.
                if let Some(found) = found.or_else(|| (*state.borrow() == State::Asking).then(Vec::new)) {
                    let found: Arc<[Prefix]> = found.into();
                    tell(&set(State::Known(found.clone())), &found);
                }
                tokio::time::sleep(wait).await;
            }
        };
        let elsewhere = async {
            while changes.changed().await.is_ok() {
                let now = changes.borrow_and_update().clone();
                if !discovery::needed(&now) || discovery::network(&now) != network {
                    return;
                }
            }
            // Without netlink nothing is told of changes: the network is that of the start.
            pending().await
        };
        tokio::select! {
            () = elsewhere => {}
            () = asking => return,
        }
    }
}

/// When the name is asked for again.
struct Rhythm {
    retry: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { retry: FIRST_RETRY }
    }
}

impl Rhythm {
    /// The prefixes in an answer, and when to ask again. `None`: the lookup failed.
    fn heard(&mut self, answer: Option<&[IpAddr]>) -> (Option<Vec<Prefix>>, Duration) {
        let Some(answer) = answer else {
            let wait = self.retry;
            self.retry = (self.retry * 2).min(AGAIN);
            return (None, wait);
        };
        self.retry = FIRST_RETRY;
        let found = prefixes(answer);
        let wait = if found.is_empty() { AGAIN } else { REFRESH };
        (Some(found), wait)
    }
}

/// One line when it becomes known or another.
fn tell(before: &State, now: &[Prefix]) {
    if matches!(before, State::Known(before) if **before == *now) {
        return;
    }
    if now.is_empty() {
        warn!(
            "this device has no IPv4 address, and its network's DNS tells no NAT64 (RFC 7050): what has IPv4 alone is \
             reached only through a TURN server with IPv6"
        );
    } else {
        let words: Vec<_> = now.iter().map(ToString::to_string).collect();
        info!("this device has no IPv4 address; IPv4 is reached through the NAT64 {}", words.join(" and "));
    }
}

#[cfg(test)]
#[path = "nat64_tests.rs"]
mod tests;
