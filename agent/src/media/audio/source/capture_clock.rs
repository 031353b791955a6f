//! When captured samples were taken: the device's own report, freed from its jitter.

use std::time::{Duration, Instant};

use crate::media::audio::pace::BLOCK_TIME;

/// Part of a difference that is taken over each block: follows a crystal that is off by 500 ppm with a lag of
/// 0.6 ms, and lets a scheduling hiccup of 5 ms move a timestamp by 80 us.
const FOLLOW: f64 = 1.0 / 64.0;
/// A larger difference is a gap (overrun, device stopped), not jitter.
const GAP: Duration = Duration::from_millis(40);

/// Steady capture times for blocks that follow each other.
#[derive(Debug, Default)]
pub struct CaptureClock {
    next: Option<Instant>,
}

impl CaptureClock {
    /// The device says that the block's first sample was taken at `measured`; returns the time to write on it.
    pub fn block(&mut self, measured: Instant) -> Instant {
        let captured = match self.next {
            Some(expected) if measured >= expected && measured - expected <= GAP => {
                expected + (measured - expected).mul_f64(FOLLOW)
            }
            Some(expected) if measured < expected && expected - measured <= GAP => {
                expected - (expected - measured).mul_f64(FOLLOW)
            }
            _ => measured,
        };
        self.next = Some(captured + BLOCK_TIME);
        captured
    }

    /// Samples were lost: the next block stands for itself.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_smoothed_and_a_crystal_is_followed() {
        let start = Instant::now() + Duration::from_secs(1);
        let mut clock = CaptureClock::default();
        for n in 0..30_000_u32 {
            // 200 ppm fast, reports off by up to 5 ms.
            let real = start + BLOCK_TIME.mul_f64(f64::from(n) * 0.9998);
            let captured = clock.block(real + Duration::from_micros(u64::from(n * 7919 % 5000)));
            let off = (captured + Duration::from_millis(100) - real).as_secs_f64() - 0.1;
            assert!((-0.001..0.006).contains(&off), "block {n} is off by {off} s");
        }
    }

    #[test]
    fn a_gap_shows_in_the_time() {
        let start = Instant::now();
        let mut clock = CaptureClock::default();
        clock.block(start);
        let after = start + Duration::from_millis(300);
        assert_eq!(clock.block(after), after);
    }
}
