//! Rate, channels, format and ring: what is asked of a card, in which order, and what was agreed on.

use std::{fmt, time::Duration};

use alsa::{
    Direction, ValueOr,
    pcm::{Access, Frames, HwParams, PCM, TstampType},
};

use super::SampleFormat;
use crate::media::audio::SAMPLE_RATE;

/// A card wakes us twice a block: what waits for its block to be complete waits half as long, and a board still has
/// little to do.
const PERIOD: Duration = Duration::from_millis(10);

/// What a card was set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Frames per second.
    pub rate: u32,
    /// Interleaved channels.
    pub channels: usize,
    /// How a sample looks.
    pub format: SampleFormat,
    /// Frames between two interrupts.
    pub period: u64,
    /// Frames that the ring holds.
    pub buffer: u64,
}

impl Terms {
    /// Frames in a time.
    pub fn frames(&self, time: Duration) -> u64 {
        u64::from(self.rate) * time.as_micros() as u64 / 1_000_000
    }

    /// The time that frames take.
    pub fn time(&self, frames: u64) -> Duration {
        Duration::from_nanos(frames.saturating_mul(1_000_000_000) / u64::from(self.rate.max(1)))
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }
}

/// For the log: `44100 Hz, 2 channels, S32_LE, period 441 frames (10.0 ms), ring 7056 frames (160.0 ms)`.
impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.channels == 1 { "" } else { "s" };
        let ms = |frames: u64| self.time(frames).as_secs_f64() * 1000.0;
        write!(
            f,
            "{} Hz, {} channel{plural}, {}, period {} frames ({:.1} ms), ring {} frames ({:.1} ms)",
            self.rate,
            self.channels,
            self.format.alsa(),
            self.period,
            ms(self.period),
            self.buffer,
            ms(self.buffer)
        )
    }
}

/// Agrees with the driver on what is nearest to 48 kHz mono of 16 bits.
pub fn agree(pcm: &PCM, direction: Direction, buffer: Duration) -> alsa::Result<Terms> {
    // First without ALSA's rate converter, which by default interpolates in straight lines; ours is better.
    let hardware = match configure(pcm, buffer, false) {
        Ok(hardware) => hardware,
        Err(_) => configure(pcm, buffer, true)?,
    };
    let (hardware, format) = hardware;
    let period = hardware.get_period_size()?;
    let software = pcm.sw_params_current()?;
    software.set_avail_min(period)?;
    if direction == Direction::Playback {
        // The sink fills the ring with silence before it plays; that shall start it.
        software.set_start_threshold(period)?;
    }
    // Plugins may know neither; then the time is that of the look at them.
    if software.set_tstamp_mode(true).is_ok() {
        let _ = software.set_tstamp_type(TstampType::Monotonic);
    }
    pcm.sw_params(&software)?;
    let positive = |frames: Frames| u64::try_from(frames).unwrap_or(0);
    Ok(Terms {
        rate: hardware.get_rate()?.max(1),
        channels: (hardware.get_channels()? as usize).max(1),
        format,
        period: positive(period),
        buffer: positive(hardware.get_buffer_size()?),
    })
}

/// The rate comes first: a card that has one channel only at a low rate shall give two at a high one.
fn configure(pcm: &PCM, buffer: Duration, resample: bool) -> alsa::Result<(HwParams<'_>, SampleFormat)> {
    let params = HwParams::any(pcm)?;
    params.set_rate_resample(resample)?;
    params.set_access(Access::RWInterleaved)?;
    if params.set_rate(SAMPLE_RATE, ValueOr::Nearest).is_err() {
        params.set_rate_near(SAMPLE_RATE, ValueOr::Nearest)?;
    }
    if params.set_channels(1).is_err() {
        params.set_channels_near(2)?;
    }
    let format = SampleFormat::PREFERRED
        .into_iter()
        .find(|format| params.set_format(format.alsa()).is_ok())
        .ok_or(alsa::Error::new("snd_pcm_hw_params_set_format", libc::EINVAL))?;
    params.set_period_time_near(PERIOD.as_micros() as u32, ValueOr::Nearest)?;
    params.set_buffer_time_near(buffer.as_micros() as u32, ValueOr::Nearest)?;
    pcm.hw_params(&params)?;
    Ok((params, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_told_in_frames_and_milliseconds() {
        let terms =
            Terms { rate: 44_100, channels: 2, format: SampleFormat::S24Packed, period: 441, buffer: 7056 };
        assert_eq!(
            terms.to_string(),
            "44100 Hz, 2 channels, S24_3LE, period 441 frames (10.0 ms), ring 7056 frames (160.0 ms)"
        );
        assert_eq!((terms.frames(Duration::from_millis(20)), terms.frame_bytes()), (882, 6));
    }
}
