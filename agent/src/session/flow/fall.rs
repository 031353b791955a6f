//! A path that suddenly carries much less: what is still to be sent for the old rate is given up, where a key frame is
//! there sooner than that.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A target below this part of what it was a moment ago is a fall.
const FALL: f64 = 0.6;
/// How long that moment is, and how long what was sent before is missed afterwards.
const MOMENT: Duration = Duration::from_secs(1);
/// Targets are kept as maxima of so long each: at most eleven of them.
const BUCKET: Duration = Duration::from_millis(100);
/// Old pictures that take longer than this at the new rate are given up ...
const WORTH: Duration = Duration::from_millis(150);
/// ... unless they are fewer bytes than a small key frame has.
const KEYFRAME: usize = 6_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Fall {
    targets: VecDeque<(Instant, u64)>,
    fell: Option<Instant>,
    gave_up: Option<Instant>,
    /// Bytes that were asked for again since it fell: requests come one by one, and each is answered at once.
    asked: usize,
}

impl Fall {
    /// The target is so many bits a second now.
    pub fn note(&mut self, now: Instant, target: u64) {
        while self.targets.front().is_some_and(|(start, _)| now >= *start + MOMENT + BUCKET) {
            self.targets.pop_front();
        }
        match self.targets.back_mut() {
            Some((start, most)) if now < *start + BUCKET => *most = target.max(*most),
            _ => self.targets.push_back((now, target)),
        }
        let most = self.targets.iter().map(|(_, most)| *most).max().unwrap_or(0);
        if (target as f64) < most as f64 * FALL {
            if !lately(now, self.fell) {
                self.asked = 0;
            }
            self.fell = Some(now);
        }
    }

    /// The viewer asked for so many bytes again.
    pub fn asked(&mut self, bytes: usize) {
        self.asked = self.asked.saturating_add(bytes);
    }

    /// The path is another one: what is known of it says nothing of this one.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether what waits, so many bytes for the first time and so many again, is to be given up now for a key frame. Once a
    /// second at most.
    pub fn gives_up(&mut self, now: Instant, target: u64, first: usize, again: usize) -> bool {
        let bytes = first + self.asked.max(again);
        let worth = (target as f64 / 8.0 * WORTH.as_secs_f64()) as usize;
        let gives_up = lately(now, self.fell) && !lately(now, self.gave_up) && bytes > worth.max(KEYFRAME);
        if gives_up {
            (self.gave_up, self.asked) = (Some(now), 0);
        }
        gives_up
    }
}

fn lately(now: Instant, at: Option<Instant>) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_too_much_for_the_new_rate_is_given_up_once() {
        let (mut fall, start) = (Fall::default(), Instant::now());
        fall.note(start, 3_000_000);
        assert!(!fall.gives_up(start, 3_000_000, 100_000, 0), "nothing fell");
        fall.note(start + ms(100), 465_000);
        assert!(!fall.gives_up(start + ms(100), 465_000, 8_000, 0), "it is sent soon");
        assert!(fall.gives_up(start + ms(200), 465_000, 9_000, 0));
        assert!(!fall.gives_up(start + ms(300), 465_000, 40_000, 0), "a key frame comes");
    }

    #[test]
    fn what_is_asked_for_bit_by_bit_counts_as_a_whole() {
        let (mut fall, start) = (Fall::default(), Instant::now());
        fall.note(start, 3_000_000);
        fall.asked(50_000);
        fall.note(start + ms(100), 465_000);
        assert!(!fall.gives_up(start + ms(100), 465_000, 0, 0), "that was before it fell");
        for step in 1..=4u32 {
            fall.asked(2_400);
            let now = start + ms(100 + 20 * u64::from(step));
            fall.note(now, 465_000);
            assert_eq!(fall.gives_up(now, 465_000, 0, 2_400), step == 4, "{step}");
        }
    }

    #[test]
    fn less_than_a_key_frame_has_is_never_given_up() {
        let (mut fall, start) = (Fall::default(), Instant::now());
        fall.note(start, 3_000_000);
        fall.note(start + ms(100), 100_000);
        assert!(!fall.gives_up(start + ms(100), 100_000, KEYFRAME, 0));
        assert!(fall.gives_up(start + ms(100), 100_000, KEYFRAME + 1, 0));
    }

    #[test]
    fn a_slow_decline_is_no_fall_and_another_path_begins_anew() {
        let (mut fall, start) = (Fall::default(), Instant::now());
        for step in 0..40u32 {
            let now = start + ms(100) * step;
            fall.note(now, 3_000_000 - 40_000 * u64::from(step));
            assert!(!fall.gives_up(now, 100_000, 1_000_000, 0), "{step}");
        }
        fall.forget();
        fall.note(start + ms(4100), 100_000);
        assert!(!fall.gives_up(start + ms(4100), 100_000, 1_000_000, 0));
        assert!(fall.targets.len() <= 12);
    }
}
