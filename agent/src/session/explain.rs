//! Tells how a session's path turned out: to the log, the counters, the viewer and its hub.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{
    driver::Session,
    end::End,
    trickle::Trickle,
    verdict::{Checks, Ends, Evidence, Verdict},
};
use crate::{
    signaling::message::{Body, WireNotice, notice},
    transport::demux::{Packet, classify},
};

/// A session without a path is judged after so long: a dead DNS server has cost 2 s by then and a dead STUN server 5 s, and
/// browsers give up after some 15 s, with fewer words.
const FORECAST: Duration = Duration::from_secs(8);

/// What is remembered for the verdict.
#[derive(Debug, Default)]
pub(super) struct Story {
    checks: Checks,
    /// From `connect` to connected.
    took: Option<Duration>,
    told: Option<Verdict>,
}

impl Story {
    /// A datagram came in before there was a path; `chosen`: the viewer has chosen a pair of candidates. That checks
    /// were answered says less: a NAT may have sent the answer on from another port, and it is void.
    pub fn heard(&mut self, datagram: &[u8], chosen: bool) {
        self.checks.arrived |= matches!(classify(datagram), Packet::StunRequest { .. });
        self.checks.chosen |= chosen;
    }

    /// When a session of `started` that has no path is to be judged, if that is to come.
    pub fn due(&self, started: Instant) -> Option<Instant> {
        (self.told.is_none() && self.took.is_none()).then(|| started + FORECAST)
    }
}

impl Session {
    /// There is a path, or another one. `since`: from `connect` to now.
    pub(super) fn tell_path(&self, story: &mut Story, ends: Ends, trickle: &Trickle, since: Duration) {
        let took = *story.took.get_or_insert(since);
        let verdict = Verdict::connected(ends, trickle.local(), took);
        if story.told.as_ref() == Some(&verdict) {
            return;
        }
        let code = match verdict {
            Verdict::Relayed { .. } => notice::PATH_RELAYED,
            _ => notice::PATH_DIRECT,
        };
        info!("path: {verdict}");
        self.notify(code, &verdict);
        self.count(story, verdict);
    }

    /// It takes long: says what will be the verdict if nothing changes.
    pub(super) fn forecast(&self, story: &mut Story, trickle: &Trickle) {
        let verdict = self.without_path(story, trickle);
        warn!("after {} s: {verdict}", FORECAST.as_secs());
        self.notify(notice::PATH_NONE, &verdict);
        story.told = Some(verdict);
    }

    /// Over. The verdict, if there never was a path.
    pub(super) fn tell_missing_path(
        &self,
        story: &mut Story,
        trickle: &Trickle,
        end: &End,
        after: Duration,
    ) -> Option<String> {
        if story.took.is_some() {
            return None;
        }
        let had_time = *end == End::NoPath || after >= FORECAST;
        let verdict = match end {
            End::OfferRefused(_) | End::LinkGone | End::Shutdown => None,
            _ if had_time => Some(self.without_path(story, trickle)),
            _ => None,
        };
        let verdict = verdict.unwrap_or_else(|| Verdict::Undecided { after, end: end.to_string() });
        let words = verdict.to_string();
        match verdict.is_bad() {
            true if story.told.as_ref() == Some(&verdict) => {}
            true => warn!("{words}"),
            false => info!("path {words}"),
        }
        self.count(story, verdict);
        Some(words)
    }

    fn without_path(&self, story: &Story, trickle: &Trickle) -> Verdict {
        let servers = self.endpoint.outcomes();
        Verdict::without_path(&Evidence {
            local: trickle.local(),
            direct: self.endpoint.is_direct(),
            asked: self.endpoint.servers_asked(),
            servers: &servers,
            viewer: &trickle.viewer,
            checks: story.checks,
        })
    }

    fn notify(&self, code: &str, verdict: &Verdict) {
        self.send(Body::Notice(WireNotice { code: code.into(), message: verdict.to_string() }));
    }

    fn count(&self, story: &mut Story, verdict: Verdict) {
        self.shared.metrics.verdicts.get_or_create(&verdict.label()).inc();
        story.told = Some(verdict);
    }
}
