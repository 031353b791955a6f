//! How long pictures take from stage to stage on their way to the viewers: histograms since the start, and exact
//! quantiles of the last seconds.
//!
//! The first two stages count once a picture and codec, those behind them once a viewer. Pictures that are shown again
//! (to a viewer who comes, or a still while there is no signal) have no way to measure, and are left out.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::AccessUnit;

/// What the quantiles look back on.
const WINDOW: Duration = Duration::from_secs(10);

/// Most pictures of a stage that are looked back on, 8 bytes each: 10 s at 30 fps for six viewers. With more viewers the
/// quantiles are of fewer seconds.
const RECENT: usize = 2048;

/// Driver stamps come from another reading of the clock, so a picture may seem to be from the future by this much. One
/// that is from further ahead has been given a new time, to be shown again.
const CLOCK_SLACK: Duration = Duration::from_millis(1);

/// A part of the way.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// From the driver's stamp until the agent had the picture.
    CapturedToDequeued,
    /// Until the encoder was done with it, waiting for the encoder included.
    DequeuedToEncoded,
    /// Until its packets were made, a viewer's queue included.
    EncodedToPacketized,
    /// Until its packets were encrypted and given to the kernel (or to the connection to a TURN server).
    PacketizedToSent,
    /// The whole way.
    CapturedToSent,
}

/// All stages, in the order of the way.
const STAGES: [Stage; 5] = [
    Stage::CapturedToDequeued,
    Stage::DequeuedToEncoded,
    Stage::EncodedToPacketized,
    Stage::PacketizedToSent,
    Stage::CapturedToSent,
];

impl Stage {
    fn label(self) -> &'static str {
        match self {
            Self::CapturedToDequeued => "captured_to_dequeued",
            Self::DequeuedToEncoded => "dequeued_to_encoded",
            Self::EncodedToPacketized => "encoded_to_packetized",
            Self::PacketizedToSent => "packetized_to_sent",
            Self::CapturedToSent => "captured_to_sent",
        }
    }
}

/// `stage="captured_to_dequeued"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// `stage="captured_to_dequeued",quantile="0.95"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabel {
    stage: &'static str,
    quantile: &'static str,
}

/// The trace of all pictures; cheap to clone.
#[derive(Clone, Debug)]
pub struct Latency {
    histograms: [Histogram; STAGES.len()],
    recent: Arc<Mutex<[Recent; STAGES.len()]>>,
}

/// The times of the last pictures through one stage, and when that was.
#[derive(Debug)]
struct Recent(VecDeque<(Instant, f32)>);

/// What 50 % and 95 % of the times do not exceed, and the longest, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantiles {
    p50: f32,
    p95: f32,
    max: f32,
}

impl Recent {
    fn push(&mut self, now: Instant, seconds: f32) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back((now, seconds));
    }

    /// `None`: no picture came within the window.
    fn quantiles(&self, now: Instant) -> Option<Quantiles> {
        let fresh = |at: &Instant| now.saturating_duration_since(*at) <= WINDOW;
        let mut times: Vec<f32> = self.0.iter().filter(|(at, _)| fresh(at)).map(|(_, time)| *time).collect();
        times.sort_unstable_by(f32::total_cmp);
        let last = times.len().checked_sub(1)?;
        // The nearest rank: a time that has been measured.
        let rank = |quantile: f64| times[(((last + 1) as f64 * quantile).ceil() as usize).saturating_sub(1)];
        Some(Quantiles { p50: rank(0.5), p95: rank(0.95), max: times[last] })
    }
}

