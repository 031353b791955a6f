//! The capture thread: opens the source while somebody watches, hands its pictures to viewers and encoders, and
//! shows a still with words while there is no signal or the privacy switch is on.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    RawFrame, SourceFrame, SourceInfo, VideoCodec, VideoSource,
    encoder::Choice,
    rate::Rendition,
    shared::{CODECS, Shared},
    source::Unplugged,
    still,
    worker::Worker,
};
use crate::{
    board::Board,
    media::backoff::Backoff,
    telemetry::{
        health::Level,
        liveness::{DRIVER_PATIENCE, Liveness},
    },
};

/// Time between two copies of the still: enough to keep a viewer's decoder and connection alive.
const STILL_INTERVAL: Duration = Duration::from_millis(500);
/// Looks for a source that was unplugged before its event is waited for: a driver that hiccuped is back when the last
/// encoder has let its picture go. With the back-off that is within 3.5 s.
const QUICK_LOOKS: u32 = 3;
/// Events do not come everywhere (not into a container's network namespace): so long until the next look without one.
const UNHEARD: Duration = Duration::from_secs(60);

/// The condition on `/health`.
pub const CAMERA: &str = "camera";

/// A source that has been opened.
pub struct Opened {
    /// The source itself.
    pub source: Box<dyn VideoSource>,
    /// What it is in words, and why it was chosen.
    pub words: String,
}

/// Opens the source, again after each failure and each time without viewers.
pub type Opener = Box<dyn FnMut() -> anyhow::Result<Opened> + Send>;

/// See the module.
pub struct Capture {
    shared: Arc<Shared>,
    open: Opener,
    board: Board,
    choice: Choice,
    keyframe_interval_s: u32,
    /// By codec and rendition.
    workers: [[Option<Worker>; Rendition::ALL.len()]; CODECS.len()],
    backoff: Backoff,
    /// That no encoder thread could be started has been logged.
    threadless: bool,
    /// Why there is no signal, and the still that says so.
    failure: Option<(String, Arc<RawFrame>)>,
    /// The failure is none, but the privacy switch.
    private: bool,
    /// The source has given nothing yet since it was opened.
    fresh: bool,
    /// How many devices had come when the source was last opened; `None` if nobody tells.
    plugged: Option<u64>,
    /// Looks for the source since it was unplugged.
    looks: u32,
}

impl Capture {
    /// Does nothing before [`Self::run`]. If `hears`, somebody calls [`Shared::plugged`] when a device comes.
    pub fn new(
        shared: Arc<Shared>,
        open: Opener,
        choice: Choice,
        board: Board,
        hears: bool,
        keyframe_interval_s: u32,
    ) -> Self {
        let workers = [const { [const { None }; Rendition::ALL.len()] }; CODECS.len()];
        Self {
            shared,
            open,
            board,
            choice,
            keyframe_interval_s,
            workers,
            backoff: Backoff::default(),
            threadless: false,
            failure: None,
            private: false,
            fresh: false,
            plugged: hears.then_some(0),
            looks: 0,
        }
    }

    /// Runs until the pipeline is over.
    pub fn run(mut self) {
        let pulse = Liveness::process().watch("video-capture", DRIVER_PATIENCE);
        while self.shared.wait_for_viewers() {
            let mut source = None;
            let mut retry_at = Instant::now();
            while self.drop_unwatched() {
                pulse.beat(Instant::now());
                if let Some(why) = self.board.privacy.closed() {
                    // Closed, not only unread: the camera's own light goes out.
                    source = None;
                    retry_at = Instant::now();
                    self.keep_private(&why);
                    self.show_still(retry_at + STILL_INTERVAL);
                    continue;
                }
                if self.has_heard() {
                    retry_at = Instant::now();
                }
                if source.is_none() && Instant::now() >= retry_at {
                    match (self.open)() {
                        Ok(opened) => source = Some(self.take_source(opened)),
                        Err(error) => retry_at = self.failed(&error),
                    }
                }
                match source.as_mut().map(|source| source.next()) {
                    // Taken before the switch or after it: nobody can tell.
                    Some(Ok(_)) if self.board.privacy.is_closed() => {}
                    Some(Ok(frame)) => {
                        self.works();
                        self.hand_over(frame);
                    }
                    Some(Err(error)) => {
                        source = None;
                        retry_at = self.failed(&error);
                    }
                    None => self.show_still(retry_at),
                }
            }
            self.end_stream();
            // Closing the camera was the last that could hang.
            drop(source);
            pulse.rest();
        }
    }

    /// Whether a device has come since the last time.
    fn has_heard(&mut self) -> bool {
        let plugged = self.shared.lock().plugged;
        let news = self.plugged.as_mut().is_some_and(|before| mem::replace(before, plugged) != plugged);
        if news {
            self.looks = 0;
        }
        news
    }

    /// Ends the encoders that nobody watches; false if nobody watches at all, or it is over.
    fn drop_unwatched(&mut self) -> bool {
        let now = Instant::now();
        let mut state = self.shared.lock();
        for codec in CODECS {
            for rendition in Rendition::ALL {
                if state.channel(codec).is_idle(rendition, now) {
                    self.workers[codec as usize][rendition as usize] = None;
                }
            }
            self.shared.decide(&mut state, codec, now);
        }
        state.watched() && !state.over
    }

