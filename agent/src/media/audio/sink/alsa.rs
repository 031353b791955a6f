//! A speaker at an ALSA sound card.

use std::time::{Duration, Instant};

use alsa::Direction;
use anyhow::{Context, bail};

use crate::media::audio::{
    AudioSink, SAMPLE_RATE,
    alsa_device::{self, AlsaDevice},
    dsp::resample::Resampler,
};

/// The card's ring: small, because all of it is delay; four periods, because a busy board needs them.
const BUFFER: Duration = Duration::from_millis(80);
/// The start fills the ring up to here with silence, so that the first block already meets a playing card.
const PREFILL: Duration = Duration::from_millis(60);
/// A card that takes nothing for this long is broken.
const STALL: Duration = Duration::from_secs(1);

/// Plays 48 kHz mono in the card's own format.
pub struct AlsaSink {
    name: String,
    device: AlsaDevice,
    resampler: Option<Resampler>,
    mono: Vec<i16>,
    interleaved: Vec<i16>,
}

impl AlsaSink {
    /// Opens the card and starts it with silence; `device` is an ALSA PCM name.
    pub fn open(device: &str) -> anyhow::Result<Self> {
        let name = format!("alsa:{device}");
        let device = alsa_device::open(device, Direction::Playback, BUFFER)?;
        let resampler = (device.rate != SAMPLE_RATE)
            .then(|| Resampler::new(SAMPLE_RATE, device.rate))
            .transpose()
            .with_context(|| name.clone())?;
        tracing::debug!(%name, rate = device.rate, channels = device.channels, "speaker opened");
        let mut sink = Self { name, device, resampler, mono: Vec::new(), interleaved: Vec::new() };
        sink.prefill()?;
        Ok(sink)
    }

    fn prefill(&mut self) -> anyhow::Result<()> {
        let wanted = u64::from(self.device.rate) * PREFILL.as_millis() as u64 / 1000;
        // A ring that is smaller than asked for keeps a quarter free, else the silence alone would block.
        let frames = (wanted as usize).min(self.device.buffer.max(0) as usize * 3 / 4);
        let silence = vec![0; frames * self.device.channels];
        self.write(&silence, false)
    }

    /// Writes all samples, waiting for room; `refill` after an underrun.
    fn write(&mut self, samples: &[i16], refill: bool) -> anyhow::Result<()> {
        let mut rest = samples;
        let mut deadline = Instant::now() + STALL;
        while !rest.is_empty() {
            let written = self.device.pcm.io_i16().and_then(|io| io.writei(rest));
            match written {
                Ok(frames) if frames > 0 => {
                    rest = &rest[frames * self.device.channels..];
                    deadline = Instant::now() + STALL;
                }
                failed => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // Also if each write fails in a way that is recovered from: such a card never gets going.
                    if left.is_zero() {
                        bail!("{} took no sound for 1 s: is it plugged in?", self.name);
                    }
                    match failed {
                        Err(error) if error.errno() != libc::EAGAIN => self.recover(error, refill)?,
                        _ => {
                            if let Err(error) = self.device.pcm.wait(Some(left.as_millis() as u32 + 1)) {
                                self.recover(error, refill)?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn recover(&mut self, error: alsa::Error, refill: bool) -> anyhow::Result<()> {
        tracing::trace!(name = self.name, %error, "playback underrun");
        let recovered = self.device.pcm.try_recover(error, true);
        recovered.with_context(|| format!("{} failed: is it plugged in?", self.name))?;
        if refill { self.prefill() } else { Ok(()) }
    }
}

impl AudioSink for AlsaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn play(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        self.mono.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.process(samples, &mut self.mono),
            None => self.mono.extend_from_slice(samples),
        }
        self.interleaved.clear();
        let channels = self.device.channels;
        self.interleaved.extend(self.mono.iter().flat_map(|&s| std::iter::repeat_n(s, channels)));
        let interleaved = std::mem::take(&mut self.interleaved);
        let result = self.write(&interleaved, true);
        self.interleaved = interleaved;
        result
    }
}
