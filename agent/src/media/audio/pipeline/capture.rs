//! The capture thread: opens the source while somebody listens, encodes once per codec, bridges failures and the
//! privacy switch by silence.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::listeners::Listeners;
use crate::telemetry::liveness::{DRIVER_PATIENCE, Liveness, Pulse};
use crate::{
    board::{Board, Privacy},
    media::audio::{
        AudioCodec, AudioFrame, AudioMetrics, AudioSource, BLOCK, CardReport, PcmBlock,
        codec::{self, AudioEncoder},
        dsp::level::rfc6464_level,
        pace::{Pacer, Throttle, sleep_until},
        reopening::Reopening,
        source::ChosenSource,
        words::Words,
    },
};

/// How a source is opened; tests open their own.
pub type Open = Box<dyn FnMut() -> anyhow::Result<Box<dyn AudioSource>> + Send>;

/// All that the thread owns.
pub struct Capture {
    open: Open,
    words: Words,
    bitrate_kbps: u32,
    privacy: Privacy,
    reopening: Reopening,
    listeners: Arc<Listeners>,
    metrics: AudioMetrics,
    encoders: BTreeMap<AudioCodec, Box<dyn AudioEncoder>>,
    /// Whether the failure that lasts has been logged.
    complained: bool,
}

impl Capture {
    /// Opens nothing yet.
    pub fn new(
        source: ChosenSource,
        bitrate_kbps: u32,
        board: &Board,
        listeners: Arc<Listeners>,
        metrics: AudioMetrics,
    ) -> Self {
        let words = source.words.clone();
        Self::with(Box::new(move || source.open()), words, bitrate_kbps, board, listeners, metrics)
    }

    /// The same with any way to open a source.
    pub fn with(
        open: Open,
        words: Words,
        bitrate_kbps: u32,
        board: &Board,
        listeners: Arc<Listeners>,
        metrics: AudioMetrics,
    ) -> Self {
        Self {
            open,
            words,
            bitrate_kbps,
            privacy: board.privacy.clone(),
            reopening: Reopening::new(board),
            listeners,
            metrics,
            encoders: BTreeMap::new(),
            complained: false,
        }
    }

    /// Runs until the pipeline is closed.
    pub fn run(mut self) {
        let pulse = Liveness::process().watch("audio-capture", DRIVER_PATIENCE);
        while self.listeners.wait_for_one() {
            tracing::debug!(source = %self.words, "somebody listens");
            self.listen(&pulse);
            pulse.rest();
            self.keep_encoders(&[]);
            self.note(None);
            tracing::debug!(source = %self.words, "nobody listens any more");
        }
    }

    /// Captures until nobody listens.
    fn listen(&mut self, pulse: &Pulse) {
        let mut source: Option<Box<dyn AudioSource>> = None;
        let mut silence = Pacer::new(Instant::now());
        let mut throttle = Throttle::new(Instant::now());
        loop {
            pulse.beat(Instant::now());
            let codecs = self.listeners.codecs();
            if codecs.is_empty() {
                return;
            }
            if self.privacy.is_closed() {
                // Closed, not only muted.
                source = None;
            } else {
                self.look_for_card(&mut source);
            }
            let block = match source.as_mut().map(|source| source.next()) {
                Some(Ok(block)) if block.samples.len() == BLOCK => {
                    self.works();
                    self.note(source.as_mut().and_then(|source| source.report()));
                    std::thread::sleep(throttle.block_passed(Instant::now()));
                    block
                }
                Some(Ok(block)) => {
                    debug_assert!(false, "a source gave {} samples", block.samples.len());
                    return;
                }
                Some(Err(error)) => {
                    self.note(source.take().and_then(|mut source| source.report()));
                    self.broke(&error);
                    silent_block(&mut silence)
                }
                None => silent_block(&mut silence),
            };
            self.keep_encoders(&codecs);
            self.encode(&block);
        }
    }

    /// Opens what is not open, at its time; takes a card that came instead of what stands in for one.
    fn look_for_card(&mut self, source: &mut Option<Box<dyn AudioSource>>) {
        let now = Instant::now();
        match source {
            None if self.reopening.due(now) => *source = self.reopen(),
            Some(present) if present.stands_in() && self.reopening.look(now) => {
                if let Some(card) = (self.open)().ok().filter(|found| !found.stands_in()) {
                    tracing::info!(source = %self.words, "a sound card came");
                    *source = Some(card);
                }
            }
            _ => {}
        }
    }

    /// What the card says goes into the metrics; None: no card is open.
    fn note(&self, report: Option<CardReport>) {
        self.metrics.sync_error_ms.set(report.map_or(0.0, |report| report.error * 1000.0));
        self.metrics.card.note(report);
    }

    fn reopen(&mut self) -> Option<Box<dyn AudioSource>> {
        if self.complained {
            self.metrics.source_restarts.inc();
        }
        match (self.open)() {
            Ok(source) => Some(source),
            Err(error) => {
                self.broke(&error);
                None
            }
        }
    }

    /// A block came.
    fn works(&mut self) {
        self.metrics.frames_captured.inc();
        if self.complained {
            tracing::info!(source = %self.words, "the sound source works again");
            self.complained = false;
        }
        self.reopening.worked(Instant::now());
    }

    fn broke(&mut self, error: &anyhow::Error) {
        self.reopening.failed(Instant::now());
        if !self.complained {
            tracing::warn!(source = %self.words, "the sound source failed, silence is sent meanwhile: {error:#}");
            self.complained = true;
        }
    }

    /// Exactly one encoder for each codec that is listened to.
    fn keep_encoders(&mut self, codecs: &[AudioCodec]) {
        self.encoders.retain(|codec, _| {
            let keep = codecs.contains(codec);
            if !keep {
                self.metrics.encoders.get_or_create(&(*codec).into()).set(0);
            }
            keep
        });
        for &codec in codecs {
            if self.encoders.contains_key(&codec) {
                continue;
            }
            match codec::encoder(codec, self.bitrate_kbps) {
                Ok(encoder) => {
                    self.encoders.insert(codec, encoder);
                    self.metrics.encoders.get_or_create(&codec.into()).set(1);
                }
                // Not even memory for an encoder: the next block tries again.
                Err(error) => tracing::debug!(?codec, "no encoder: {error:#}"),
            }
        }
    }

    fn encode(&mut self, block: &PcmBlock) {
        let level = rfc6464_level(&block.samples);
        for (&codec, encoder) in &mut self.encoders {
            match encoder.encode(&block.samples) {
                Ok(data) => {
                    self.metrics.frames_encoded.get_or_create(&codec.into()).inc();
                    self.listeners.publish(AudioFrame { codec, data, level, captured: block.captured });
                }
                Err(error) => tracing::debug!(?codec, "a block was not encoded: {error:#}"),
            }
        }
    }
}

/// 20 ms of silence at the pace of the clock.
fn silent_block(pacer: &mut Pacer) -> PcmBlock {
    let (captured, complete) = pacer.next_slot(Instant::now());
    sleep_until(complete);
    PcmBlock { samples: vec![0; BLOCK], captured }
}
