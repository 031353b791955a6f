//! Kernel timestamps (CLOCK_MONOTONIC) as `Instant`s.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

/// Older timestamps are not believed: no driver holds a picture back for so long.
const MAX_AGE: Duration = Duration::from_secs(2);

/// The `Instant` of a CLOCK_MONOTONIC time, given both clocks' present. A time from the future or too long ago is
/// taken as the present.
pub fn instant_of(kernel: Duration, kernel_now: Duration, now: Instant) -> Instant {
    let age = kernel_now.checked_sub(kernel).filter(|age| *age <= MAX_AGE).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// CLOCK_MONOTONIC now.
pub fn kernel_now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    // `time_t` has 32 bits on 32-bit boards; this clock begins at power-on.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_time_is_as_old_as_an_instant() {
        let (kernel, now) = (Duration::from_secs(1000), Instant::now());
        let age = Duration::from_millis(17);
        assert_eq!(instant_of(kernel - age, kernel, now), now - age);
    }

    #[test]
    fn times_that_cannot_be_are_taken_as_the_present() {
        let (kernel, now) = (Duration::from_secs(1000), Instant::now());
        assert_eq!(instant_of(Duration::ZERO, kernel, now), now);
        assert_eq!(instant_of(kernel + Duration::from_secs(5), kernel, now), now);
    }

    #[test]
    fn the_kernel_clock_is_the_one_of_instants() {
        // Each reading of the one clock lies between two of the other.
        let read = || (Instant::now(), kernel_now(), Instant::now());
        let first = read();
        while first.2.elapsed() < Duration::from_millis(20) {}
        let second = read();
        let passed = second.1 - first.1;
        // A timespec is whole nanoseconds on both; a microsecond is for virtual machines.
        let (least, most) = (second.0 - first.2, second.2 - first.0 + Duration::from_micros(1));
        assert!((least.saturating_sub(Duration::from_micros(1))..=most).contains(&passed), "{passed:?}");
    }
}
