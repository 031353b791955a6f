//! One router over time: found, renewed, lost and found again, and told at the end.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Mapping, MappingMetrics,
    client::{Held, Problems, find},
    speak::{Place, jitter},
    types::Problem,
};
use crate::transport::{candidate::Protocol, random_id};

/// A router that restarted without a word is noticed after this time at most. Six requests an hour are nothing.
const RENEW_AT_LATEST: Duration = Duration::from_secs(600);
/// No router makes this device ask it more often than so, whatever lifetimes it grants (RFC 6887 section 11.2.1: 4 s).
const RENEW_AT_SOONEST: Duration = Duration::from_secs(15);
/// Pause after a failed renewal, doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// Pause before a router that speaks nothing is asked again, doubled each time, ...
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// ... up to this. A round is 19 datagrams at most, so they are 40 in an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);
/// Longest wait after a router announced its restart: all its clients hear it at once (RFC 6887 section 14.1.3: 5 s).
const CROWD: Duration = Duration::from_secs(5);
/// Time to delete the mappings at the end: a third of the agent's goodbye is left for what else there is.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// All mappings that are held.
pub(super) type Table = watch::Sender<Arc<[Mapping]>>;

/// What is needed to keep the port open at one router.
pub(super) struct Router {
    pub place: Place,
    /// The shared port.
    pub port: u16,
    /// What to open; the first is what sessions need.
    pub protocols: Arc<[Protocol]>,
    pub table: Arc<Table>,
    /// The router says that it lost its mappings.
    pub announced: Arc<Notify>,
    pub metrics: MappingMetrics,
    pub stop: CancellationToken,
}

