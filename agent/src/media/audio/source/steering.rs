//! Keeps captured sound on the monotonic clock: how the converter is trimmed so that a block's 20 ms are 20 ms.

use std::time::{Duration, Instant};

use crate::media::audio::{
    SAMPLE_RATE,
    clock::{CardClock, seconds},
};

/// The card's time may be off by this much from what is written on the blocks; beyond it is a gap and no drift.
const JUMP: f64 = 0.015;
/// The same for what has no clock worth following: more than it is let run ahead of time.
const JUMP_WITHOUT_CLOCK: f64 = 0.25;
/// A difference is taken back within about this many seconds, ...
const SETTLE: f64 = 1.0;
/// ... at a pitch that is at most so much off besides the drift: 9 cents, which nobody hears in a room's sound.
const MAX_STEER: f64 = 0.005;

/// What is to be done before more sound is converted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// Convert with this trim.
    Convert(f64),
    /// Sound was lost: throw away the part of a block that is ready, its time is over. Then ask again.
    Begin,
    /// The sound is older than what is written on it: leave out so many frames. Then ask again.
    Skip(f64),
}

/// The times that are written on the blocks, which follow each other without a gap as long as the card gives sound.
#[derive(Debug, Default)]
pub struct Steering {
    /// The time of the next output sample that is not in a block yet.
    next: Option<Instant>,
    /// Nothing may be written that is earlier than this.
    floor: Option<Instant>,
    /// Seconds by which the sound is older than what is written on it, after the last plan.
    error: f64,
}

impl Steering {
    /// The next output sample is the card's frame `position`, and `ready` output samples wait to become a block.
    pub fn plan(&mut self, clock: &CardClock, position: f64, ready: usize) -> Plan {
        let (Some(real), Some(trim)) = (clock.time_of(position), Some(clock.trim())) else {
            return Plan::Convert(0.0);
        };
        let Some(next) = self.next else {
            if ready > 0 {
                return Plan::Begin;
            }
            self.next = Some(self.floor.map_or(real, |floor| floor.max(real)));
            self.error = 0.0;
            return Plan::Convert(trim);
        };
        let written = next + Duration::from_secs_f64(ready as f64 / f64::from(SAMPLE_RATE));
        let error = seconds(written, real);
        self.error = error;
        if !clock.is_steady() {
            if error.abs() > JUMP_WITHOUT_CLOCK {
                // Such a device is no measure of time: what it ran ahead is taken back, and nothing is lost of it.
                let held = Duration::from_secs_f64(ready as f64 / f64::from(SAMPLE_RATE));
                self.next = real.checked_sub(held);
            }
            return Plan::Convert(0.0);
        }
        if error < -JUMP {
            self.next = None;
            return Plan::Begin;
        }
        if error > JUMP {
            let frames = clock.frame_at(written).map_or(0.0, |frame| frame - position);
            return if frames > 0.0 { Plan::Skip(frames) } else { Plan::Convert(trim) };
        }
        Plan::Convert(trim + (error / SETTLE).clamp(-MAX_STEER, MAX_STEER))
    }

    /// The time to write on a block of `samples` that is taken away now; None if nothing was planned yet.
    pub fn take(&mut self, samples: usize) -> Option<Instant> {
        let begin = self.next?;
        let end = begin + Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE));
        self.next = Some(end);
        self.floor = Some(end);
        Some(begin)
    }

    /// The card lost sound: the next block stands for itself, but not before the end of the last.
    pub fn gap(&mut self) {
        self.next = None;
    }

    /// By how much the sound differs from what is written on it, as far as the card's clock tells.
    pub fn error(&self) -> f64 {
        self.error
    }
}
