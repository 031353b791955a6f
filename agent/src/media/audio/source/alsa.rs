//! A microphone at an ALSA sound card.

use std::time::{Duration, Instant};

use alsa::Direction;
use anyhow::{Context, bail};

use super::aligned::Aligned;
use crate::media::audio::{
    AudioSource, CardReport, PcmBlock,
    card::{Card, STALL, Trouble},
    pace::BLOCK_TIME,
};

/// What the card may hold while the thread does not get the processor. It is no delay: what is there is read at once.
const BUFFER: Duration = Duration::from_millis(160);

/// Captures in the card's own format and hands out 48 kHz mono at the pace of the monotonic clock.
pub struct AlsaSource {
    name: String,
    card: Card,
    aligned: Aligned,
    bytes: Vec<u8>,
    mono: Vec<i16>,
    /// Frames read since the card was started.
    read: u64,
    report: CardReport,
}

impl AlsaSource {
    /// Opens and starts the card; `device` is an ALSA PCM name.
    pub fn open(device: &str) -> anyhow::Result<Self> {
        let name = format!("alsa:{device}");
        let card = Card::open(device, Direction::Capture, BUFFER)?;
        card.start().with_context(|| format!("{name} does not start capturing"))?;
        let terms = card.terms;
        tracing::info!(%name, %terms, "microphone opened");
        Ok(Self {
            aligned: Aligned::new(terms.rate),
            // A block at a time, so that one that is late does not make the next ones late.
            bytes: vec![0; terms.frames(BLOCK_TIME) as usize * terms.frame_bytes()],
            mono: Vec::new(),
            read: 0,
            report: CardReport { rate: terms.rate, ..CardReport::default() },
            name,
            card,
        })
    }

    /// Reads what is there, at most 20 ms, waiting for the first of it.
    fn read(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STALL;
        loop {
            match self.try_read() {
                Ok(true) => return Ok(()),
                // Also if each read fails in a way that is recovered from: such a card never gets going.
                _ if Instant::now() >= deadline => {
                    bail!("{} gave no sound for 1 s: is it plugged in?", self.name)
                }
                Ok(false) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if let Err(trouble) = self.card.wait(left) {
                        self.recover(trouble, deadline)?;
                    }
                }
                Err(trouble) => self.recover(trouble, deadline)?,
            }
        }
    }

    /// Whether anything came.
    fn try_read(&mut self) -> Result<bool, Trouble> {
        // Before the read: frames and stamp belong together.
        let standing = self.card.standing()?;
        let frames = self.card.read(&mut self.bytes)?;
        if frames == 0 {
            return Ok(false);
        }
        self.aligned.observe(self.read + standing.delay, standing.at);
        self.read += frames as u64;
        let terms = &self.card.terms;
        self.mono.clear();
        terms.format.decode(&self.bytes[..frames * terms.frame_bytes()], terms.channels, &mut self.mono);
        self.aligned.push(&self.mono);
        Ok(true)
    }

    /// What was held is older than the gap, so it goes; the times go on with those of the next samples.
    fn recover(&mut self, trouble: Trouble, deadline: Instant) -> anyhow::Result<()> {
        tracing::trace!(name = self.name, %trouble, "capture stopped");
        match trouble {
            Trouble::Xrun => self.report.xruns += 1,
            Trouble::Suspended => self.report.suspends += 1,
            Trouble::Gone(_) => {}
        }
        self.card.recover(&trouble, deadline).with_context(|| format!("{} failed", self.name))?;
        self.aligned.gap();
        self.read = 0;
        Ok(())
    }
}

impl AudioSource for AlsaSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        loop {
            if let Some(block) = self.aligned.block() {
                let age = Instant::now().saturating_duration_since(block.captured + BLOCK_TIME);
                self.report.latency_frames = self.card.terms.frames(age);
                return Ok(block);
            }
            self.read()?;
        }
    }

    fn report(&mut self) -> Option<CardReport> {
        self.report.drift_ppm = self.aligned.drift_ppm();
        self.report.error = self.aligned.error();
        let report = self.report;
        (self.report.xruns, self.report.suspends) = (0, 0);
        Some(report)
    }
}
