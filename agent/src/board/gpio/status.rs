//! What the status LED shows: a pattern for each state of the agent.

use std::time::Duration;

/// How the agent does, as its LED tells it; of several that hold the first is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Not ready yet: blinks twice a second.
    #[default]
    Starting,
    /// A part has failed and viewers get nothing: blinks five times a second.
    Fault,
    /// The privacy switch is on: two flashes every three seconds.
    Private,
    /// Somebody watches: steadily on.
    Watched,
    /// Nobody watches: one flash every three seconds.
    Ready,
}

/// A flash that the eye surely sees, and that costs next to nothing.
const FLASH: Duration = Duration::from_millis(60);
/// Between the two flashes of [`Status::Private`].
const GAP: Duration = Duration::from_millis(240);
/// From one flash of a quiet state to the next.
const QUIET: Duration = Duration::from_secs(3);
/// Half a period of [`Status::Starting`].
const SLOW: Duration = Duration::from_millis(250);
/// Half a period of [`Status::Fault`].
const FAST: Duration = Duration::from_millis(100);

impl Status {
    /// On and off times in turn, beginning with on; repeated. Empty: steadily on.
    fn pattern(self) -> &'static [Duration] {
        const PAUSE: Duration = QUIET.saturating_sub(FLASH);
        const PRIVATE_PAUSE: Duration = PAUSE.saturating_sub(GAP).saturating_sub(FLASH);
        match self {
            Self::Starting => &[SLOW, SLOW],
            Self::Fault => &[FAST, FAST],
            Self::Private => &[FLASH, GAP, FLASH, PRIVATE_PAUSE],
            Self::Watched => &[],
            Self::Ready => &[FLASH, PAUSE],
        }
    }

    /// Whether the LED is lit when the state has lasted for `shown`, and for how long that stays so (None: until the
    /// state changes).
    pub fn lit(self, shown: Duration) -> (bool, Option<Duration>) {
        let pattern = self.pattern();
        let period: Duration = pattern.iter().sum();
        if period.is_zero() {
            return (true, None);
        }
        let mut rest = Duration::from_nanos((shown.as_nanos() % period.as_nanos()) as u64);
        for (index, time) in pattern.iter().enumerate() {
            if rest < *time {
                return (index % 2 == 0, Some(*time - rest));
            }
            rest -= *time;
        }
        // The rest is less than the sum.
        (false, Some(FAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times in ms at which the LED changes within `until`, beginning with lit.
    fn changes(status: Status, until: u64) -> Vec<u64> {
        let (mut at, mut changes) = (Duration::ZERO, vec![]);
        let mut lit = true;
        while at < Duration::from_millis(until) {
            let (now, lasts) = status.lit(at);
            assert_eq!(now, lit, "{status:?} at {at:?}");
            at += lasts.expect("it blinks");
            changes.push(at.as_millis() as u64);
            lit = !lit;
        }
        changes
    }

    #[test]
    fn each_state_has_its_pattern() {
        assert_eq!(changes(Status::Starting, 1000), [250, 500, 750, 1000]);
        assert_eq!(changes(Status::Fault, 400), [100, 200, 300, 400]);
        assert_eq!(changes(Status::Ready, 6000), [60, 3000, 3060, 6000]);
        assert_eq!(changes(Status::Private, 3000), [60, 300, 360, 3000]);
        assert_eq!(Status::Watched.lit(Duration::from_secs(9)), (true, None));
    }

    #[test]
    fn a_pattern_holds_after_a_year_too() {
        let year = Duration::from_secs(31_536_000);
        assert!(Status::Ready.lit(year + Duration::from_millis(59)).0);
        assert!(!Status::Ready.lit(year + Duration::from_millis(61)).0);
    }
}
