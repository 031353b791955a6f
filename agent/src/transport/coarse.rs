//! Instants at which all sessions do what need not be done to the millisecond, so that one wake-up serves many of them.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Between two such instants: nothing that waits for one is told apart by a viewer, and a hundred wake-ups a second serve
/// any number of sessions.
pub const GRID: Duration = Duration::from_millis(10);

/// So long may a session be late with what it does anyway at its next picture or report, and for which alone it is not to be
/// woken up: longer than between two pictures at 25 a second.
const SLACK: Duration = Duration::from_millis(45);

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// When to wake up for something that is due at `due` and is most often done on the way: 45 to 55 ms later.
pub fn lazy(due: Instant) -> Instant {
    coarse(due + SLACK)
}

/// The first common instant not before `at`.
pub fn coarse(at: Instant) -> Instant {
    let passed = at.saturating_duration_since(*ORIGIN.get_or_init(|| at)).as_nanos();
    let rest = passed.next_multiple_of(GRID.as_nanos()) - passed;
    at + Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_near_each_other_become_one_that_is_not_before_them() {
        let first = coarse(Instant::now());
        assert_eq!(coarse(first), first);
        for micros in [1, 5000, 9999, 10_000] {
            assert_eq!(coarse(first + Duration::from_micros(micros)), first + GRID);
        }
        assert_eq!(coarse(first + Duration::from_micros(10_001)), first + 2 * GRID);
    }
}
