//! Asks for packets that did not come (RFC 4585 section 6.2.1), as browsers do: at once, and again after a round trip
//! until they come, as themselves or as retransmissions (RFC 4588). Pure.
//!
//! The stack's own generator does not know that a retransmission is what it asked for, asks for lost retransmissions too,
//! and so fills a line that is full already.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What a round trip is taken for until one was measured. Chromium's number.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Not asked again sooner than this: a device may pace what it sends again.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// Nor later than this, whatever was measured.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A packet is asked for so often. Chromium's number.
const MAX_TRIES: u32 = 10;
/// More missing ones are not worth asking for: a key frame is. Chromium's number.
const MAX_MISSING: usize = 1000;
/// Share of a new measurement in the round trip: an eighth, as of TCP's (RFC 6298 section 2.3).
const SMOOTHING: u32 = 8;

#[derive(Clone, Copy, Debug)]
struct Missing {
    due: Instant,
    /// When it was asked for first.
    asked: Option<Instant>,
    tries: u32,
}

/// What of one stream is missing.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Extended number (RFC 3550 appendix A.1) of the highest packet that came.
    highest: Option<i64>,
    missing: BTreeMap<i64, Missing>,
    round_trip: Duration,
}

impl Default for Asking {
    fn default() -> Self {
        Self { highest: None, missing: BTreeMap::new(), round_trip: FIRST_ROUND_TRIP }
    }
}

impl Asking {
    /// A packet came, as itself or as a retransmission.
    pub fn came(&mut self, number: u16, now: Instant) {
        let Some(highest) = self.highest else {
            self.highest = Some(i64::from(number));
            return;
        };
        let number = highest + i64::from(number.wrapping_sub(highest as u16) as i16);
        if let Some(found) = self.missing.remove(&number) {
            // Of one that was asked for again nobody knows which answer this is: taken for the first one's, so that
            // a round trip that a full queue makes longer is noticed.
            if let Some(asked) = found.asked {
                let took = now.saturating_duration_since(asked).min(LONGEST_PAUSE);
                self.round_trip = (self.round_trip * (SMOOTHING - 1) + took) / SMOOTHING;
            }
        }
        if number <= highest {
            return;
        }
        self.highest = Some(number);
        let since = (highest + 1).max(number - MAX_MISSING as i64);
        self.missing.extend((since..number).map(|n| (n, Missing { due: now, asked: None, tries: 0 })));
        while self.missing.len() > MAX_MISSING {
            self.missing.pop_first();
        }
    }

    /// When something is to be asked for.
    pub fn due(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.due).min()
    }

    /// The numbers to ask for now, in order.
    pub fn ask(&mut self, now: Instant) -> Vec<u16> {
        let pause = self.round_trip.max(LEAST_PAUSE);
        let mut numbers = Vec::new();
        self.missing.retain(|number, missing| {
            if missing.due > now {
                return true;
            }
            if missing.tries == MAX_TRIES {
                return false;
            }
            missing.asked.get_or_insert(now);
            missing.tries += 1;
            missing.due = now + pause;
            numbers.push(*number as u16);
            true
        });
        numbers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_gap_is_asked_for_at_once_and_again_after_a_round_trip_until_it_is_filled() {
        let start = Instant::now();
        let mut asking = Asking::default();
        for number in [65_534, 65_535, 2] {
            asking.came(number, start);
        }
        assert_eq!((asking.due(), asking.ask(start)), (Some(start), vec![0, 1]));
        assert!(asking.ask(start + 99 * MS).is_empty());
        asking.came(0, start + 40 * MS);
        assert_eq!(asking.ask(start + 100 * MS), [1]);
        asking.came(1, start + 140 * MS);
        assert_eq!((asking.due(), asking.ask(start + 300 * MS)), (None, vec![]));
    }

    #[test]
    fn the_round_trip_follows_what_is_measured_also_where_it_is_longer_than_the_pause() {
        for (trip, range) in [(30 * MS, 29 * MS..33 * MS), (240 * MS, 200 * MS..241 * MS)] {
            let pause = pause_after(trip);
            assert!(range.contains(&pause), "{pause:?} where the round trip is {trip:?}");
        }
    }

    /// How long is waited when sixty packets took so long from being asked for first.
    fn pause_after(trip: Duration) -> Duration {
        let mut now = Instant::now();
        let mut asking = Asking::default();
        asking.came(0, now);
        for gap in 0..60u16 {
            asking.came(gap * 2 + 2, now);
            assert_eq!(asking.ask(now), [gap * 2 + 1]);
            let answer = now + trip;
            while let Some(due) = asking.due().filter(|due| *due < answer) {
                asking.ask(due);
            }
            now = answer;
            asking.came(gap * 2 + 1, now);
        }
        asking.came(200, now);
        asking.ask(now);
        asking.due().expect("still missing") - now
    }

    #[test]
    fn what_never_comes_is_given_up() {
        let mut now = Instant::now();
        let mut asking = Asking::default();
        asking.came(0, now);
        asking.came(2, now);
        let mut asked = 0;
        while let Some(due) = asking.due() {
            now = due;
            asked += asking.ask(now).len();
        }
        assert_eq!(asked, MAX_TRIES as usize);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_comes_no_more_is_kept_than_the_bound(numbers in proptest::collection::vec(any::<u16>(), 0..60)) {
            let mut now = Instant::now();
            let mut asking = Asking::default();
            for number in numbers {
                now += 7 * MS;
                asking.came(number, now);
                prop_assert!(asking.missing.len() <= MAX_MISSING);
                prop_assert!(asking.ask(now).len() <= MAX_MISSING);
            }
        }
    }
}
