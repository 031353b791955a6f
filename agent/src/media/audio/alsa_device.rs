//! Opens an ALSA PCM in the format nearest to ours.

use std::time::Duration;

use alsa::{
    Direction, ValueOr,
    pcm::{Access, Format, Frames, HwParams, PCM},
};
use anyhow::{Context, anyhow};

use super::SAMPLE_RATE;

/// A card wakes us once per block.
const PERIOD: Duration = Duration::from_millis(20);

/// An open PCM with interleaved samples of 16 bits.
pub struct AlsaDevice {
    /// Non-blocking, so that a dead device cannot hold the thread.
    pub pcm: PCM,
    /// Samples per second and channel.
    pub rate: u32,
    /// Interleaved channels.
    pub channels: usize,
    /// What the device's ring holds, in samples per channel.
    pub buffer: Frames,
}

/// Opens `device` with a ring of about `buffer`. A card that refuses 16 bits is tried again through ALSA's plug layer.
pub fn open(device: &str, direction: Direction, buffer: Duration) -> anyhow::Result<AlsaDevice> {
    // alsa-lib writes to stderr by itself, again with each try of ours: on this thread it shall not.
    let said = alsa::Output::local_error_handler();
    let opened = try_open(device, direction, buffer);
    if let (Err(_), Ok(said)) = (&opened, &said) {
        tracing::trace!(device, said = %said.borrow(), "alsa-lib");
    }
    match opened {
        Ok(open) => Ok(open),
        Err(Refusal::Open(error)) => Err(anyhow!(error))
            .with_context(|| format!("sound card {device} does not open: {}", advice(error))),
        Err(Refusal::Format(error)) => {
            if let Some(rest) = device.strip_prefix("hw:")
                && let Ok(open) = try_open(&format!("plughw:{rest}"), direction, buffer)
            {
                return Ok(open);
            }
            Err(anyhow!(error)).with_context(|| {
                format!("sound card {device} has no format that can be converted: write plug:'{device}'")
            })
        }
    }
}

enum Refusal {
    Open(alsa::Error),
    Format(alsa::Error),
}

fn try_open(device: &str, direction: Direction, buffer: Duration) -> Result<AlsaDevice, Refusal> {
    let name = std::ffi::CString::new(device)
        .map_err(|_| Refusal::Open(alsa::Error::new("snd_pcm_open", libc::ENOENT)))?;
    let pcm = PCM::open(&name, direction, true).map_err(Refusal::Open)?;
    let (rate, channels, buffer) = negotiate(&pcm, direction, buffer).map_err(Refusal::Format)?;
    Ok(AlsaDevice { pcm, rate, channels, buffer })
}

fn negotiate(pcm: &PCM, direction: Direction, buffer: Duration) -> alsa::Result<(u32, usize, Frames)> {
    // First without ALSA's rate converter, which by default interpolates in straight lines; ours is better.
    let hardware = match configure(pcm, buffer, false) {
        Ok(hardware) => hardware,
        Err(_) => configure(pcm, buffer, true)?,
    };
    let software = pcm.sw_params_current()?;
    let period = hardware.get_period_size()?;
    software.set_avail_min(period)?;
    if direction == Direction::Playback {
        // The sink fills the ring with silence before it plays; that shall start it.
        software.set_start_threshold(period)?;
    }
    pcm.sw_params(&software)?;
    Ok((hardware.get_rate()?, hardware.get_channels()? as usize, hardware.get_buffer_size()?))
}

fn configure(pcm: &PCM, buffer: Duration, resample: bool) -> alsa::Result<HwParams<'_>> {
    let params = HwParams::any(pcm)?;
    params.set_rate_resample(resample)?;
    params.set_access(Access::RWInterleaved)?;
    params.set_format(Format::S16LE)?;
    if params.set_channels(1).is_err() {
        params.set_channels_near(2)?;
    }
    if params.set_rate(SAMPLE_RATE, ValueOr::Nearest).is_err() {
        params.set_rate_near(SAMPLE_RATE, ValueOr::Nearest)?;
    }
    params.set_period_time_near(PERIOD.as_micros() as u32, ValueOr::Nearest)?;
    params.set_buffer_time_near(buffer.as_micros() as u32, ValueOr::Nearest)?;
    pcm.hw_params(&params)?;
    Ok(params)
}

/// What a technician can do about a device that does not open.
fn advice(error: alsa::Error) -> &'static str {
    match error.errno() {
        libc::EBUSY => "another program holds it; stop that, or name a shared device as `alsa:default`",
        libc::EACCES | libc::EPERM => "no permission; put the agent's user into the group `audio`",
        _ => "is it plugged in? `p2pcam-agent devices` lists what there is",
    }
}
