//! When collected datagrams are best read: while the board is awake for a picture or for sound anyway.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::Notified};

/// Media of all viewers leaves at the same time; what comes so soon after a beat is the same beat.
const APART: Duration = Duration::from_millis(5);
/// So long after somebody was in a hurry, nobody waits for a beat: longer than a viewer takes to ask for more of what it missed, and
/// than a session without a path sleeps before it is in a hurry again (1 s).
const HURRY: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
struct Times {
    hurried: Option<Instant>,
    beaten: Option<Instant>,
}

/// See the module's documentation. Shared by the senders, who tell, and the receivers, who wait.
#[derive(Debug, Default)]
pub(in crate::transport) struct Cadence {
    times: Mutex<Times>,
    beat: Notify,
}

impl Cadence {
    /// Media leaves at `now`: those who wait for that go on.
    pub fn beats(&self, now: Instant) {
        let mut times = self.times();
        if times.beaten.is_none_or(|last| now >= last + APART) {
            times.beaten = Some(now);
            drop(times);
            self.beat.notify_waiters();
        }
    }

    /// Somebody waits for what comes: for a path, for the end of a probe, or for packets that are sent again.
    pub fn hurry(&self, now: Instant) {
        let waited = self.times().hurried.replace(now).is_none_or(|last| now >= last + HURRY);
        if waited {
            // Those who wait for a beat go on, and wait less from now on.
            self.beat.notify_waiters();
        }
    }

    /// Whether that was a short while ago.
    pub fn is_hurried(&self, now: Instant) -> bool {
        self.times().hurried.is_some_and(|last| now < last + HURRY)
    }

    /// Ends with the next beat.
    pub fn next_beat(&self) -> Notified<'_> {
        self.beat.notified()
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// Whether somebody who waits since before goes on after `beats`.
    fn goes_on(cadence: &Cadence, beats: impl FnOnce()) -> bool {
        let (mut next, mut context) = (pin!(cadence.next_beat()), Context::from_waker(Waker::noop()));
        assert!(next.as_mut().poll(&mut context).is_pending());
        beats();
        next.poll(&mut context).is_ready()
    }

    #[test]
    fn what_leaves_at_the_same_time_is_one_beat() {
        let (cadence, now) = (Cadence::default(), Instant::now());
        assert!(goes_on(&cadence, || cadence.beats(now)));
        assert!(!goes_on(&cadence, || cadence.beats(now + APART / 2)));
        assert!(goes_on(&cadence, || cadence.beats(now + APART)));
    }

    #[test]
    fn a_hurry_passes() {
        let (cadence, now) = (Cadence::default(), Instant::now());
        assert!(!cadence.is_hurried(now));
        assert!(goes_on(&cadence, || cadence.hurry(now)));
        assert!(!goes_on(&cadence, || cadence.hurry(now)));
        assert!(cadence.is_hurried(now + HURRY / 2) && !cadence.is_hurried(now + HURRY));
    }
}
