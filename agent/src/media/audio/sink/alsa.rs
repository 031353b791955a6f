//! A speaker at an ALSA sound card.

use std::time::{Duration, Instant};

use alsa::Direction;
use anyhow::{Context, bail};

use crate::media::audio::{
    AudioSink, CardReport, SAMPLE_RATE,
    card::{Card, STALL, Standing, Trouble},
    clock::CardClock,
    dsp::steered::Steered,
};

/// The card's ring: room for the delay to grow on a board that is late now and then.
const BUFFER: Duration = Duration::from_millis(160);
/// So much sound waits in the ring at first: a block that plays and one that is there when it ends.
const FIRST_FILL: Duration = Duration::from_millis(40);
/// An underrun says that this board needs more, ...
const MORE_FILL: Duration = Duration::from_millis(20);
/// ... but a talk that is heard later than this is none.
const MOST_FILL: Duration = Duration::from_millis(120);
/// The ring is looked at again at least so often while there is no room: a card that is gone shall be noticed.
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// And not more often: hardware counts in steps of about this.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// Plays 48 kHz mono in the card's own format, as little ahead of the loudspeaker as the board allows.
pub struct AlsaSink {
    name: String,
    card: Card,
    resampler: Option<Steered>,
    mono: Vec<i16>,
    bytes: Vec<u8>,
    /// Frames that may wait in the ring.
    fill: u64,
    /// Frames written since the card was started; none: it waits for its first.
    written: u64,
    clock: CardClock,
    report: CardReport,
}

impl AlsaSink {
    /// Opens the card; it starts with the first block. `device` is an ALSA PCM name.
    pub fn open(device: &str) -> anyhow::Result<Self> {
        let name = format!("alsa:{device}");
        let card = Card::open(device, Direction::Playback, BUFFER)?;
        let terms = card.terms;
        tracing::info!(%name, %terms, "speaker opened");
        let sink = Self {
            resampler: (terms.rate != SAMPLE_RATE).then(|| Steered::new(SAMPLE_RATE, terms.rate)),
            fill: terms.frames(FIRST_FILL).max(2 * terms.period).min(terms.buffer),
            clock: CardClock::new(terms.rate),
            report: CardReport { rate: terms.rate, ..CardReport::default() },
            mono: Vec::new(),
            bytes: Vec::new(),
            written: 0,
            name,
            card,
        };
        Ok(sink)
    }

    /// Writes `bytes`, waiting until the ring has room below the wanted fill.
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut rest = bytes;
        let mut deadline = Instant::now() + STALL;
        while !rest.is_empty() {
            match self.try_write(rest) {
                Ok(frames) if frames > 0 => {
                    rest = &rest[frames * self.card.terms.frame_bytes()..];
                    deadline = Instant::now() + STALL;
                }
                // Also if each write fails in a way that is recovered from: such a card never gets going.
                _ if Instant::now() >= deadline => {
                    bail!("{} took no sound for 1 s: is it plugged in?", self.name)
                }
                Ok(_) => {}
                Err(trouble) => self.recover(trouble, deadline)?,
            }
        }
        Ok(())
    }

    /// Writes what there is room for; 0 after a wait for room.
    fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let terms = self.card.terms;
        if self.written == 0 {
            self.prefill(bytes.len() / terms.frame_bytes())?;
        }
        let standing = self.card.standing()?;
        let waiting = terms.buffer.saturating_sub(standing.avail);
        let room = self.fill.saturating_sub(waiting) as usize;
        self.note(&standing);
        // Whole blocks where the ring can hold them: fewer looks.
        let wanted = (bytes.len() / terms.frame_bytes()).min(self.fill as usize / 2);
        if room < wanted.max(1) {
            let until = terms.time((wanted - room) as u64);
            std::thread::sleep(until.clamp(SHORTEST_LOOK, LONGEST_LOOK));
            return Ok(0);
        }
        let take = bytes.len().min(room * terms.frame_bytes());
        let frames = self.card.write(&bytes[..take])?;
        if frames == 0 {
            std::thread::sleep(SHORTEST_LOOK);
        }
        self.written += frames as u64;
        Ok(frames)
    }

    /// Silence up to the wanted fill, less the block that comes: the first sound meets a card that plays already.
    fn prefill(&mut self, block: usize) -> Result<(), Trouble> {
        let terms = self.card.terms;
        let frames = (self.fill as usize).saturating_sub(block).max(terms.period as usize);
        let mut silence = Vec::new();
        terms.format.encode(&vec![0; frames], terms.channels, &mut silence);
        self.written += self.card.write(&silence)? as u64;
        Ok(())
    }

    /// What the card's position says of its clock and of the delay.
    fn note(&mut self, standing: &Standing) {
        self.report.latency_frames = standing.delay;
        if let Some(played) = self.written.checked_sub(standing.delay).filter(|played| *played > 0) {
            self.clock.observe(played, standing.at);
        }
    }

    fn recover(&mut self, trouble: Trouble, deadline: Instant) -> anyhow::Result<()> {
        tracing::trace!(name = self.name, %trouble, "playback stopped");
        match trouble {
            Trouble::Xrun => {
                self.report.xruns += 1;
                let terms = &self.card.terms;
                let most = terms.frames(MOST_FILL).min(terms.buffer);
                self.fill = (self.fill + terms.frames(MORE_FILL)).min(most.max(self.fill));
            }
            Trouble::Suspended => self.report.suspends += 1,
            Trouble::Gone(_) => {}
        }
        self.card.recover(&trouble, deadline).with_context(|| format!("{} failed", self.name))?;
        self.clock.restart();
        self.written = 0;
        Ok(())
    }
}

impl AudioSink for AlsaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        let mono = match &mut self.resampler {
            Some(resampler) => {
                self.mono.clear();
                resampler.process(samples, 0.0, &mut self.mono);
                &self.mono
            }
            None => samples,
        };
        let terms = self.card.terms;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        terms.format.encode(mono, terms.channels, &mut bytes);
        let result = self.write(&bytes);
        self.bytes = bytes;
        result
    }

    fn report(&mut self) -> Option<CardReport> {
        self.report.drift_ppm = self.clock.drift_ppm();
        let report = self.report;
        (self.report.xruns, self.report.suspends) = (0, 0);
        Some(report)
    }
}
