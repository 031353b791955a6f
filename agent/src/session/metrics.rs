//! What the sessions count.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{send::Counts, verdict::VerdictLabel};

/// Why a session ended, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndLabel {
    /// One of the words of `End::label`.
    pub reason: &'static str,
}

/// Counters of all sessions together.
#[derive(Clone)]
pub struct SessionMetrics {
    /// Sessions open now.
    pub open: Gauge,
    /// Sessions whose path is up now.
    pub connected: Gauge,
    /// Sessions ended, by reason.
    pub ended: Family<EndLabel, Counter>,
    /// Offers refused.
    pub offers_refused: Counter,
    /// Offer in to answer out, seconds.
    pub answer: Histogram,
    /// `connect` to a working path, seconds.
    pub path: Histogram,
    /// ICE restarts that viewers were asked for.
    pub restarts_asked: Counter,
    /// ICE restarts that were answered.
    pub restarts: Counter,
    /// How the paths turned out; a session counts again when its path moves.
    pub verdicts: Family<VerdictLabel, Counter>,
    /// PLI and FIR from viewers.
    pub keyframe_requests: Counter,
    /// Last REMB of any viewer, bits a second.
    pub remb: Gauge,
    /// Messages that the link had no room for.
    pub messages_dropped: Counter,
    /// Media packets sent, of all kinds.
    pub packets: Counter,
    /// Media packets sent again.
    pub retransmitted: Counter,
    /// Media packets asked for again in vain.
    pub nacks_refused: Counter,
    /// Repair packets sent.
    pub repairs: Counter,
    /// Bytes of probes.
    pub probe_bytes: Counter,
    /// Pictures that slow viewers lost.
    pub pictures_late: Counter,
}

impl SessionMetrics {
    /// Adds them to `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let all = Self {
            open: Gauge::default(),
            connected: Gauge::default(),
            ended: Family::default(),
            offers_refused: Counter::default(),
            // 0.5 ms to 1 s: the promise is 20 ms.
            answer: Histogram::new(exponential_buckets(0.0005, 2.0, 12)),
            // 10 ms to 40 s: from a LAN to the time-out.
            path: Histogram::new(exponential_buckets(0.01, 2.0, 13)),
            restarts_asked: Counter::default(),
            restarts: Counter::default(),
            verdicts: Family::default(),
            keyframe_requests: Counter::default(),
            remb: Gauge::default(),
            messages_dropped: Counter::default(),
            packets: Counter::default(),
            retransmitted: Counter::default(),
            nacks_refused: Counter::default(),
            repairs: Counter::default(),
            probe_bytes: Counter::default(),
            pictures_late: Counter::default(),
        };
        registry.register("sessions_open", "Viewer sessions open now", all.open.clone());
        registry.register(
            "sessions_connected",
            "Viewer sessions with a working path now",
            all.connected.clone(),
        );
        registry.register("sessions_ended", "Viewer sessions ended, by reason", all.ended.clone());
        registry.register("offers_refused", "Offers answered with an error", all.offers_refused.clone());
        registry.register_with_unit("answer", "Offer in to answer out", Unit::Seconds, all.answer.clone());
        registry.register_with_unit("path", "Connect to a working path", Unit::Seconds, all.path.clone());
        let asked = all.restarts_asked.clone();
        registry.register("ice_restarts_asked", "ICE restarts that viewers were asked for", asked);
        registry.register("ice_restarts", "ICE restarts of viewers that were answered", all.restarts.clone());
        registry.register("verdicts", "How viewers' paths turned out, by kind", all.verdicts.clone());
        let requests = all.keyframe_requests.clone();
        registry.register("viewer_keyframe_requests", "PLI and FIR from viewers", requests);
        registry.register("viewer_remb_bps", "Last REMB of any viewer", all.remb.clone());
        let dropped = all.messages_dropped.clone();
        registry.register("signaling_messages_dropped", "Messages that the link had no room for", dropped);
        registry.register("media_packets", "Media packets sent, of all kinds", all.packets.clone());
        let again = all.retransmitted.clone();
        registry.register(
            "media_packets_retransmitted",
            "Media packets sent again, as viewers missed them",
            again,
        );
        let refused = all.nacks_refused.clone();
        registry.register(
            "media_nacks_refused",
            "Media packets that were missed and not sent again",
            refused,
        );
        registry.register("media_repairs", "Repair packets sent", all.repairs.clone());
        let probes = all.probe_bytes.clone();
        registry.register_with_unit(
            "media_probe",
            "Sent to learn what paths carry, media included",
            Unit::Bytes,
            probes,
        );
        let late = all.pictures_late.clone();
        registry.register(
            "pictures_late",
            "Pictures that slow viewers lost, up to their next key frame",
            late,
        );
        all
    }

    /// Adds what a session's media counted; pictures that were lost besides.
    pub(super) fn flow(&self, (counts, late): (Counts, u64)) {
        for (counter, count) in [
            (&self.packets, counts.packets),
            (&self.retransmitted, counts.retransmitted),
            (&self.nacks_refused, counts.nacks_refused),
            (&self.repairs, counts.repairs),
            (&self.probe_bytes, counts.probe_bytes),
            (&self.pictures_late, late),
        ] {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }
}
