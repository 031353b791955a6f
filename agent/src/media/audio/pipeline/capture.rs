//! The capture thread: opens the source while somebody listens, encodes once per codec, bridges failures and the privacy switch by silence.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::listeners::Listeners;
use crate::telemetry::liveness::{DRIVER_PATIENCE, Liveness, Pulse};
use crate::{
    board::Privacy,
    media::{
        audio::{
            AudioCodec, AudioFrame, AudioMetrics, AudioSource, BLOCK, PcmBlock,
            codec::{self, AudioEncoder},
            dsp::level::rfc6464_level,
            pace::{Pacer, Throttle, sleep_until},
            source::ChosenSource,
        },
        backoff::Backoff,
    },
};

/// How a source is opened; tests open their own.
pub type Open = Box<dyn FnMut() -> anyhow::Result<Box<dyn AudioSource>> + Send>;

/// All that the thread owns.
pub struct Capture {
    open: Open,
    words: String,
    bitrate_kbps: u32,
    privacy: Privacy,
    listeners: Arc<Listeners>,
    metrics: AudioMetrics,
    encoders: BTreeMap<AudioCodec, Box<dyn AudioEncoder>>,
    /// Whether the failure that lasts has been logged.
    complained: bool,
    backoff: Backoff,
}

impl Capture {
    /// Opens nothing yet.
    pub fn new(
        source: ChosenSource,
        bitrate_kbps: u32,
        privacy: Privacy,
        listeners: Arc<Listeners>,
        metrics: AudioMetrics,
    ) -> Self {
        let words = source.words.clone();
        Self::with(Box::new(move || source.open()), words, bitrate_kbps, privacy, listeners, metrics)
    }

    /// The same with any way to open a source.
    pub fn with(
        open: Open,
        words: String,
        bitrate_kbps: u32,
        privacy: Privacy,
        listeners: Arc<Listeners>,
        metrics: AudioMetrics,
    ) -> Self {
        let (encoders, backoff) = (BTreeMap::new(), Backoff::default());
        Self { open, words, bitrate_kbps, privacy, listeners, metrics, encoders, complained: false, backoff }
    }

    /// Runs until the pipeline is closed.
    pub fn run(mut self) {
        let pulse = Liveness::process().watch("audio-capture", DRIVER_PATIENCE);
        while self.listeners.wait_for_one() {
            tracing::debug!(source = %self.words, "somebody listens");
            self.listen(&pulse);
            pulse.rest();
            self.keep_encoders(&[]);
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
            } else if source.is_none() && self.backoff.due(Instant::now()) {
                source = self.reopen();
            }
            let block = match source.as_mut().map(|source| source.next()) {
                Some(Ok(block)) if block.samples.len() == BLOCK => {
                    self.works();
                    std::thread::sleep(throttle.block_passed(Instant::now()));
                    block
                }
                Some(Ok(block)) => {
                    debug_assert!(false, "a source gave {} samples", block.samples.len());
                    return;
                }
                Some(Err(error)) => {
                    source = None;
                    self.broke(&error);
                    silent_block(&mut silence)
                }
                None => silent_block(&mut silence),
            };
            self.keep_encoders(&codecs);
            self.encode(&block);
        }
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
        self.backoff.worked(Instant::now());
    }

    fn broke(&mut self, error: &anyhow::Error) {
        self.backoff.failed(Instant::now());
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
