//! The encoders of one codec in the order in which they are used: one that fails again and again rests, and the next
//! takes its place until it is tried again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Backend;

/// Failures in a row that make an encoder rest: one may be a hiccup, two a firmware that had to restart.
const TRIES: u32 = 3;
/// What has encoded for so long has recovered.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);
/// The first rest. Each try may cost viewers a second of picture, so they are rare, and get rarer.
const FIRST_REST: Duration = Duration::from_secs(60);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Member {
    backend: Arc<dyn Backend>,
    /// In a row.
    failures: u32,
    working_since: Option<Instant>,
    /// How long it rested last.
    rest: Option<Duration>,
    rests_until: Option<Instant>,
}

/// See the module. Never empty; the last never rests.
#[derive(Debug)]
pub struct Lineup(Vec<Member>);

/// What is to be done after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same encoder again, at once.
    AgainAtOnce,
    /// The same encoder again, after a while.
    AgainLater,
    /// The next one, at once; this one is tried again after this time.
    Other {
        /// Until the next try.
        rest: Duration,
    },
}

impl Lineup {
    /// `first` is used while it works; of the others, the last is the last resort.
    pub fn new(first: Arc<dyn Backend>, others: Vec<Arc<dyn Backend>>) -> Self {
        let member =
            |backend| Member { backend, failures: 0, working_since: None, rest: None, rests_until: None };
        Self(std::iter::once(first).chain(others).map(member).collect())
    }

    /// The encoder to use now: its place, and how to open it.
    pub fn current(&self, now: Instant) -> (usize, Arc<dyn Backend>) {
        let last = self.0.len() - 1;
        let rested = |member: &Member| member.rests_until.is_none_or(|until| now >= until);
        let place = self.0[..last].iter().position(rested).unwrap_or(last);
        (place, self.0[place].backend.clone())
    }

    /// The encoder of a place.
    pub fn backend(&self, place: usize) -> Arc<dyn Backend> {
        self.0[place].backend.clone()
    }

    /// It encoded a picture. True if it had rested, and is now known to have recovered.
    pub fn worked(&mut self, place: usize, now: Instant) -> bool {
        let member = &mut self.0[place];
        let since = *member.working_since.get_or_insert(now);
        if now < since + RECOVERED_AFTER || member.failures == 0 && member.rest.is_none() {
            return false;
        }
        (member.failures, member.rests_until) = (0, None);
        member.rest.take().is_some()
    }

    /// It could not be opened, or broke. What cannot even be opened rests at once.
    pub fn failed(&mut self, place: usize, was_open: bool, now: Instant) -> Next {
        let is_last = place + 1 == self.0.len();
        let member = &mut self.0[place];
        member.working_since = None;
        member.failures = member.failures.saturating_add(1);
        if is_last || (was_open && member.failures < TRIES && member.rest.is_none()) {
            return if was_open && member.failures == 1 { Next::AgainAtOnce } else { Next::AgainLater };
        }
        let rest = member.rest.map_or(FIRST_REST, |last| (last * 2).min(LONGEST_REST));
        member.failures = 0;
        member.rest = Some(rest);
        member.rests_until = Some(now + rest);
        Next::Other { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::{VideoCodec, encoder::Software};

    const SECOND: Duration = Duration::from_secs(1);

    fn two() -> Lineup {
        let backend = || Arc::new(Software(VideoCodec::H264));
        Lineup::new(backend(), vec![backend()])
    }

    #[test]
    fn the_first_failure_is_mended_at_once_and_the_third_in_a_row_brings_the_next_encoder() {
        let (mut lineup, now) = (two(), Instant::now());
        assert_eq!(lineup.failed(0, true, now), Next::AgainAtOnce);
        assert_eq!(lineup.failed(0, true, now), Next::AgainLater);
        assert_eq!(lineup.current(now).0, 0);
        assert_eq!(lineup.failed(0, true, now), Next::Other { rest: FIRST_REST });
        assert_eq!(lineup.current(now).0, 1);
    }

    #[test]
    fn what_cannot_be_opened_gives_its_place_away_at_once() {
        let (mut lineup, now) = (two(), Instant::now());
        assert_eq!(lineup.failed(0, false, now), Next::Other { rest: FIRST_REST });
    }

    #[test]
    fn failures_that_lie_apart_are_no_reason_to_change() {
        let (mut lineup, mut now) = (two(), Instant::now());
        for _ in 0..10 {
            assert_eq!(lineup.failed(0, true, now), Next::AgainAtOnce);
            lineup.worked(0, now);
            now += RECOVERED_AFTER;
            assert!(!lineup.worked(0, now), "it had not rested");
        }
    }

    #[test]
    fn a_rested_encoder_is_tried_once_and_rests_longer_if_it_fails_again() {
        let (mut lineup, mut now) = (two(), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..8 {
            let Next::Other { rest } = lineup.failed(0, false, now) else { panic!("it rests") };
            assert_eq!(lineup.current(now + rest - SECOND).0, 1);
            now += rest;
            assert_eq!(lineup.current(now).0, 0);
            lineup.worked(0, now);
            rests.push(rest.as_secs() / 60);
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(matches!(lineup.failed(0, true, now), Next::Other { .. }), "one failure is enough then");
        now += LONGEST_REST;
        lineup.worked(0, now);
        assert!(lineup.worked(0, now + RECOVERED_AFTER), "it has recovered");
        assert_eq!(lineup.failed(0, true, now), Next::AgainAtOnce);
    }

    #[test]
    fn the_last_resort_never_rests() {
        let (mut lineup, now) = (two(), Instant::now());
        lineup.failed(0, false, now);
        for _ in 0..10 {
            assert!(!matches!(lineup.failed(1, true, now), Next::Other { .. }));
            assert_eq!(lineup.current(now).0, 1);
        }
    }
}
