//! How often a viewer is heard, and after what silence its path is probably broken. Pure.

use std::time::{Duration, Instant};

/// Packets closer together came as one.
const BURST: Duration = Duration::from_millis(5);
/// Before the rhythm is known. Viewers send RTCP every 50 to 250 ms while they get a picture (TWCC), and checks besides.
const FIRST: Duration = Duration::from_millis(150);
/// So many in a row are lost once in three million where each twentieth is: once in ninety hours of ten a second.
const MISSING: u32 = 5;
/// What the network adds to the pause between two packets now and then.
const JITTER: Duration = Duration::from_millis(100);
/// TCP-like pauses and a busy processor on either side are no loss.
const LEAST: Duration = Duration::from_millis(500);
/// A viewer that sends nothing but consent checks (RFC 7675 section 5.1: every 4 to 6 s) is left to what it notices itself.
const MOST: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug)]
pub(super) struct Rhythm {
    last: Instant,
    pause: Duration,
}

impl Rhythm {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, pause: FIRST }
    }

    /// When something came last.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// The silence that breaks the rhythm.
    pub(super) fn quiet(&self) -> Duration {
        (self.pause * (MISSING + 1) + JITTER).clamp(LEAST, MOST)
    }

    /// A packet came. Longer pauses are believed faster than shorter ones, so that a few lost packets are no surprise;
    /// a silence, whatever its reason, counts only as far as it was to be noticed.
    pub(super) fn heard(&mut self, at: Instant) {
        let pause = at.saturating_duration_since(self.last).min(self.quiet());
        self.last = self.last.max(at);
        if pause < BURST {
            return;
        }
        if pause > self.pause {
            self.pause += (pause - self.pause) / 4;
        } else {
            self.pause -= (self.pause - pause) / 32;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A source of chance that is the same each time (SplitMix64).
    struct Chance(u64);

    impl Chance {
        fn share(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// False alarms in so many hours of a packet each `every`, one in twenty lost, each up to 100 ms late.
    fn false_alarms(every: Duration, hours: u32, seed: u64) -> u32 {
        let (start, mut chance) = (Instant::now(), Chance(seed));
        let mut rhythm = Rhythm::new(start);
        let (mut alarms, mut latest) = (0, start);
        for n in 1..=(Duration::from_secs(3600) * hours).as_millis() / every.as_millis() {
            if chance.share() < 0.05 {
                continue;
            }
            let late = JITTER.mul_f64(chance.share());
            // A line keeps the order.
            latest = latest.max(start + every * u32::try_from(n).unwrap() + late);
            alarms += u32::from(latest - rhythm.last() >= rhythm.quiet());
            rhythm.heard(latest);
        }
        alarms
    }

    #[test]
    fn five_percent_of_loss_and_100_ms_of_jitter_are_no_alarm() {
        for every in [50, 100, 250] {
            assert_eq!(false_alarms(every * MS, 24, 7), 0, "a packet each {every} ms, for a day");
        }
    }

    #[test]
    fn a_viewer_that_gets_a_picture_is_missed_in_less_than_a_second() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        assert_eq!(rhythm.quiet(), 1000 * MS);
        for n in 1..300 {
            rhythm.heard(start + n * 100 * MS);
        }
        assert!((700 * MS..750 * MS).contains(&rhythm.quiet()), "{:?}", rhythm.quiet());
        for n in 1..1000 {
            rhythm.heard(start + 30_000 * MS + n * 20 * MS);
        }
        assert_eq!(rhythm.quiet(), LEAST, "who talks is missed sooner");
    }

    #[test]
    fn a_viewer_that_only_shows_its_consent_is_soon_known_as_such() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        let mut alarms = Vec::new();
        for n in 1..100 {
            let at = start + n * 5000 * MS;
            if at - rhythm.last() >= rhythm.quiet() {
                alarms.push(n);
            }
            rhythm.heard(at);
        }
        assert_eq!(alarms, [1, 2]);
    }

    #[test]
    fn a_silence_of_a_minute_does_not_make_it_patient() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new(start);
        for n in 1..300 {
            rhythm.heard(start + n * 100 * MS);
        }
        rhythm.heard(start + 90_000 * MS);
        assert!(rhythm.quiet() < 1700 * MS, "{:?}", rhythm.quiet());
    }
}
