//! The playback thread: pulls all talkers at the sink's pace; opens the sink only while somebody talks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    JitterBuffer,
    meter::Meter,
    mixer::Mixer,
    talkers::{Inbox, Talkers},
};
use crate::{
    board::Board,
    media::audio::{
        AudioSink, BLOCK, TalkMetrics,
        pace::{BLOCK_TIME, Pacer, Throttle, sleep_until},
        reopening::Reopening,
        words::Words,
    },
    telemetry::liveness::{DRIVER_PATIENCE, Liveness, Pulse},
};

/// A talker who is silent for this long has stopped; the sink stays open as long, so that a pause for breath
/// does not close it.
const LINGER: Duration = Duration::from_secs(1);

/// How a sink is opened; tests open their own.
pub type Open = Box<dyn FnMut() -> anyhow::Result<Box<dyn AudioSink>> + Send>;

/// All that the thread owns.
pub struct Playback {
    open: Open,
    words: Words,
    talkers: Arc<Talkers>,
    metrics: TalkMetrics,
    voices: BTreeMap<u64, Voice>,
    mixer: Mixer,
    meter: Meter,
    reopening: Reopening,
    /// Whether the failure that lasts has been logged.
    complained: bool,
}

/// A talker as playback sees it.
struct Voice {
    label: String,
    buffer: JitterBuffer,
    /// Since when, while it is talking.
    talking: Option<Instant>,
    heard: Instant,
    /// Made-up samples that are not a whole millisecond yet.
    concealed: u64,
}

impl Playback {
    /// Opens nothing yet; `words` describe the sink.
    pub fn new(
        open: Open,
        words: Words,
        board: &Board,
        talkers: Arc<Talkers>,
        metrics: TalkMetrics,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            open,
            words,
            talkers,
            meter: Meter::new(metrics.clone())?,
            metrics,
            voices: BTreeMap::new(),
            mixer: Mixer::new(),
            reopening: Reopening::new(board),
            complained: false,
        })
    }

    /// Runs until talk-back is closed.
    pub fn run(mut self) {
        let pulse = Liveness::process().watch("audio-talkback", DRIVER_PATIENCE);
        while self.talkers.wait_for_packet() {
            self.talk(&pulse);
            pulse.rest();
            self.metrics.card.note(None);
            self.meter.silence();
        }
    }

    /// Plays until nobody has talked for a while.
    fn talk(&mut self, pulse: &Pulse) {
        let mut sink: Option<Box<dyn AudioSink>> = None;
        let mut pacer = Pacer::new(Instant::now());
        let mut throttle = Throttle::new(Instant::now());
        let mut heard = Instant::now();
        while let Some(inboxes) = self.talkers.all() {
            pulse.beat(Instant::now());
            self.look_for_card(&mut sink);
            let now = Instant::now();
            self.take_packets(&inboxes, now);
            if self.mix(now) {
                heard = now;
            } else if now - heard > LINGER {
                return;
            }
            let block = self.mixer.finish();
            self.meter.block(block);
            let played = sink.as_mut().map(|sink| sink.play(block));
            match played {
                Some(Ok(())) => {
                    self.works();
                    self.metrics.card.note(sink.as_mut().and_then(|sink| sink.report()));
                    std::thread::sleep(throttle.block_passed(Instant::now()));
                }
                Some(Err(error)) => {
                    self.metrics.card.note(sink.take().and_then(|mut sink| sink.report()));
                    self.broke(&error);
                }
                // The talk goes on in the metrics.
                None => sleep_until(pacer.next_slot(Instant::now()).1),
            }
        }
    }

    /// Opens what is not open, at its time; takes a card that came instead of what stands in for one.
    fn look_for_card(&mut self, sink: &mut Option<Box<dyn AudioSink>>) {
        let now = Instant::now();
        match sink {
            None if self.reopening.due(now) => *sink = self.reopen(),
            Some(present) if present.stands_in() && self.reopening.look(now) => {
                if let Some(card) = (self.open)().ok().filter(|found| !found.stands_in()) {
                    tracing::info!(sink = %self.words, "a sound card came");
                    *sink = Some(card);
                }
            }
            _ => {}
        }
    }

    fn reopen(&mut self) -> Option<Box<dyn AudioSink>> {
        if self.complained {
            self.metrics.sink_restarts.inc();
        }
        match (self.open)() {
            Ok(sink) => {
                tracing::debug!(sink = sink.name(), "opened for talk-back");
                Some(sink)
            }
            Err(error) => {
                self.broke(&error);
                None
            }
        }
    }

    /// A block was taken.
    fn works(&mut self) {
        self.metrics.seconds_played.inc_by(BLOCK_TIME.as_secs_f64());
        if self.complained {
            tracing::info!(sink = %self.words, "the talk-back sink works again");
            self.complained = false;
        }
        self.reopening.worked(Instant::now());
    }

    fn broke(&mut self, error: &anyhow::Error) {
        self.reopening.failed(Instant::now());
        if !self.complained {
            tracing::warn!(sink = %self.words, "the talk-back sink failed, nobody is heard meanwhile: {error:#}");
            self.complained = true;
        }
    }

    /// Brings voices and buffers up to date with the talkers.
    fn take_packets(&mut self, inboxes: &[Arc<Inbox>], now: Instant) {
        self.voices.retain(|id, voice| {
            let stays = inboxes.iter().any(|inbox| inbox.id == *id);
            if !stays {
                voice.stopped(now);
            }
            stays
        });
        for inbox in inboxes {
            let voice = self.voices.entry(inbox.id).or_insert_with(|| Voice {
                label: inbox.label.clone(),
                buffer: JitterBuffer::new(),
                talking: None,
                heard: now,
                concealed: 0,
            });
            for packet in inbox.drain() {
                voice.buffer.insert(&packet);
            }
        }
    }

    /// Mixes the next block; whether anybody talks.
    fn mix(&mut self, now: Instant) -> bool {
        let mut anybody = false;
        let mut block = [0; BLOCK];
        self.mixer.clear();
        for voice in self.voices.values_mut() {
            if voice.buffer.pull(now, &mut block) {
                self.mixer.add(&block);
                voice.heard = now;
                if voice.talking.is_none() {
                    voice.talking = Some(now);
                    tracing::info!(session = %voice.label, sink = %self.words, "talk-back begins");
                }
            } else if now.saturating_duration_since(voice.heard) > LINGER {
                voice.stopped(now);
            }
            anybody |= voice.talking.is_some();
            if let Some(delay) = voice.buffer.delay() {
                self.metrics.jitter_buffer_delay_ms.set(delay.as_secs_f64() * 1000.0);
            }
            let counts = voice.buffer.take_counts();
            self.metrics.packets_received.inc_by(counts.received);
            self.metrics.packets_lost.inc_by(counts.lost);
            self.metrics.packets_late.inc_by(counts.late);
            self.metrics.packets_duplicated.inc_by(counts.duplicated);
            self.metrics.packets_dropped.inc_by(counts.dropped);
            voice.concealed += counts.concealed;
            self.metrics.concealed_ms.inc_by(voice.concealed / 48);
            voice.concealed %= 48;
        }
        anybody
    }
}

impl Voice {
    fn stopped(&mut self, now: Instant) {
        if let Some(since) = self.talking.take() {
            let seconds = (now - since).as_secs();
            tracing::info!(session = %self.label, seconds, "talk-back ends");
        }
    }
}
