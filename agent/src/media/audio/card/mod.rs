//! An ALSA PCM device in the format nearest to ours, with its troubles told apart and its stamps read.

mod advice;
mod format;
mod negotiate;
mod owner;
mod trouble;

use std::{
    ffi::CString,
    time::{Duration, Instant},
};

use alsa::{
    Direction,
    pcm::{Frames, PCM, State},
};
use anyhow::{Context, anyhow};

pub use self::{advice::forbidden, format::SampleFormat, negotiate::Terms, trouble::Trouble};
use crate::media::video::source::monotonic::{instant_of, kernel_now};

/// A card that gives or takes nothing for this long is broken (an unplugged one often does not say so).
pub const STALL: Duration = Duration::from_secs(1);
/// A driver that is still waking up from a suspend is asked again after this.
const RESUME_RETRY: Duration = Duration::from_millis(20);

/// An open PCM device, configured.
pub struct Card {
    pcm: PCM,
    direction: Direction,
    /// What was agreed on with the driver.
    pub terms: Terms,
}

/// What the driver says of a running device, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Frames that can be read or written now.
    pub avail: u64,
    /// Capture: frames between the microphone and the next one to be read. Playback: frames between the next one to
    /// be written and the loudspeaker.
    pub delay: u64,
    /// When that was so.
    pub at: Instant,
}

impl Card {
    /// Opens `device` with a ring of about `buffer`. A card whose samples nobody here can read is tried again through
    /// ALSA's plug layer.
    pub fn open(device: &str, direction: Direction, buffer: Duration) -> anyhow::Result<Self> {
        // alsa-lib writes to stderr by itself, again with each try of ours: on this thread it shall not.
        let said = alsa::Output::local_error_handler();
        let opened = Self::try_open(device, direction, buffer);
        if let (Err(_), Ok(said)) = (&opened, &said) {
            tracing::trace!(device, said = %said.borrow(), "alsa-lib");
        }
        match opened {
            Ok(open) => Ok(open),
            Err(Refusal::Open(error)) => Err(anyhow!(error)).with_context(|| {
                format!(
                    "sound card {device} does not open: {}",
                    advice::opening(device, direction, error.errno())
                )
            }),
            Err(Refusal::Terms(error)) => {
                if let Some(rest) = device.strip_prefix("hw:")
                    && let Ok(open) = Self::try_open(&format!("plughw:{rest}"), direction, buffer)
                {
                    return Ok(open);
                }
                Err(anyhow!(error)).with_context(|| {
                    format!("sound card {device} cannot be set up: {}", advice::terms(device, error.errno()))
                })
            }
        }
    }

    fn try_open(device: &str, direction: Direction, buffer: Duration) -> Result<Self, Refusal> {
        let name = CString::new(device)
            .map_err(|_| Refusal::Open(alsa::Error::new("snd_pcm_open", libc::ENOENT)))?;
        // Non-blocking, so that a dead or busy device cannot hold the thread.
        let pcm = PCM::open(&name, direction, true).map_err(Refusal::Open)?;
        let terms = negotiate::agree(&pcm, direction, buffer).map_err(Refusal::Terms)?;
        Ok(Self { pcm, direction, terms })
    }

    /// Starts a capture; playback starts by itself with the first period that is written.
    pub fn start(&self) -> alsa::Result<()> {
        if self.direction == Direction::Capture && self.pcm.state() == State::Prepared {
            self.pcm.start()?;
        }
        Ok(())
    }

    /// Reads what is there as frames of the card's format; how many frames came, 0 for none.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Trouble> {
        self.pcm.io_bytes().readi(bytes).or_else(Trouble::none_yet)
    }

    /// Writes frames of the card's format; how many were taken, 0 for none.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Trouble> {
        self.pcm.io_bytes().writei(bytes).or_else(Trouble::none_yet)
    }

    /// Waits until a period can be read, at most for `longest`.
    pub fn wait(&self, longest: Duration) -> Result<(), Trouble> {
        let milliseconds = longest.as_millis().min(1000) as u32 + 1;
        self.pcm.wait(Some(milliseconds)).map(drop).map_err(Trouble::from)
    }

    /// Where it stands, with the driver's time where it has one.
    pub fn standing(&self) -> Result<Standing, Trouble> {
        let status = self.pcm.status().map_err(Trouble::from)?;
        match status.get_state() {
            State::XRun => return Err(Trouble::Xrun),
            State::Suspended => return Err(Trouble::Suspended),
            State::Disconnected => {
                return Err(Trouble::from(alsa::Error::new("snd_pcm_status", libc::ENODEV)));
            }
            _ => {}
        }
        let (stamp, now) = (status.get_htstamp(), Instant::now());
        let stamp = Duration::new(stamp.tv_sec.max(0) as u64, stamp.tv_nsec.clamp(0, 999_999_999) as u32);
        let positive = |frames: Frames| u64::try_from(frames).unwrap_or(0);
        // A plugin without a clock stamps nothing: then it is now.
        let at = if stamp.is_zero() { now } else { instant_of(stamp, kernel_now(), now) };
        Ok(Standing { avail: positive(status.get_avail()), delay: positive(status.get_delay()), at })
    }

    /// Gets it going after an overrun, an underrun or a suspend; its frames count from 0 then. `deadline` bounds the
    /// wait for a driver that still wakes up.
    pub fn recover(&self, trouble: &Trouble, deadline: Instant) -> anyhow::Result<()> {
        match trouble {
            Trouble::Gone(error) => return Err(anyhow!(*error)).context("is it plugged in?"),
            Trouble::Suspended => self.resume(deadline)?,
            Trouble::Xrun => {}
        }
        if self.pcm.state() != State::Prepared {
            self.pcm.prepare().context("it cannot be prepared again")?;
        }
        self.start().context("it does not start again")
    }

    /// Drivers that cannot go on where they were are prepared anew, which is as good for a live sound.
    fn resume(&self, deadline: Instant) -> anyhow::Result<()> {
        while let Err(error) = self.pcm.resume() {
            if error.errno() != libc::EAGAIN {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "it does not wake up from the suspend");
            std::thread::sleep(RESUME_RETRY);
        }
        // Resumed, it runs on with what was in its ring: old.
        self.pcm.drop().context("it cannot be stopped")
    }
}

/// Whether a PCM device opens and agrees on terms: a look before anything needs it.
pub fn try_open(device: &str, direction: Direction) -> anyhow::Result<()> {
    Card::open(device, direction, Duration::from_millis(100)).map(drop)
}

enum Refusal {
    Open(alsa::Error),
    Terms(alsa::Error),
}
