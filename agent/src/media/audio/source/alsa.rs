//! A microphone at an ALSA sound card.

use std::time::{Duration, Instant};

use alsa::{Direction, pcm::State};
use anyhow::{Context, bail};

use super::capture_clock::CaptureClock;
use crate::media::audio::{
    AudioSource, BLOCK, PcmBlock, SAMPLE_RATE,
    alsa_device::{self, AlsaDevice},
    dsp::resample::Resampler,
    pace::BLOCK_TIME,
};

/// What the card may hold while the thread does not get the processor.
const BUFFER: Duration = Duration::from_millis(160);
/// A card that gives nothing for this long is broken (an unplugged one often does not say so).
const STALL: Duration = Duration::from_secs(1);

/// Captures in the card's own format and hands out 48 kHz mono.
pub struct AlsaSource {
    name: String,
    device: AlsaDevice,
    resampler: Option<Resampler>,
    interleaved: Vec<i16>,
    mono: Vec<i16>,
    ready: Vec<i16>,
    clock: CaptureClock,
}

impl AlsaSource {
    /// Opens and starts the card; `device` is an ALSA PCM name.
    pub fn open(device: &str) -> anyhow::Result<Self> {
        let name = format!("alsa:{device}");
        let device = alsa_device::open(device, Direction::Capture, BUFFER)?;
        let resampler = (device.rate != SAMPLE_RATE)
            .then(|| Resampler::new(device.rate, SAMPLE_RATE))
            .transpose()
            .with_context(|| name.clone())?;
        let period = (device.rate / 50) as usize;
        device.pcm.start().with_context(|| format!("{name} does not start capturing"))?;
        tracing::debug!(%name, rate = device.rate, channels = device.channels, "microphone opened");
        Ok(Self {
            name,
            interleaved: vec![0; period * device.channels],
            device,
            resampler,
            mono: Vec::new(),
            ready: Vec::new(),
            clock: CaptureClock::default(),
        })
    }

    /// Reads what is there, at most 20 ms, waiting for the first of it.
    fn read(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STALL;
        let frames = loop {
            let read = self.device.pcm.io_i16().and_then(|io| io.readi(&mut self.interleaved));
            match read {
                Ok(frames) if frames > 0 => break frames,
                failed => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Also if each read fails in a way that is recovered from: such a card never gets going.
                    if left.is_zero() {
                        bail!("{} gave no sound for 1 s: is it plugged in?", self.name);
                    }
                    match failed {
                        Err(error) if error.errno() != libc::EAGAIN => self.recover(error)?,
                        _ => {
                            if let Err(error) = self.device.pcm.wait(Some(left.as_millis() as u32 + 1)) {
                                self.recover(error)?;
                            }
                        }
                    }
                }
            }
        };
        let channels = self.device.channels;
        self.mono.clear();
        self.mono.extend(self.interleaved[..frames * channels].chunks_exact(channels).map(|frame| {
            let sum: i32 = frame.iter().map(|&s| i32::from(s)).sum();
            (sum / channels as i32) as i16
        }));
        match &mut self.resampler {
            Some(resampler) => resampler.process(&self.mono, &mut self.ready),
            None => self.ready.extend_from_slice(&self.mono),
        }
        Ok(())
    }

    /// After an overrun or suspend: start again; what was held is older than the gap, so it goes.
    fn recover(&mut self, error: alsa::Error) -> anyhow::Result<()> {
        tracing::trace!(name = self.name, %error, "capture overrun");
        let pcm = &self.device.pcm;
        pcm.try_recover(error, true).with_context(|| format!("{} failed: is it plugged in?", self.name))?;
        if pcm.state() == State::Prepared {
            pcm.start().with_context(|| format!("{} does not start again", self.name))?;
        }
        self.ready.clear();
        self.clock.reset();
        Ok(())
    }
}

impl AudioSource for AlsaSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        while self.ready.len() < BLOCK {
            self.read()?;
        }
        // Captured but not read yet; the plug layer and some drivers cannot say.
        let waiting = self.device.pcm.delay().unwrap_or(0).max(0) as u64;
        let age = Duration::from_micros(waiting * 1_000_000 / u64::from(self.device.rate))
            + BLOCK_TIME.mul_f64(self.ready.len() as f64 / BLOCK as f64);
        let now = Instant::now();
        let captured = self.clock.block(now.checked_sub(age).unwrap_or(now));
        Ok(PcmBlock { samples: self.ready.drain(..BLOCK).collect(), captured })
    }
}
