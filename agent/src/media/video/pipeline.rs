//! The picture as the sessions see it: a handle to subscribe at, and a subscription to take units from.

use std::{fmt, sync::Arc, thread};

use anyhow::Context;

use super::{
    AccessUnit, Bitrate, Latency, SourceInfo, VideoCodec,
    capture::{CAMERA, Capture, Opener},
    channel::ViewerId,
    encoder::{Choice, Lineup, Software},
    metrics::VideoMetrics,
    rate::Bounds,
    shared::{CODECS, Shared},
    source,
    wake::Wake,
};
use crate::{
    board::{
        Board,
        hotplug::{Action, Subscription},
    },
    config::{SubStream, VideoConfig, VideoEncoderSpec, VideoSourceSpec},
    telemetry::{health::Level, metrics::Metrics},
};

/// One source and one encoder per codec for all viewers. Cheap to clone; when the last clone is dropped, all
/// subscriptions end and the threads with them.
#[derive(Clone)]
pub struct VideoPipeline(Arc<Handle>);

/// With the word of devices that come.
struct Handle(Arc<Shared>, #[expect(dead_code, reason = "ends when it is dropped")] Option<Subscription>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl VideoPipeline {
    /// Starts the capture thread, which sleeps until somebody watches.
    ///
    /// No camera is opened while the board's privacy switch is on, not even to look at it. Else a wrong source in the
    /// configuration and a file that cannot be played are errors; a camera that is not there
    /// is none, as it may be plugged in later: viewers see a still that says so.
    pub fn start(config: &VideoConfig, board: &Board, metrics: &Metrics) -> anyhow::Result<Self> {
        let spec = VideoSourceSpec::parse(&config.source)?;
        let choice = Choice::probe(&VideoEncoderSpec::parse(&config.encoder)?);
        let limited = choice.limited(config);
        if let Some((_, words)) = &limited {
            tracing::warn!("{words}");
        }
        let config = limited.as_ref().map_or(config, |(config, _)| config);
        let mut open = source::opener(&spec, config, choice.formats());
        let private = match spec {
            VideoSourceSpec::V4l2(_) | VideoSourceSpec::Auto => board.privacy.closed(),
            // No cameras: what they give can be looked at.
            VideoSourceSpec::Pattern | VideoSourceSpec::BusyPattern | VideoSourceSpec::File(_) => None,
        };
        let &VideoConfig { width, height, fps, .. } = config;
        let unopened = || SourceInfo { name: config.source.clone(), width, height, fps, encoded: None };
        let (info, words) = match private.map_or_else(|| open().map(Some), |_| Ok(None)) {
            Ok(None) => (unopened(), spec.to_string()),
            Ok(Some(opened)) => (opened.source.info().clone(), opened.words),
            Err(error) if matches!(spec, VideoSourceSpec::V4l2(_)) => {
                board.health.set(CAMERA, Level::Failed, format!("{error:#}"));
                tracing::warn!(source = %config.source, "the camera cannot be opened yet: {error:#}");
                (unopened(), spec.to_string())
            }
            Err(error) => return Err(error),
        };
        tracing::info!(source = %words, "video source");
        tracing::info!("{}", choice.line(info.encoded.is_some()));
        Self::with(open, (info, words), config, choice, board, metrics)
    }

    /// Encodes in software, whatever this machine has.
    #[cfg(test)]
    pub(crate) fn with_opener(
        open: Opener,
        info: SourceInfo,
        words: String,
        config: &VideoConfig,
        board: &Board,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let choice = Choice::probe(&VideoEncoderSpec::OpenH264);
        Self::with(open, (info, words), config, choice, board, metrics)
    }

    fn with(
        open: Opener,
        (info, words): (SourceInfo, String),
        config: &VideoConfig,
        choice: Choice,
        board: &Board,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let metrics = metrics.register(VideoMetrics::register);
        let lineups = [choice.lineup(), Lineup::new(Arc::new(Software(VideoCodec::Vp8)), Vec::new())];
        let kilobits = |kbps: u32| Bitrate(kbps.saturating_mul(1000));
        let bounds = Bounds {
            adapt: config.adapt,
            // Boards with one encoder make the smaller picture in software.
            sub: config.sub_stream == SubStream::Auto && Software(VideoCodec::H264).built_in().is_ok(),
            max: kilobits(config.bitrate_kbps),
            min: kilobits(config.min_bitrate_kbps),
        };
        let shared = Arc::new(Shared::new(info, words, bounds, lineups, board.health.clone(), metrics));
        let told = shared.clone();
        let subscription = board.hotplug.as_ref().map(|hotplug| {
            hotplug.subscribe("video4linux", move |event| {
                if !matches!(event.action, Action::Remove | Action::Unbind) {
                    told.plugged();
                }
            })
        });
        let hears = subscription.is_some();
        let capture =
            Capture::new(shared.clone(), open, choice, board.clone(), hears, config.keyframe_interval_s);
        thread::Builder::new()
            .name("video-capture".into())
            .spawn(move || capture.run())
            .context("no thread can be started for video capture: are there too many?")?;
        Ok(Self(Arc::new(Handle(shared, subscription))))
    }

    /// What the source is, or was when it last worked.
    pub fn info(&self) -> SourceInfo {
        self.0.0.lock().source.clone()
    }

    /// What the source is and why, for people: "test pattern, because no camera was found". Says so if there is no
    /// signal.
    pub fn source_words(&self) -> String {
        let state = self.0.0.lock();
        match &state.failure {
            Some(failure) => format!("{}; no signal: {failure}", state.words),
            None => state.words.clone(),
        }
    }

    /// The codecs that viewers can have, best first.
    pub fn codecs(&self) -> Vec<VideoCodec> {
        CODECS
            .into_iter()
            .filter(|&codec| codec == VideoCodec::H264 || Software(codec).built_in().is_ok())
            .collect()
    }

    /// How long pictures take; sessions add their stages.
    pub fn latency(&self) -> &Latency {
        &self.0.0.metrics.latency
    }

    /// Begins to watch. The first unit is a key frame, made for this viewer if need be.
    pub fn subscribe(&self, codec: VideoCodec) -> VideoSubscription {
        let shared = self.0.0.clone();
        let (id, wake) = shared.join(codec);
        VideoSubscription { shared, codec, id, wake }
    }

    /// What a viewer's pictures take at most: an estimate need not be looked for beyond it. 0 is never given.
    pub fn demand(&self, codec: VideoCodec) -> Bitrate {
        self.0.0.lock().channel(codec).demand()
    }
}

