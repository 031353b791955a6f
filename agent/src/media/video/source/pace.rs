//! When the pictures of a looped file are due.

use std::{
    thread,
    time::{Duration, Instant},
};

/// A file that stalled for longer than this (a sleeping disk, a stopped process) goes on from where it is instead of
/// hurrying through what it missed.
const MAX_LATE: Duration = Duration::from_millis(500);
/// A gap in a file's timestamps is played no longer than this: a source must give a picture about once a second.
const MAX_GAP: Duration = Duration::from_secs(1);

/// Turns media times into instants that always grow, over all loops.
#[derive(Debug)]
pub struct Pace {
    /// When media time zero of this loop is due.
    zero: Option<Instant>,
    /// The instant given last.
    last: Option<Instant>,
}

impl Pace {
    /// Media time zero is whenever the first picture is asked for.
    pub fn new() -> Self {
        Self { zero: None, last: None }
    }

    /// When the picture with this media time is due, asked at `now`.
    pub fn due(&mut self, media_time: Duration, now: Instant) -> Instant {
        let zero = *self.zero.get_or_insert_with(|| now.checked_sub(media_time).unwrap_or(now));
        // A time that no clock reaches is damage; what follows cuts it to the longest gap.
        let mut due = zero.checked_add(media_time).unwrap_or(now + MAX_GAP);
        if let Some(last) = self.last {
            // Two pictures at one time would be one for RTP.
            due = due.max(last + Duration::from_millis(1));
            let shift_to = if now > due + MAX_LATE { now } else { due.min(last.max(now) + MAX_GAP) };
            if shift_to != due {
                self.zero = shift_to.checked_sub(media_time);
                due = shift_to;
            }
        }
        self.last = Some(due);
        due
    }

    /// The file begins anew, its last picture having lasted until this media time.
    pub fn loop_at(&mut self, end: Duration) {
        // Without a zero the next loop begins whenever its first picture is asked for.
        self.zero = self.zero.and_then(|zero| zero.checked_add(end));
    }

    /// Sleeps until the picture with this media time is due; returns its capture time.
    pub fn wait(&mut self, media_time: Duration) -> Instant {
        let due = self.due(media_time, Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_first_picture_is_due_at_once_and_time_goes_on_over_the_loop() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        let due = |pace: &mut Pace, media| pace.due(ms(media), start) - start;
        assert_eq!([0, 40, 80].map(|media| due(&mut pace, media)), [ms(0), ms(40), ms(80)]);
        pace.loop_at(ms(120));
        assert_eq!([0, 40].map(|media| due(&mut pace, media)), [ms(120), ms(160)]);
    }

    #[test]
    fn after_a_stall_it_goes_on_without_hurry() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        pace.due(ms(0), start);
        let late = start + ms(5000);
        assert_eq!(pace.due(ms(40), late), late);
        assert_eq!(pace.due(ms(80), late), late + ms(40));
    }

    #[test]
    fn a_gap_is_cut_and_equal_times_are_pulled_apart() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        pace.due(ms(0), start);
        assert_eq!(pace.due(ms(60_000), start), start + MAX_GAP);
        assert_eq!(pace.due(ms(60_000), start), start + MAX_GAP + ms(1));
    }

    #[test]
    fn a_time_that_no_clock_reaches_is_a_gap_like_any_other() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        pace.due(ms(0), start);
        assert_eq!(pace.due(Duration::MAX, start), start + MAX_GAP);
        pace.loop_at(Duration::MAX);
        let again = pace.due(ms(0), start);
        assert!((MAX_GAP..=2 * MAX_GAP).contains(&(again - start)), "{:?}", again - start);
    }
}
