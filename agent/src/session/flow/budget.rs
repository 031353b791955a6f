//! What of a path's estimate is left for pictures, and how often that is told.

use std::time::{Duration, Instant};

/// Opus as it is sent, with the headers of 50 packets a second, bits a second. Sound has its share first: it is what people
/// miss first.
pub const AUDIO_RATE: u64 = 64_000;
/// What a frame of sound has around it as it is sent: RTP header with extensions, and encryption; bytes.
const AROUND: usize = 48;
/// The sound's rate is taken over so long.
const SOUND_SPAN: Duration = Duration::from_secs(1);
/// The least for pictures, however bad the path: below, there is no use in telling.
const LEAST: u64 = 10_000;
/// Between two words on an estimate that rises; 10 a second is what an encoder takes.
const SPACING: Duration = Duration::from_millis(100);
/// A fall by this share is told at once.
const FALL: f64 = 0.95;
/// A change by less than one part in so many is no news: encoders miss their rate by more, and each word makes the plan for
/// all viewers anew.
const NEWS: u64 = 50;
/// No more than this share goes into what is sent again: with more loss, less is to be sent.
const MAX_REPAIR: f32 = 0.25;

/// See the module.
#[derive(Debug)]
pub(super) struct Budget {
    sound: u64,
    /// When counting began, and bytes since.
    counted: Option<(Instant, usize)>,
    measured: bool,
    told: Option<(Instant, u64)>,
    /// Something else was to be told, and it was too early.
    held: bool,
}

impl Budget {
    /// Of a session with or without sound.
    pub fn new(sound: bool) -> Self {
        Self {
            sound: if sound { AUDIO_RATE } else { 0 },
            counted: None,
            measured: false,
            told: None,
            held: false,
        }
    }

    /// The viewer has said something that the estimate rests on: before, it is a guess.
    pub fn measured(&mut self) {
        self.measured = true;
    }

    /// A frame of sound of so many bytes goes out: on slow paths it matters that it is often less than the most.
    pub fn sounds(&mut self, now: Instant, bytes: usize) {
        let (since, counted) = self.counted.get_or_insert((now, 0));
        let passed = now.saturating_duration_since(*since);
        if passed >= SOUND_SPAN {
            let rate = (*counted as f64 * 8.0 / passed.as_secs_f64()) as u64;
            self.sound = rate.min(AUDIO_RATE);
            self.counted = Some((now, bytes + AROUND));
        } else {
            *counted += bytes + AROUND;
        }
    }

    /// The rate of the whole session for so much of pictures.
    pub fn whole(&self, pictures: u64) -> u64 {
        pictures.saturating_add(self.sound)
    }

    /// The share of pictures, if it should be told now.
    pub fn news(&mut self, now: Instant, target: u64, loss: f32) -> Option<u64> {
        if !self.measured {
            return None;
        }
        let repaired = target as f64 * f64::from(1.0 - loss.clamp(0.0, MAX_REPAIR));
        let share = (repaired as u64).saturating_sub(self.sound).max(LEAST);
        self.held = false;
        if let Some((at, told)) = self.told {
            let falls = (share as f64) < told as f64 * FALL;
            if share.abs_diff(told) < (told / NEWS).max(1) {
                return None;
            }
            if !falls && now.saturating_duration_since(at) < SPACING {
                self.held = true;
                return None;
            }
        }
        self.told = Some((now, share));
        Some(share)
    }

    /// Whoever was told is not there any more: the next one is to hear it at once.
    pub fn forget(&mut self) {
        (self.told, self.held) = (None, false);
    }

    /// When what is held back may be told.
    pub fn due(&self) -> Option<Instant> {
        self.told.filter(|_| self.held).map(|(at, _)| at + SPACING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_not_told() {
        let mut budget = Budget::new(true);
        let now = Instant::now();
        assert_eq!(budget.news(now, 1_000_000, 0.0), None);
        budget.measured();
        assert_eq!(budget.news(now, 1_000_000, 0.0), Some(1_000_000 - AUDIO_RATE));
    }

    #[test]
    fn a_rise_waits_its_turn_and_a_fall_does_not() {
        let mut budget = Budget::new(false);
        budget.measured();
        let start = Instant::now();
        assert_eq!(budget.news(start, 1_000_000, 0.0), Some(1_000_000));
        let soon = start + Duration::from_millis(10);
        assert_eq!((budget.news(soon, 1_200_000, 0.0), budget.due()), (None, Some(start + SPACING)));
        assert_eq!(budget.news(soon, 500_000, 0.0), Some(500_000));
        assert_eq!(budget.news(soon + SPACING, 1_200_000, 0.0), Some(1_200_000));
        assert_eq!(budget.due(), None);
    }

    #[test]
    fn pictures_get_what_sound_does_not_take() {
        let (mut budget, start) = (Budget::new(true), Instant::now());
        for frame in 0..=50 {
            budget.sounds(start + Duration::from_millis(20) * frame, 32);
        }
        assert_eq!(budget.whole(0), 50 * 80 * 8);
        for frame in 51..=100 {
            budget.sounds(start + Duration::from_millis(20) * frame, 1000);
        }
        assert_eq!(budget.whole(0), AUDIO_RATE, "never more than what it was given");
    }

    #[test]
    fn loss_leaves_room_for_what_is_sent_again_and_something_is_always_left() {
        let mut budget = Budget::new(false);
        budget.measured();
        let now = Instant::now();
        assert_eq!(budget.news(now, 1_000_000, 0.125), Some(875_000));
        assert_eq!(budget.news(now, 1_000, 1.0), Some(LEAST));
    }
}