impl fmt::Debug for VideoPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VideoPipeline").field(&self.source_words()).finish()
    }
}

/// One viewer's stream. At most 30 live units wait in it; when it is full, the viewer loses everything up to the
/// next key frame. Dropping it ends the watching.
pub struct VideoSubscription {
    shared: Arc<Shared>,
    codec: VideoCodec,
    id: ViewerId,
    wake: Arc<Wake>,
}

impl VideoSubscription {
    /// What the units are encoded with.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// The next unit, `None` when the pipeline is over. Cancel-safe: nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Arc<AccessUnit>> {
        loop {
            self.wake.told().await;
            let mut state = self.shared.lock();
            let unit = if state.over { None } else { state.channel(self.codec).next(self.id) };
            if unit.is_some() || state.over {
                // There may be more; and over it stays.
                self.wake.tell();
                return unit;
            }
        }
    }

    /// Says what the path of this viewer carries for pictures, in bits a second: what it is given, and at which rate it is
    /// encoded, follows from it (`docs/adaptation.md`). To be called when it changes, at most ten times a second; before
    /// the first time nothing is known of the path, and the viewer gets what the others get.
    pub fn estimate(&self, estimate: Bitrate) {
        self.shared.estimate(self.codec, self.id, estimate);
    }

    /// Says that the viewer lost something (PLI, FIR). Requests of all viewers are merged, and served at most four
    /// times a second; on a passed-through stream by a replay, at most once a second.
    pub fn request_keyframe(&self) {
        self.shared.metrics.keyframe_requests.get_or_create(&self.codec.into()).inc();
        self.shared.lock().channel(self.codec).request_keyframe(self.id);
    }
}

impl Drop for VideoSubscription {
    fn drop(&mut self) {
        self.shared.leave(self.codec, self.id);
    }
}

impl fmt::Debug for VideoSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoSubscription").field("codec", &self.codec).field("id", &self.id).finish()
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "adaptation_tests.rs"]
mod adaptation_tests;

#[cfg(test)]
#[path = "privacy_tests.rs"]
mod privacy_tests;
