//! What the video path counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    Latency, VideoCodec,
    rate::{Rendition, Share, Target},
};

/// Seconds, from what a small picture takes on a PC to what no stream can do.
const ENCODE_BUCKETS: [f64; 9] = [0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.133, 0.266];

impl VideoCodec {
    /// As in metrics and logs: "h264", "vp8".
    pub fn label(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Vp8 => "vp8",
        }
    }
}

/// `codec="h264"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodecLabel {
    codec: &'static str,
}

impl From<VideoCodec> for CodecLabel {
    fn from(codec: VideoCodec) -> Self {
        Self { codec: codec.label() }
    }
}

/// `codec="h264",encoder="openh264"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EncoderLabel {
    codec: &'static str,
    encoder: &'static str,
}

impl EncoderLabel {
    /// The labels of an encoder.
    pub fn new(codec: VideoCodec, encoder: &'static str) -> Self {
        Self { codec: codec.label(), encoder }
    }
}

/// `encoder="v4l2-m2m",reason="hung"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RestartLabel {
    /// As [`VideoEncoder::name`](super::VideoEncoder::name) says.
    pub encoder: &'static str,
    /// "hung", "refused", "failed", or "open" if it could not even be opened.
    pub reason: &'static str,
}

/// `codec="h264",rendition="sub"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RenditionLabel {
    codec: &'static str,
    rendition: &'static str,
}

impl RenditionLabel {
    /// The labels of a rendition.
    pub fn new(codec: VideoCodec, rendition: Rendition) -> Self {
        Self { codec: codec.label(), rendition: rendition.label() }
    }
}

/// `codec="h264",rendition="sub",share="thinned"`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SeatLabel {
    codec: &'static str,
    rendition: &'static str,
    share: &'static str,
}

impl SeatLabel {
    /// The labels of what viewers get.
    pub fn new(codec: VideoCodec, rendition: Rendition, share: Share) -> Self {
        Self { codec: codec.label(), rendition: rendition.label(), share: share.label() }
    }
}

/// What the policy decided, see `docs/adaptation.md`.
#[derive(Clone, Debug, Default)]
pub struct RateMetrics {
    /// Bits a second that an encoder aims at; 0 without viewers.
    pub bitrate: Family<RenditionLabel, Gauge>,
    /// Pictures a second of a rendition.
    pub fps: Family<RenditionLabel, Gauge>,
    /// Width of a rendition's pictures.
    pub width: Family<RenditionLabel, Gauge>,
    /// Height of a rendition's pictures.
    pub height: Family<RenditionLabel, Gauge>,
    /// Times that size or frame rate of a rendition changed.
    pub steps: Family<RenditionLabel, Counter>,
    /// Viewers by what they get.
    pub seats: Family<SeatLabel, Gauge>,
    /// Times that a viewer got something else than before.
    pub moves: Family<CodecLabel, Counter>,
    /// Viewers whose paths do not even carry key frames.
    pub starved: Family<CodecLabel, Gauge>,
    /// Pictures that viewers did not get because their paths are slow.
    pub thinned: Family<CodecLabel, Counter>,
}

impl RateMetrics {
    fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("video_rendition_bitrate_bps", "Rate that an encoder aims at", m.bitrate.clone());
        registry.register("video_rendition_fps", "Pictures a second of a rendition", m.fps.clone());
        registry.register("video_rendition_width", "Width of a rendition's pictures", m.width.clone());
        registry.register("video_rendition_height", "Height of a rendition's pictures", m.height.clone());
        registry.register(
            "video_rendition_steps",
            "Times that size or frame rate of a rendition changed",
            m.steps.clone(),
        );
        registry.register("video_rendition_viewers", "Viewers by what they get", m.seats.clone());
        registry.register(
            "video_viewer_moves",
            "Times that a viewer got another rendition, or more or fewer of its pictures",
            m.moves.clone(),
        );
        registry.register(
            "video_viewers_starved",
            "Viewers whose paths do not even carry key frames",
            m.starved.clone(),
        );
        registry.register(
            "video_frames_thinned",
            "Pictures that viewers with slow paths did not get",
            m.thinned.clone(),
        );
        m
    }

    /// A rendition's target; `None` if nobody watches it.
    pub fn tell(&self, codec: VideoCodec, rendition: Rendition, target: Option<Target>) {
        let label = RenditionLabel::new(codec, rendition);
        let figures = target.map_or([0; 4], |Target { bitrate, shape, .. }| {
            [bitrate.0, shape.fps, shape.width, shape.height].map(i64::from)
        });
        for (family, figure) in [&self.bitrate, &self.fps, &self.width, &self.height].into_iter().zip(figures)
        {
            family.get_or_create(&label).set(figure);
        }
    }
}

