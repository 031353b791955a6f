//! What the handles, the capture thread and the encoder threads of a pipeline share.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    AccessUnit, Bitrate, SourceInfo, VideoCodec,
    channel::{Channel, ViewerId},
    closer::Closer,
    encoder::{Lineup, Software},
    metrics::VideoMetrics,
    rate::{Bounds, Rendition, Shape},
    rate_report::RateReport,
    viewer::Fate,
    wake::Wake,
};
use crate::telemetry::health::{Health, Level};

/// The name of the encoders' condition on `/health`.
const CONDITION: &str = "video-encoder";

/// All codecs, best first.
pub const CODECS: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::Vp8];

/// The state behind the lock. The lock is held for queue operations only, never while something is encoded.
#[derive(Debug)]
pub struct State {
    /// The last handle is gone.
    pub over: bool,
    /// What the source is, or was when it last worked.
    pub source: SourceInfo,
    /// The same in words for people.
    pub words: String,
    /// Why there is no signal, if there is none.
    pub failure: Option<String>,
    channels: [Channel; CODECS.len()],
    next_id: u64,
    /// Counts arrivals, so that a sleeping capture thread sees that somebody came.
    arrivals: u64,
    /// Counts devices that came, so that a capture thread that waits for its source looks again.
    pub plugged: u64,
}

impl State {
    /// The viewers of a codec.
    pub fn channel(&mut self, codec: VideoCodec) -> &mut Channel {
        &mut self.channels[codec as usize]
    }

    /// The source's size and rate, as the policy wants it.
    pub fn shape(&self) -> Shape {
        let &SourceInfo { width, height, fps, .. } = &self.source;
        Shape { width, height, fps: fps.clamp(1, 120) }
    }

    /// Whether anybody watches.
    pub fn watched(&self) -> bool {
        self.channels.iter().any(|channel| channel.viewers() > 0)
    }
}

/// See the module.
pub struct Shared {
    state: Mutex<State>,
    /// Tells the capture thread that viewers came or went, or that it is over.
    changed: Condvar,
    /// The encoders of each codec, for the main rendition.
    lineups: [Mutex<Lineup>; CODECS.len()],
    /// The same for the sub rendition: always software. It is for rates that hardware does not hold (the Raspberry
    /// Pi's begins at 700 kbit/s), it is small, and not every device can be opened twice.
    sub_lineups: [Mutex<Lineup>; CODECS.len()],
    /// Closes encoders that may hang.
    pub closer: Closer,
    health: Health,
    /// The counters.
    pub metrics: VideoMetrics,
}

/// What an encoder thread must know before it encodes a picture.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOrder {
    /// A key frame is due.
    pub keyframe: bool,
    /// The rate to aim at.
    pub bitrate: Bitrate,
    /// Pictures a second to encode.
    pub fps: u32,
    /// That is fewer than the source gives.
    pub slower: bool,
    /// The size to scale to; `None`: as it comes.
    pub size: Option<(u32, u32)>,
    /// Every second picture is to be one that none refers to.
    pub layered: bool,
}

impl Shared {
    /// Without viewers.
    pub fn new(
        source: SourceInfo,
        words: String,
        bounds: Bounds,
        lineups: [Lineup; CODECS.len()],
        health: Health,
        metrics: VideoMetrics,
    ) -> Self {
        let state = State {
            over: false,
            source,
            words,
            failure: None,
            channels: [Channel::new(bounds), Channel::new(bounds)],
            next_id: 0,
            arrivals: 0,
            plugged: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            lineups: lineups.map(Mutex::new),
            sub_lineups: CODECS.map(|codec| Mutex::new(Lineup::new(Arc::new(Software(codec)), Vec::new()))),
            closer: Closer::default(),
            health,
            metrics,
        }
    }

    /// The encoders of a codec's rendition. Never held together with the state.
    pub fn lineup(&self, codec: VideoCodec, rendition: Rendition) -> MutexGuard<'_, Lineup> {
        let lineups = match rendition {
            Rendition::Main => &self.lineups,
            Rendition::Sub => &self.sub_lineups,
        };
        lineups[codec as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The encoders' state has changed.
    pub fn encoder_health(&self, level: Level, words: String) {
        self.health.set(CONDITION, level, words);
    }

    /// The state. A panic elsewhere cannot leave it half-changed: its changes are single steps.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A viewer comes.
    pub fn join(&self, codec: VideoCodec) -> (ViewerId, Arc<Wake>) {
        let mut state = self.lock();
        state.next_id += 1;
        state.arrivals += 1;
        let id = ViewerId(state.next_id);
        let wake = state.channel(codec).join(id, Instant::now());
        self.metrics.viewers.get_or_create(&codec.into()).inc();
        self.metrics.keyframe_requests.get_or_create(&codec.into()).inc();
        self.changed.notify_all();
        (id, wake)
    }

    /// A viewer goes.
    pub fn leave(&self, codec: VideoCodec, id: ViewerId) {
        self.lock().channel(codec).leave(id);
        self.metrics.viewers.get_or_create(&codec.into()).dec();
        self.changed.notify_all();
    }

    /// The last handle is gone: threads end, viewers hear of it.
    pub fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        state.channels.iter().for_each(Channel::wake_all);
        self.changed.notify_all();
    }

