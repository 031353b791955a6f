//! The RTP time of a stream, from the clock that pictures and sound are captured by.

use std::time::{Duration, Instant};

/// What RTP time a stream gives to an instant of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct RtpClock {
    /// Ticks per second.
    rate: u32,
    /// RTP time at `epoch` (RFC 3550 section 5.1: random).
    offset: u32,
    epoch: Instant,
}

impl RtpClock {
    /// Starts at `epoch` with the RTP time that the lower half of `random` says.
    pub fn new(rate: u32, epoch: Instant, random: u64) -> Self {
        Self { rate, offset: random as u32, epoch }
    }

    /// Ticks per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// RTP time of an instant, also of one before the epoch (a replayed picture).
    pub fn at(&self, instant: Instant) -> u32 {
        let ticks = |d: Duration| (d.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u32;
        match instant.checked_duration_since(self.epoch) {
            Some(after) => self.offset.wrapping_add(ticks(after)),
            None => self.offset.wrapping_sub(ticks(self.epoch.duration_since(instant))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_follows_the_capture_clock_in_both_directions() {
        let epoch = Instant::now();
        let clock = RtpClock::new(90_000, epoch, 0xffff_0000_0000 | 100);
        assert_eq!(clock.at(epoch + Duration::from_millis(500)), 45_100);
        assert_eq!(clock.at(epoch - Duration::from_millis(10)), 100u32.wrapping_sub(900));
    }
}
