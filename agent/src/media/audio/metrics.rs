//! What sound tells its operator in numbers.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{AudioCodec, CardMetrics, dsp::level::SILENCE_DBOV};

/// The label `codec`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodecLabel {
    codec: &'static str,
}

impl From<AudioCodec> for CodecLabel {
    fn from(codec: AudioCodec) -> Self {
        Self {
            codec: match codec {
                AudioCodec::Opus => "opus",
                AudioCodec::Pcmu => "pcmu",
                AudioCodec::Pcma => "pcma",
            },
        }
    }
}

/// Capture and encoding.
#[derive(Clone, Debug)]
pub struct AudioMetrics {
    /// Blocks of 20 ms taken from the source; the silence that stands in for a broken one does not count.
    pub frames_captured: Counter,
    /// Blocks encoded, by codec: grows at 50 a second however many listen.
    pub frames_encoded: Family<CodecLabel, Counter>,
    /// Encoders that exist now, by codec: 0 or 1.
    pub encoders: Family<CodecLabel, Gauge>,
    /// Subscriptions now.
    pub listeners: Gauge,
    /// Frames thrown away because a listener did not fetch them.
    pub frames_dropped: Counter,
    /// Times that the source was opened again after it had failed.
    pub source_restarts: Counter,
    /// By how many milliseconds the sound differs from the times written on it, as far as the card's clock tells.
    pub sync_error_ms: RealGauge,
    /// The microphone's card.
    pub card: CardMetrics,
}

impl AudioMetrics {
    /// Registers all as `audio_*`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            frames_captured: Counter::default(),
            frames_encoded: Family::default(),
            encoders: Family::default(),
            listeners: Gauge::default(),
            frames_dropped: Counter::default(),
            source_restarts: Counter::default(),
            sync_error_ms: RealGauge::default(),
            card: CardMetrics::register(registry, "audio_source"),
        };
        let r = registry;
        r.register(
            "audio_frames_captured",
            "Blocks of 20 ms taken from the source",
            metrics.frames_captured.clone(),
        );
        r.register("audio_frames_encoded", "Blocks of 20 ms encoded", metrics.frames_encoded.clone());
        r.register("audio_encoders", "Encoders that exist now", metrics.encoders.clone());
        r.register("audio_listeners", "Subscriptions to the sound now", metrics.listeners.clone());
        r.register("audio_frames_dropped", "Frames that slow listeners lost", metrics.frames_dropped.clone());
        r.register("audio_source_restarts", "Reopenings of a failed source", metrics.source_restarts.clone());
        r.register(
            "audio_source_sync_error_ms",
            "Difference between the sound and its capture times",
            metrics.sync_error_ms.clone(),
        );
        metrics
    }
}

/// A gauge of a real number.
pub type RealGauge = Gauge<f64, AtomicU64>;

/// Talk-back.
#[derive(Clone, Debug)]
pub struct TalkMetrics {
    /// Talkers that are open now.
    pub talkers: Gauge,
    /// Talk-back packets taken in.
    pub packets_received: Counter,
    /// Packets that had not come when their time to play was there.
    pub packets_lost: Counter,
    /// Packets that came after their time to play.
    pub packets_late: Counter,
    /// Packets that came twice.
    pub packets_duplicated: Counter,
    /// Packets thrown away: not readable, or more than the buffers hold.
    pub packets_dropped: Counter,
    /// Milliseconds that were made up because nothing was there to play.
    pub concealed_ms: Counter,
    /// How long sound waits in the jitter buffer, of the talker that was mixed last, in milliseconds.
    pub jitter_buffer_delay_ms: RealGauge,
    /// RMS level of the last 100 ms of the mix, -127 (silence) to 0.
    pub level_dbov: RealGauge,
    /// The strongest frequency of the last 200 ms of the mix that were not silent; 0 while nobody talks.
    pub peak_frequency_hz: RealGauge,
    /// Seconds of sound handed to the sink.
    pub seconds_played: Counter<f64, AtomicU64>,
    /// Times that the sink was opened again after it had failed.
    pub sink_restarts: Counter,
    /// The speaker's card.
    pub card: CardMetrics,
}

impl TalkMetrics {
    /// Registers all as `talkback_*`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            talkers: Gauge::default(),
            packets_received: Counter::default(),
            packets_lost: Counter::default(),
            packets_late: Counter::default(),
            packets_duplicated: Counter::default(),
            packets_dropped: Counter::default(),
            concealed_ms: Counter::default(),
            jitter_buffer_delay_ms: RealGauge::default(),
            level_dbov: RealGauge::default(),
            peak_frequency_hz: RealGauge::default(),
            seconds_played: Counter::default(),
            sink_restarts: Counter::default(),
            card: CardMetrics::register(registry, "talkback_sink"),
        };
        metrics.level_dbov.set(SILENCE_DBOV);
        let (r, m) = (registry, &metrics);
        r.register("talkback_talkers", "Open talkers", m.talkers.clone());
        r.register("talkback_packets_received", "Packets from talkers", m.packets_received.clone());
        r.register("talkback_packets_lost", "Packets missing at their time to play", m.packets_lost.clone());
        r.register("talkback_packets_late", "Packets after their time to play", m.packets_late.clone());
        r.register("talkback_packets_duplicated", "Packets that came twice", m.packets_duplicated.clone());
        r.register("talkback_packets_dropped", "Packets unreadable or too many", m.packets_dropped.clone());
        r.register("talkback_concealed_ms", "Milliseconds of made-up sound", m.concealed_ms.clone());
        r.register(
            "talkback_jitter_buffer_delay_ms",
            "Delay in the jitter buffer of the talker mixed last",
            m.jitter_buffer_delay_ms.clone(),
        );
        r.register("talkback_level_dbov", "RMS level of the last 100 ms of the mix", m.level_dbov.clone());
        r.register(
            "talkback_peak_frequency_hz",
            "Strongest frequency of the last 200 ms of the mix that were not silent, 0 while nobody talks",
            m.peak_frequency_hz.clone(),
        );
        r.register(
            "talkback_seconds_played",
            "Seconds of sound handed to the sink",
            m.seconds_played.clone(),
        );
        r.register("talkback_sink_restarts", "Reopenings of a failed sink", m.sink_restarts.clone());
        metrics
    }
}