    /// A device came, or may have.
    pub fn plugged(&self) {
        self.lock().plugged += 1;
        self.changed.notify_all();
    }

    /// Blocks until somebody watches; false when it is over.
    pub fn wait_for_viewers(&self) -> bool {
        let state = self
            .changed
            .wait_while(self.lock(), |state| !state.over && !state.watched())
            .unwrap_or_else(PoisonError::into_inner);
        !state.over
    }

    /// Blocks until `deadline`, or earlier if somebody or a device comes, nobody watches any more, or it is over.
    pub fn wait_until(&self, deadline: Instant) {
        let state = self.lock();
        let (arrivals, plugged) = (state.arrivals, state.plugged);
        let rest = deadline.saturating_duration_since(Instant::now());
        let idle = |state: &mut State| {
            let same = state.arrivals == arrivals && state.plugged == plugged;
            !state.over && state.watched() && same
        };
        drop(self.changed.wait_timeout_while(state, rest, idle));
    }

    /// A viewer's path carries so much for pictures.
    pub fn estimate(&self, codec: VideoCodec, id: ViewerId, estimate: Bitrate) {
        let mut state = self.lock();
        state.channel(codec).estimate(id, estimate);
        self.decide(&mut state, codec, Instant::now());
    }

    /// Decides anew what a codec's viewers get, if it is time.
    pub fn decide(&self, state: &mut State, codec: VideoCodec, now: Instant) {
        let shape = state.shape();
        // While there is no signal, the still is encoded.
        let passes = state.source.encoded == Some(codec) && state.failure.is_none();
        let channel = state.channel(codec);
        if let Some(changes) = channel.decide(shape, passes, now) {
            let report = RateReport { codec, metrics: &self.metrics.rate };
            report.changed(&changes);
            report.count(channel);
        }
    }

    /// Asked by an encoder thread before each picture; `None` if nobody would see it.
    pub fn order(&self, codec: VideoCodec, rendition: Rendition, epoch: u64) -> Option<EncodeOrder> {
        let now = Instant::now();
        let mut state = self.lock();
        self.decide(&mut state, codec, now);
        let source = state.shape();
        let over = state.over;
        let channel = state.channel(codec);
        if over || !channel.is_current(rendition, epoch) {
            return None;
        }
        let target = channel.target(rendition)?;
        Some(EncodeOrder {
            keyframe: channel.keyframe_due(rendition, now),
            bitrate: target.bitrate,
            fps: target.shape.fps,
            slower: target.shape.fps < source.fps,
            size: target.scaled.then_some((target.shape.width, target.shape.height)),
            layered: target.layered,
        })
    }

    /// An encoder made a unit.
    pub fn publish(&self, unit: &Arc<AccessUnit>, rendition: Rendition, epoch: u64) {
        let fate = self.lock().channel(unit.codec).publish(unit, rendition, epoch, Instant::now());
        self.count(unit, fate);
    }

    /// A unit came encoded from the source.
    pub fn pass_through(&self, unit: &Arc<AccessUnit>) {
        let now = Instant::now();
        let mut state = self.lock();
        let fate = state.channel(unit.codec).pass_through(unit, now);
        drop(state);
        self.count(unit, fate);
    }

    fn count(&self, unit: &AccessUnit, fate: Option<Fate>) {
        let Some(Fate { lost, thinned }) = fate else { return };
        self.metrics.latency.encoded(unit);
        if unit.keyframe {
            self.metrics.keyframes.get_or_create(&unit.codec.into()).inc();
        }
        if lost > 0 {
            self.metrics.dropped_slow.get_or_create(&unit.codec.into()).inc_by(lost);
        }
        if thinned > 0 {
            self.metrics.rate.thinned.get_or_create(&unit.codec.into()).inc_by(thinned);
        }
    }
}