impl Router {
    /// Keeps the port open until `stop`; then gives it back.
    pub async fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut told = None;
        while let Some(found) =
            self.stop.run_until_cancelled(find(self.place, self.port, &self.protocols)).await
        {
            match found {
                Ok(held) => {
                    (pause, told) = (FIRST_PAUSE, None);
                    self.hold(held).await;
                }
                Err(problems) => {
                    let (reason, words) = self.words(&problems);
                    self.metrics.failed(reason);
                    // Once, and again only if it is another reason.
                    if told.replace(words.clone()).as_ref() != Some(&words) {
                        info!("{words}");
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(stretched(pause)) => {}
                () = self.announced.notified() => {
                    self.stop.run_until_cancelled(sleep(CROWD.mul_f64(chance()))).await;
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Renews until the router refuses, the mappings end or the agent does.
    async fn hold(&self, mut held: Held) {
        let gauge = self.metrics.held(held.kind);
        let mut shown = Shown { router: self, gauge, count: 0 };
        shown.show(&held);
        let mut end = Instant::now() + held.half_life() * 2;
        let mut retry = FIRST_RETRY;
        let mut next = Instant::now() + renewal(&held);
        // Announcements are not signed: one for each renewal moves it up, or anybody could have the router asked for ever.
        let (mut renewed_at, mut moved_up) = (Instant::now(), false);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    if !timeout(GIVE_BACK, held.give_back()).await.unwrap_or(false) {
                        warn!("router {} did not confirm the end of its mapping; it ends there by itself", self.place.gateway);
                    }
                    return;
                }
                () = sleep(next.saturating_duration_since(Instant::now())) => {}
                () = self.announced.notified(), if !moved_up => {
                    debug!("router {} announces that it restarted or has another address", self.place.gateway);
                    moved_up = true;
                    let soon = Instant::now() + CROWD.mul_f64(chance());
                    next = next.min(soon.max(renewed_at + CROWD));
                    continue;
                }
            }
            let renewed = self.stop.run_until_cancelled(held.renew(&self.protocols)).await;
            let Some(renewed) = renewed else { continue };
            (renewed_at, moved_up) = (Instant::now(), false);
            match renewed {
                Ok(restarted) => {
                    if restarted {
                        info!("router {} restarted since; its mapping is there again", self.place.gateway);
                    }
                    retry = FIRST_RETRY;
                    end = Instant::now() + held.half_life() * 2;
                    next = Instant::now() + renewal(&held);
                    shown.show(&held);
                }
                Err(problem @ (Problem::NoAnswer | Problem::Io(_))) if Instant::now() < end => {
                    if retry == FIRST_RETRY {
                        self.metrics.failed("renewal");
                        warn!(
                            "router {} does not renew its mapping: {problem}; asked again until it ends",
                            self.place.gateway
                        );
                    }
                    next = Instant::now() + stretched(retry);
                    retry = (retry * 2).min(RENEW_AT_LATEST / 2);
                }
                Err(problem) => {
                    self.metrics.failed("renewal");
                    warn!("router {} ended its mapping: {problem}", self.place.gateway);
                    if matches!(problem, Problem::PrivateAddress(_)) {
                        let _ = timeout(GIVE_BACK, held.give_back()).await;
                    }
                    return;
                }
            }
        }
    }

    /// Why there is no mapping, as a label and as a sentence.
    fn words(&self, problems: &Problems) -> (&'static str, String) {
        let gateway = self.place.gateway;
        let said = |wanted: fn(&Problem) -> bool| problems.iter().find(|(_, problem)| wanted(problem));
        if let Some((kind, problem)) = said(|problem| matches!(problem, Problem::PrivateAddress(_))) {
            let words = format!("router {gateway} speaks {}, but {problem}", kind.as_str());
            return ("private_address", words);
        }
        let refusals = problems.iter().filter_map(|(kind, problem)| match problem {
            Problem::Refused { words, .. } => Some(format!("{}: {words}", kind.as_str())),
            _ => None,
        });
        let refusals: Vec<_> = refusals.collect();
        if !refusals.is_empty() {
            return ("refused", format!("router {gateway} opens no port ({})", refusals.join("; ")));
        }
        if let Some((_, problem)) = said(|problem| matches!(problem, Problem::Io(_))) {
            return ("no_answer", format!("router {gateway} opens no port: {problem}"));
        }
        let advice = "switch one of them on there if viewers do not get through";
        ("no_answer", format!("router {gateway} speaks neither PCP nor NAT-PMP nor UPnP: {advice}"))
    }
}

/// The mappings of one router in the table of all, as long as it lives.
struct Shown<'a> {
    router: &'a Router,
    gauge: Gauge,
    count: i64,
}

impl Shown<'_> {
    fn show(&mut self, held: &Held) {
        let place = self.router.place;
        let mappings = held.granted.iter().map(|(protocol, granted)| Mapping {
            protocol: *protocol,
            local: SocketAddr::from((place.local, self.router.port)),
            external: granted.external.into(),
            kind: held.kind,
        });
        let mappings: Vec<_> = mappings.collect();
        let count = i64::try_from(mappings.len()).unwrap_or(i64::MAX);
        self.gauge.inc_by(count - self.count);
        self.count = count;
        if self.set(&mappings) {
            for Mapping { protocol, local, external, kind } in mappings {
                let (kind, protocol) = (kind.as_str(), protocol.as_str());
                info!("router {} holds {protocol} {external} open for {local} ({kind})", place.gateway);
            }
        }
    }

    /// Puts these in the place of the router's former ones; whether that is a change.
    fn set(&self, mappings: &[Mapping]) -> bool {
        let local = IpAddr::V4(self.router.place.local);
        self.router.table.send_if_modified(|table| {
            let others = table.iter().filter(|mapping| mapping.local.ip() != local);
            let all: Arc<[Mapping]> = others.chain(mappings).copied().collect();
            let changed = *table != all;
            *table = all;
            changed
        })
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.set(&[]);
        self.gauge.dec_by(self.count);
    }
}

/// How long until the mappings are to be renewed.
fn renewal(held: &Held) -> Duration {
    stretched(held.half_life().clamp(RENEW_AT_SOONEST, RENEW_AT_LATEST))
}

/// A tenth more or less, so that devices that started together do not ask together.
fn stretched(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + jitter())
}

/// 0 to 1.
fn chance() -> f64 {
    f64::from(random_id()[0]) / 255.0
}