impl Latency {
    /// Registers `video_stage_seconds` and `video_stage_recent_seconds`.
    pub fn register(registry: &mut Registry) -> Self {
        // 0.1 ms to 0.8 s: from handing a picture on to what no viewer takes for live.
        let family: Family<StageLabel, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0001, 2.0, 14)));
        let histograms =
            STAGES.map(|stage| Histogram::clone(&family.get_or_create(&StageLabel { stage: stage.label() })));
        let words = "Time of pictures in each stage on their way to viewers";
        registry.register_with_unit("video_stage", words, Unit::Seconds, family);
        let recent = Arc::new(Mutex::new(STAGES.map(|_| Recent(VecDeque::with_capacity(RECENT)))));
        let latency = Self { histograms, recent };
        registry.register_collector(Box::new(RecentStages(latency.clone())));
        latency
    }

    /// A picture is encoded, or came so.
    pub fn encoded(&self, unit: &AccessUnit) {
        if was_shown_before(unit) {
            return;
        }
        self.observe(
            unit.encoded,
            &[
                (Stage::CapturedToDequeued, unit.captured, unit.dequeued),
                (Stage::DequeuedToEncoded, unit.dequeued, unit.encoded),
            ],
        );
    }

    /// A picture was sent to one viewer.
    pub fn sent(&self, unit: &AccessUnit, packetized: Instant, sent: Instant) {
        if was_shown_before(unit) {
            return;
        }
        self.observe(
            sent,
            &[
                (Stage::EncodedToPacketized, unit.encoded, packetized),
                (Stage::PacketizedToSent, packetized, sent),
                (Stage::CapturedToSent, unit.captured, sent),
            ],
        );
    }

    fn observe(&self, now: Instant, times: &[(Stage, Instant, Instant)]) {
        let mut recent = self.lock();
        for &(stage, from, to) in times {
            let time = to.saturating_duration_since(from);
            self.histograms[stage as usize].observe(time.as_secs_f64());
            recent[stage as usize].push(now, time.as_secs_f32());
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Recent; STAGES.len()]> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn was_shown_before(unit: &AccessUnit) -> bool {
    unit.captured.saturating_duration_since(unit.dequeued) > CLOCK_SLACK
}

/// Works the quantiles out when they are asked for.
#[derive(Debug)]
struct RecentStages(Latency);

impl Collector for RecentStages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = Instant::now();
        let found = STAGES.map(|stage| self.0.lock()[stage as usize].quantiles(now));
        let words = "Time of the last 10 s' pictures in each stage; quantile 1 is the longest";
        let mut family = encoder.encode_descriptor(
            "video_stage_recent",
            words,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (stage, quantiles) in STAGES.into_iter().zip(found) {
            let Some(Quantiles { p50, p95, max }) = quantiles else { continue };
            for (quantile, seconds) in [("0.5", p50), ("0.95", p95), ("1", max)] {
                let label = QuantileLabel { stage: stage.label(), quantile };
                ConstGauge::new(f64::from(seconds)).encode(family.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{media::video::VideoCodec, telemetry::metrics::Metrics};

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Captured at `start`, dequeued 2 ms and encoded 10 ms later.
    fn unit(start: Instant) -> AccessUnit {
        let stamps = (start, start + ms(2));
        let unit = AccessUnit::passed(VideoCodec::H264, vec![1].into(), true, (2, 2), stamps);
        AccessUnit { encoded: start + ms(10), ..unit }
    }

    fn value(text: &str, name: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn every_stage_of_a_picture_is_a_histogram_and_recent_quantiles() {
        let metrics = Metrics::new();
        let latency = metrics.register(Latency::register);
        let start = Instant::now();
        latency.encoded(&unit(start));
        latency.sent(&unit(start), start + ms(11), start + ms(15));
        let text = metrics.encode();
        let stages = [
            ("captured_to_dequeued", 0.002),
            ("dequeued_to_encoded", 0.008),
            ("encoded_to_packetized", 0.001),
            ("packetized_to_sent", 0.004),
            ("captured_to_sent", 0.015),
        ];
        for (stage, seconds) in stages {
            let sum = value(&text, &format!("p2pcam_video_stage_seconds_sum{{stage=\"{stage}\"}}")).unwrap();
            assert!((sum - seconds).abs() < 1e-6, "{stage}: {sum}");
            for quantile in ["0.5", "0.95", "1"] {
                let name =
                    format!("p2pcam_video_stage_recent_seconds{{stage=\"{stage}\",quantile=\"{quantile}\"}}");
                let time = value(&text, &name).unwrap_or_else(|| panic!("{name} in {text}"));
                assert!((time - seconds).abs() < 1e-6, "{stage}: {time}");
            }
        }
    }

    #[test]
    fn two_viewers_of_a_picture_count_twice_and_its_encoding_once() {
        let metrics = Metrics::new();
        let latency = metrics.register(Latency::register);
        let start = Instant::now();
        latency.encoded(&unit(start));
        (0..2).for_each(|_| latency.sent(&unit(start), start + ms(11), start + ms(15)));
        let text = metrics.encode();
        let count = |stage| value(&text, &format!("p2pcam_video_stage_seconds_count{{stage=\"{stage}\"}}"));
        assert_eq!(count("dequeued_to_encoded"), Some(1.0));
        assert_eq!(count("captured_to_sent"), Some(2.0));
    }

    #[test]
    fn quantiles_are_of_the_last_ten_seconds() {
        let start = Instant::now();
        let mut recent = Recent(VecDeque::new());
        assert_eq!(recent.quantiles(start), None);
        recent.push(start, 9.0);
        for index in 1..=100_u16 {
            recent.push(start + ms(u64::from(index)), f32::from(index));
        }
        let all = recent.quantiles(start + WINDOW).unwrap();
        assert_eq!(all, Quantiles { p50: 50.0, p95: 95.0, max: 100.0 });
        let late = recent.quantiles(start + WINDOW + ms(90)).unwrap();
        assert_eq!(late, Quantiles { p50: 95.0, p95: 100.0, max: 100.0 });
        assert_eq!(recent.quantiles(start + 2 * WINDOW), None, "old times are no news");
    }

    #[test]
    fn what_is_looked_back_on_is_bounded() {
        let start = Instant::now();
        let mut recent = Recent(VecDeque::new());
        (0..3 * RECENT).for_each(|_| recent.push(start, 0.0));
        assert_eq!(recent.0.len(), RECENT);
    }

    #[test]
    fn a_picture_that_is_shown_again_is_left_out() {
        let metrics = Metrics::new();
        let latency = metrics.register(Latency::register);
        let start = Instant::now();
        let again = AccessUnit { captured: start + ms(500), ..unit(start) };
        latency.encoded(&again);
        latency.sent(&again, start + ms(501), start + ms(502));
        let text = metrics.encode();
        let count = value(&text, "p2pcam_video_stage_seconds_count{stage=\"captured_to_sent\"}");
        assert_eq!(count, Some(0.0));
        assert!(!text.contains("quantile="), "{text}");
    }
}