/// Counters of the video path, shared by all its threads.
#[derive(Clone, Debug)]
pub struct VideoMetrics {
    /// Pictures that the source gave.
    pub captured: Counter,
    /// Pictures that an encoder made.
    pub encoded: Family<CodecLabel, Counter>,
    /// Key frames sent to viewers, forced or not, encoded or passed through.
    pub keyframes: Family<CodecLabel, Counter>,
    /// Key frames that viewers asked for, by joining too.
    pub keyframe_requests: Family<CodecLabel, Counter>,
    /// Encoders that are open now.
    pub encoders: Family<EncoderLabel, Gauge>,
    /// Times that an encoder was closed because it failed, or could not be opened.
    pub encoder_restarts: Family<RestartLabel, Counter>,
    /// Pictures that an encoder refused, and went on.
    pub refused: Family<EncoderLabel, Counter>,
    /// Seconds that one picture took to encode.
    pub encode_seconds: Family<CodecLabel, Histogram>,
    /// Times that the CPU copied or converted a picture between the device that took it and the encoder: none for a
    /// camera whose buffers a hardware encoder reads.
    pub copies: Family<CodecLabel, Counter>,
    /// How long pictures take from stage to stage.
    pub latency: Latency,
    /// Viewers now.
    pub viewers: Family<CodecLabel, Gauge>,
    /// Pictures that slow viewers lost.
    pub dropped_slow: Family<CodecLabel, Counter>,
    /// Pictures that were not encoded, because the encoder was still busy.
    pub dropped_busy: Family<CodecLabel, Counter>,
    /// Times that the source came back after a failure.
    pub source_restarts: Counter,
    /// What the policy decided.
    pub rate: RateMetrics,
}

impl VideoMetrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            captured: Counter::default(),
            encoded: Family::default(),
            keyframes: Family::default(),
            keyframe_requests: Family::default(),
            encoders: Family::default(),
            encoder_restarts: Family::default(),
            refused: Family::default(),
            encode_seconds: Family::new_with_constructor(|| Histogram::new(ENCODE_BUCKETS)),
            copies: Family::default(),
            latency: Latency::register(registry),
            viewers: Family::default(),
            dropped_slow: Family::default(),
            dropped_busy: Family::default(),
            source_restarts: Counter::default(),
            rate: RateMetrics::register(registry),
        };
        let m = &metrics;
        registry.register("video_frames_captured", "Pictures that the source gave", m.captured.clone());
        registry.register("video_frames_encoded", "Pictures that an encoder made", m.encoded.clone());
        registry.register("video_keyframes", "Key frames, encoded or passed through", m.keyframes.clone());
        registry.register(
            "video_keyframe_requests",
            "Key frames that viewers asked for",
            m.keyframe_requests.clone(),
        );
        registry.register("video_encoders", "Encoders that are open now", m.encoders.clone());
        registry.register(
            "video_encoder_restarts",
            "Times that an encoder failed and was opened anew, or could not be opened",
            m.encoder_restarts.clone(),
        );
        registry.register("video_frames_refused", "Pictures that an encoder refused", m.refused.clone());
        registry.register(
            "video_encode_seconds",
            "Time that one picture took to encode",
            m.encode_seconds.clone(),
        );
        registry.register(
            "video_frame_copies",
            "Times that the CPU copied a picture between capture and encoder",
            m.copies.clone(),
        );
        registry.register("video_viewers", "Viewers now", m.viewers.clone());
        registry.register(
            "video_frames_dropped_slow_viewer",
            "Pictures that slow viewers lost",
            m.dropped_slow.clone(),
        );
        registry.register(
            "video_frames_dropped_busy_encoder",
            "Pictures left out because the encoder was busy",
            m.dropped_busy.clone(),
        );
        registry.register(
            "video_source_restarts",
            "Times that the source came back after a failure",
            m.source_restarts.clone(),
        );
        metrics
    }
}
