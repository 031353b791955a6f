//! NTP time of one session (RFC 3550 section 4): the wall clock at its start, then the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// From the NTP epoch (1900) to that of Unix, in seconds (RFC 868).
const UNIX_IN_NTP: u64 = 2_208_988_800;

/// Gives NTP time to instants. Boards have no clock of their own and step theirs when the network tells the time:
/// receivers compare the reports of a session with each other only, so that one start for all must do.
#[derive(Clone, Copy, Debug)]
pub struct NtpClock {
    epoch: Instant,
    start: u64,
}

impl NtpClock {
    /// `wall` is the time of day at `epoch`; one before 1970 counts as 1970.
    pub fn new(epoch: Instant, wall: SystemTime) -> Self {
        let since_1970 = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch, start: (UNIX_IN_NTP << 32).wrapping_add(fixed(since_1970)) }
    }

    /// NTP time, 32.32 bits, of an instant at or after the epoch.
    pub fn at(&self, instant: Instant) -> u64 {
        self.start.wrapping_add(fixed(instant.saturating_duration_since(self.epoch)))
    }
}

/// The 32 bits in the middle of an NTP time: seconds in 16.16 bits.
pub(super) fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A duration in units of 1/65536 s, as long as 32 bits last (18 hours).
pub(super) fn short(duration: Duration) -> u32 {
    u32::try_from(fixed(duration) >> 16).unwrap_or(u32::MAX)
}

/// 32.32 bits; whole seconds wrap as NTP's do in 2036.
fn fixed(duration: Duration) -> u64 {
    let fraction = (u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000;
    (duration.as_secs() << 32) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_wall_clock_of_the_start() {
        let epoch = Instant::now();
        let clock = NtpClock::new(epoch, UNIX_EPOCH + Duration::from_millis(1_500));
        assert_eq!(clock.at(epoch), (2_208_988_801 << 32) | 1 << 31);
        assert_eq!(clock.at(epoch + Duration::from_millis(750)), (2_208_988_802 << 32) | 1 << 30);
    }

    #[test]
    fn the_era_of_2036_wraps_and_differences_stay_right() {
        let epoch = Instant::now();
        let last = UNIX_EPOCH + Duration::from_secs((1 << 32) - UNIX_IN_NTP - 1);
        let clock = NtpClock::new(epoch, last);
        assert_eq!(clock.at(epoch) >> 32, u64::from(u32::MAX));
        let later = epoch + Duration::from_secs(2);
        assert_eq!(clock.at(later) >> 32, 1);
        assert_eq!(middle(clock.at(later)).wrapping_sub(middle(clock.at(epoch))), short(later - epoch));
    }
}
