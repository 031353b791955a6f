//! Times without a picture: found in what a viewer told, and told apart into recovery and freezes. All in milliseconds
//! since the viewer's request.

use crate::viewer::Event;

/// Pictures that stop so long after an event stop because of it.
const ONSET_MS: f64 = 2000.0;
/// Pictures that stop again so soon did not move again.
const SETTLE_MS: f64 = 1000.0;
/// A viewer tells something every second; twice that is silence.
const SILENCE_MS: f64 = 2000.0;
/// A second as a viewer tells it, and how exact that is.
const SECOND_MS: f64 = 1000.0;
const SLACK_MS: f64 = 100.0;

/// A time without a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Still {
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Still {
    fn lasted(self) -> f64 {
        self.to - self.from
    }

    fn meets(self, other: Still) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// All times without a picture after the first one.
#[derive(Debug, Default)]
pub(super) struct Stills {
    /// In order, apart from each other.
    known: Vec<Still>,
    /// Of these only the length is known, and between what times they were.
    between: Vec<(Still, f64)>,
    end: f64,
}

impl Stills {
    /// Finds them. `events` are in the order of time.
    pub(super) fn find(events: &[&Event], first_picture: f64, end: f64) -> Self {
        let mut known = Vec::new();
        let mut between = Vec::new();
        let mut open = None;
        let mut told = first_picture;
        for event in events {
            match event {
                Event::Freeze { ms, lasted_ms } => {
                    known.push(Still { from: *ms, to: ms + lasted_ms });
                    told = told.max(ms + lasted_ms);
                }
                Event::Second { ms, .. } if *ms <= first_picture => {}
                Event::Second { ms, pictures: 0, longest_gap_ms, .. } => {
                    known.push(Still { from: ms - longest_gap_ms, to: *ms });
                    open.get_or_insert(ms - longest_gap_ms);
                    told = told.max(*ms);
                }
                Event::Second { ms, longest_gap_ms: gap, .. } => {
                    let within = |to: &f64| (ms - SECOND_MS - SLACK_MS..=ms + SLACK_MS).contains(to);
                    match open.take().map(|from: f64| (from, from + gap)).filter(|(_, to)| within(to)) {
                        Some((from, to)) => known.push(Still { from, to }),
                        None => {
                            let from = (ms - SECOND_MS - gap).max(first_picture);
                            between.push((Still { from, to: *ms }, *gap));
                        }
                    }
                    told = told.max(*ms);
                }
                _ => {}
            }
        }
        if let Some(from) = open {
            known.push(Still { from, to: end });
        } else if end - told > SILENCE_MS {
            known.push(Still { from: told, to: end });
        }
        let known = apart(known, first_picture, end);
        between.retain(|(place, lasted)| {
            let told = known.iter().any(|still| still.meets(*place) && still.lasted() + SLACK_MS >= *lasted);
            !told
        });
        Self { known, between, end }
    }

    /// When pictures moved again after something that disturbed from `from` to `to`: at `to`, if they never stopped.
    pub(super) fn moving_again(&self, from: f64, to: f64) -> f64 {
        let mut again = to;
        let mut stopped = false;
        for still in &self.known {
            let caused = still.to > from && still.from <= to + ONSET_MS;
            let follows = stopped && still.from > from && still.from <= again + SETTLE_MS;
            if caused || follows {
                stopped = true;
                again = again.max(still.to);
            }
        }
        again
    }

    /// The longest one outside of all windows.
    pub(super) fn longest_outside(&self, windows: &[Still]) -> f64 {
        let known = self.known.iter().map(|still| longest_piece(*still, windows));
        let outside = |place: Still| !windows.iter().any(|window| window.meets(place));
        let between = self.between.iter().filter(|(place, _)| outside(*place)).map(|(_, lasted)| *lasted);
        known.chain(between).fold(0.0, f64::max)
    }

    /// The longest one within a part of the time.
    pub(super) fn longest_within(&self, from: f64, to: f64) -> f64 {
        let outside = [Still { from: f64::MIN, to: from }, Still { from: to, to: f64::MAX }];
        self.longest_outside(&outside)
    }

    /// When pictures stopped for good, if they did.
    pub(super) fn stopped_for_good(&self) -> Option<f64> {
        let last = self.known.last()?;
        (last.to + SLACK_MS >= self.end && last.lasted() >= SILENCE_MS).then_some(last.from)
    }
}

/// In order, merged where they meet, and only what lies between the first picture and the end.
fn apart(mut stills: Vec<Still>, first_picture: f64, end: f64) -> Vec<Still> {
    stills.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut apart: Vec<Still> = Vec::new();
    for still in stills {
        let still = Still { from: still.from.max(first_picture), to: still.to.min(end) };
        match apart.last_mut() {
            Some(last) if still.meets(*last) => last.to = last.to.max(still.to),
            _ if still.to > still.from => apart.push(still),
            _ => {}
        }
    }
    apart
}

/// The longest part of a still that no window covers.
fn longest_piece(still: Still, windows: &[Still]) -> f64 {
    let mut pieces = vec![still];
    for window in windows {
        pieces = pieces
            .into_iter()
            .flat_map(|piece| {
                [
                    Still { from: piece.from, to: piece.to.min(window.from) },
                    Still { from: piece.from.max(window.to), to: piece.to },
                ]
            })
            .filter(|piece| piece.to > piece.from)
            .collect();
    }
    pieces.into_iter().map(Still::lasted).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(ms: f64, pictures: u32, longest_gap_ms: f64) -> Event {
        Event::Second {
            ms,
            pictures,
            kbps: 0.0,
            longest_gap_ms,
            sound_packets: 0,
            numbers_missing: 0,
            av_ms: None,
            glass_ms: None,
            wire_kbps: None,
            freeze_count: None,
            frozen_ms: None,
        }
    }

    fn find(events: &[Event], end: f64) -> Stills {
        Stills::find(&events.iter().collect::<Vec<_>>(), 100.0, end)
    }

    #[test]
    fn a_freeze_that_seconds_tell_too_counts_once() {
        let events = [
            second(1000.0, 30, 40.0),
            Event::Freeze { ms: 1500.0, lasted_ms: 2000.0 },
            second(2000.0, 15, 500.0),
            second(3000.0, 0, 1500.0),
            second(4000.0, 15, 2000.0),
        ];
        let stills = find(&events, 4500.0);
        assert_eq!(stills.known, [Still { from: 1500.0, to: 3500.0 }]);
        assert_eq!(stills.longest_outside(&[]), 2000.0);
        assert_eq!(stills.stopped_for_good(), None);
    }

    #[test]
    fn what_a_window_covers_is_no_freeze_and_what_sticks_out_is() {
        let events = [Event::Freeze { ms: 1000.0, lasted_ms: 2000.0 }];
        let window = |from, to| [Still { from, to }];
        let stills = find(&events, 4000.0);
        assert_eq!(stills.longest_outside(&window(900.0, 3000.0)), 0.0);
        assert_eq!(stills.longest_outside(&window(1400.0, 5000.0)), 400.0);
        assert_eq!(stills.longest_outside(&window(1400.0, 1500.0)), 1500.0);
    }

    #[test]
    fn recovery_lasts_until_pictures_stay() {
        let freeze = |ms, lasted_ms| Event::Freeze { ms, lasted_ms };
        let stills = find(&[freeze(5100.0, 900.0), freeze(6500.0, 600.0), freeze(9000.0, 600.0)], 9900.0);
        assert_eq!(stills.moving_again(5000.0, 5000.0), 7100.0);
        assert_eq!(stills.moving_again(1000.0, 1000.0), 1000.0);
    }

    #[test]
    fn silence_to_the_end_is_a_still() {
        assert_eq!(find(&[second(1000.0, 30, 40.0)], 9000.0).stopped_for_good(), Some(1000.0));
        let still = [second(1000.0, 30, 40.0), second(2000.0, 0, 1000.0), second(3000.0, 0, 2000.0)];
        assert_eq!(find(&still, 3500.0).stopped_for_good(), Some(1000.0));
    }
}