    fn take_source(&mut self, opened: Opened) -> Box<dyn VideoSource> {
        self.fresh = true;
        let mut state = self.shared.lock();
        let info = opened.source.info();
        if state.source != *info || state.words != opened.words {
            tracing::info!(source = %opened.words, "video source opened");
        }
        if state.source.encoded != info.encoded {
            tracing::info!("{}", self.choice.line(info.encoded.is_some()));
        }
        state.source = info.clone();
        state.words = opened.words;
        opened.source
    }

    fn end_stream(&mut self) {
        let mut state = self.shared.lock();
        CODECS.iter().for_each(|codec| state.channel(*codec).end_pass_through());
    }

    fn works(&mut self) {
        self.shared.metrics.captured.inc();
        self.backoff.worked(Instant::now());
        if mem::take(&mut self.fresh) {
            let words = self.shared.lock().words.clone();
            self.board.health.set(CAMERA, Level::Ok, words);
        }
        self.looks = 0;
        if self.failure.take().is_some() {
            if !mem::take(&mut self.private) {
                self.shared.metrics.source_restarts.inc();
            }
            let mut state = self.shared.lock();
            state.failure = None;
            tracing::info!(source = %state.words, "video source works again");
        }
    }

    /// Returns when to try again.
    fn failed(&mut self, error: &anyhow::Error) -> Instant {
        self.private = false;
        self.board.health.set(CAMERA, Level::Failed, format!("{error:#}"));
        if self.explain("NO SIGNAL", &error.to_string()) {
            tracing::warn!(source = %self.shared.lock().words, "no video signal: {error:#}");
        }
        let (now, at) = (Instant::now(), self.backoff.failed(Instant::now()));
        if self.plugged.is_none() || !error.is::<Unplugged>() {
            return at;
        }
        self.looks += 1;
        if self.looks <= QUICK_LOOKS { at } else { now + UNHEARD }
    }

    fn keep_private(&mut self, why: &str) {
        self.private = true;
        if self.explain("PRIVATE", why) {
            tracing::info!(source = %self.shared.lock().words, "no picture is taken: {why}");
        }
    }

    /// Has a still instead of the stream; false if it says so already.
    fn explain(&mut self, title: &str, words: &str) -> bool {
        self.end_stream();
        if self.failure.as_ref().is_some_and(|(before, _)| before == words) {
            return false;
        }
        let SourceInfo { width, height, .. } = {
            let mut state = self.shared.lock();
            state.failure = Some(words.into());
            state.source.clone()
        };
        let still = still::draw(width.max(16), height.max(16), title, words).into_frame(Instant::now());
        self.failure = Some((words.into(), Arc::new(still)));
        true
    }

    fn show_still(&mut self, retry_at: Instant) {
        if let Some((_, still)) = &self.failure {
            let captured = Instant::now();
            let frame = RawFrame { captured, ..RawFrame::clone(still) };
            self.hand_over(SourceFrame::Raw(frame.into()));
            self.shared.wait_until(retry_at.min(captured + STILL_INTERVAL));
        }
    }

    fn hand_over(&mut self, frame: SourceFrame) {
        if let SourceFrame::Encoded(unit) = &frame {
            let main = &mut self.workers[unit.codec as usize][Rendition::Main as usize];
            if main.take().is_some() {
                // It encoded the still. What it may still be at must not come between the stream's units.
                self.shared.lock().channel(unit.codec).new_epoch(Rendition::Main);
            }
            self.shared.pass_through(unit);
        }
        for codec in CODECS {
            for rendition in Rendition::ALL {
                let passed = matches!(&frame, SourceFrame::Encoded(unit) if unit.codec == codec);
                if !(passed && rendition == Rendition::Main) {
                    self.encode(codec, rendition, &frame);
                }
            }
        }
    }

    fn encode(&mut self, codec: VideoCodec, rendition: Rendition, frame: &SourceFrame) {
        let watched = self.shared.lock().channel(codec).watchers(rendition) > 0;
        let slot = &mut self.workers[codec as usize][rendition as usize];
        if let Some(worker) = slot {
            // An encoder that idles for a while is spared raw pictures; what it decodes must go on without a gap.
            if watched || matches!(frame, SourceFrame::Encoded(_)) {
                worker.push(frame.clone());
            }
            return;
        }
        if !watched {
            return;
        }
        // The group ends with this very frame, as it has been passed through already.
        let group = match frame {
            SourceFrame::Encoded(unit) => self.shared.lock().channel(unit.codec).gop().to_vec(),
            SourceFrame::Raw(_) => Vec::new(),
        };
        match Worker::spawn(&self.shared, codec, rendition, self.keyframe_interval_s, &group) {
            Ok(worker) => {
                if group.is_empty() {
                    worker.push(frame.clone());
                }
                *slot = Some(worker);
                self.threadless = false;
            }
            // The next picture tries again.
            Err(error) if !mem::replace(&mut self.threadless, true) => tracing::warn!("{error:#}"),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "unplugged_tests.rs"]
mod tests;
