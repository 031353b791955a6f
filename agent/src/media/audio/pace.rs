//! The pace of 20 ms blocks where no sound card gives it, and the brake for devices without a clock.

use std::time::{Duration, Instant};

/// The time that one [`super::BLOCK`] lasts.
pub const BLOCK_TIME: Duration = Duration::from_millis(20);
/// A thread that was held up longer than this (suspend, debugger) starts a new count instead of racing after it.
const MAX_BEHIND: Duration = Duration::from_millis(200);
/// How far a device may run ahead of the clock: more than any of our device buffers holds.
const MAX_AHEAD: Duration = Duration::from_millis(200);
/// Cards are off by some 100 ppm; one percent is never a card, but a device without a clock.
const AHEAD_LEAK: f64 = 1.01;

/// Slots of 20 ms on the monotonic clock, counted from a start so that nothing drifts.
#[derive(Debug)]
pub struct Pacer {
    start: Instant,
    slots: u32,
}

impl Pacer {
    /// The first slot begins now.
    pub fn new(now: Instant) -> Self {
        Self { start: now, slots: 0 }
    }

    /// The begin and end of the next slot. It lies in the past while the caller catches up.
    pub fn next_slot(&mut self, now: Instant) -> (Instant, Instant) {
        let mut begin = self.start + BLOCK_TIME * self.slots;
        if now.saturating_duration_since(begin + BLOCK_TIME) > MAX_BEHIND || self.slots == u32::MAX - 1 {
            *self = Self::new(now);
            begin = now;
        }
        self.slots += 1;
        (begin, begin + BLOCK_TIME)
    }
}

/// Holds back a device that hands over or takes blocks faster than time passes (ALSA's `null`, a file plugin).
#[derive(Debug)]
pub struct Throttle {
    last: Instant,
    ahead: Duration,
}

impl Throttle {
    /// Nothing has passed yet.
    pub fn new(now: Instant) -> Self {
        Self { last: now, ahead: Duration::ZERO }
    }

    /// One block has passed; returns how long to sleep before the next.
    pub fn block_passed(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.last).mul_f64(AHEAD_LEAK);
        self.last = now;
        self.ahead = self.ahead.saturating_sub(elapsed) + BLOCK_TIME;
        self.ahead.saturating_sub(MAX_AHEAD)
    }
}

/// Sleeps until an instant; returns at once if it has passed.
pub fn sleep_until(instant: Instant) {
    let wait = instant.saturating_duration_since(Instant::now());
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_drift_when_the_caller_is_late() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        let mut now = start;
        for n in 0..3000 {
            let (begin, end) = pacer.next_slot(now);
            assert_eq!(begin, start + BLOCK_TIME * n);
            now = end + Duration::from_millis(u64::from(n % 7));
        }
    }

    #[test]
    fn a_long_stop_starts_a_new_count_instead_of_a_burst() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.next_slot(start);
        let later = start + Duration::from_secs(60);
        assert_eq!(pacer.next_slot(later), (later, later + BLOCK_TIME));
    }

    #[test]
    fn a_device_without_a_clock_is_held_to_real_time() {
        let start = Instant::now();
        let (mut throttle, mut now) = (Throttle::new(start), start);
        for _ in 0..1000 {
            now += throttle.block_passed(now);
        }
        let passed = (now - start).as_secs_f64();
        assert!((19.5..20.1).contains(&passed), "1000 blocks took {passed} s");
    }

    #[test]
    fn a_card_that_is_some_hundred_ppm_fast_is_never_held_back() {
        let start = Instant::now();
        let (mut throttle, mut now) = (Throttle::new(start), start);
        for _ in 0..180_000 {
            now += BLOCK_TIME.mul_f64(1.0 - 500e-6);
            assert_eq!(throttle.block_passed(now), Duration::ZERO);
        }
    }
}
