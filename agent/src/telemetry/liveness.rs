//! Which of the threads that talk to drivers still move: each says when it begins something that must end soon, and
//! whoever watches finds the one that does not come back, as from an ioctl that hangs.
//!
//! A thread that waits for viewers, or for a camera that is not there, rests: it is not stuck.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a call into a driver, or a few in a row, may take before the thread counts as stuck. Opening a bad USB camera
/// asks it for several controls, and the kernel waits up to 5 s for each (uvcvideo, UVC_CTRL_STREAMING_TIMEOUT).
pub const DRIVER_PATIENCE: Duration = Duration::from_secs(30);

/// What [`Mark::at`] holds while the thread rests.
const RESTING: u64 = 0;

/// The threads that are watched; as many entries as there are threads alive.
pub struct Liveness {
    epoch: Instant,
    marks: Mutex<Vec<Weak<Mark>>>,
}

/// What a thread and its watcher share.
struct Mark {
    name: Cow<'static, str>,
    limit: Duration,
    /// Milliseconds since the epoch of the last beat, plus one, so that 0 is left for [`RESTING`].
    at: AtomicU64,
}

/// A thread's own end: it beats, or rests. Watching ends when it is dropped.
pub struct Pulse {
    epoch: Instant,
    mark: Arc<Mark>,
}

/// A thread that has not moved for longer than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The thread's name.
    pub thread: String,
    /// Time since it moved last.
    pub still: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, still } = self;
        write!(f, "thread {thread} has not moved for {:.0} s: its driver hangs", still.as_secs_f32())
    }
}

impl Liveness {
    /// Nothing is watched yet; `epoch` is an instant not later than any beat.
    pub const fn new(epoch: Instant) -> Self {
        Self { epoch, marks: Mutex::new(Vec::new()) }
    }

    /// The one of this process, which has one watchdog.
    pub fn process() -> &'static Self {
        static PROCESS: std::sync::LazyLock<Liveness> =
            std::sync::LazyLock::new(|| Liveness::new(Instant::now()));
        &PROCESS
    }

    /// Watches a thread, which rests at first. `limit` is the longest time between two beats while it does not rest.
    pub fn watch(&self, name: impl Into<Cow<'static, str>>, limit: Duration) -> Pulse {
        let mark = Arc::new(Mark { name: name.into(), limit, at: AtomicU64::new(RESTING) });
        let mut marks = self.lock();
        marks.retain(|mark| mark.strong_count() > 0);
        marks.push(Arc::downgrade(&mark));
        Pulse { epoch: self.epoch, mark }
    }

    /// The thread that has been stuck for the longest.
    pub fn stuck(&self, now: Instant) -> Option<Stuck> {
        let passed = now.saturating_duration_since(self.epoch);
        let marks = self.lock();
        let stuck = marks.iter().filter_map(Weak::upgrade).filter_map(|mark| {
            let at = mark.at.load(Ordering::Relaxed).checked_sub(1)?;
            let still = passed.saturating_sub(Duration::from_millis(at));
            (still > mark.limit).then(|| Stuck { thread: mark.name.to_string(), still })
        });
        stuck.max_by_key(|stuck| stuck.still)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Mark>>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// The thread moves, and begins something that takes less than the limit.
    pub fn beat(&self, now: Instant) {
        // An agent that runs for 500 million years is not planned for.
        let at = now.saturating_duration_since(self.epoch).as_millis() as u64;
        self.mark.at.store(at + 1, Ordering::Relaxed);
    }

    /// The thread waits for something that may never come.
    pub fn rest(&self) {
        self.mark.at.store(RESTING, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_thread_that_does_not_beat_again_is_found_and_one_that_rests_is_not() {
        let epoch = Instant::now();
        let liveness = Liveness::new(epoch);
        let (camera, encoder) = (liveness.watch("camera", LIMIT), liveness.watch("encoder", LIMIT));
        assert_eq!(liveness.stuck(epoch + 100 * LIMIT), None, "threads rest until they begin something");
        camera.beat(epoch);
        encoder.beat(epoch + SECOND);
        assert_eq!(liveness.stuck(epoch + LIMIT), None);
        let stuck = liveness.stuck(epoch + 3 * LIMIT).unwrap();
        assert_eq!(stuck, Stuck { thread: "camera".into(), still: 3 * LIMIT }, "the longest is named");
        camera.rest();
        assert_eq!(liveness.stuck(epoch + 3 * LIMIT).unwrap().thread, "encoder");
        encoder.beat(epoch + 3 * LIMIT);
        assert_eq!(liveness.stuck(epoch + 3 * LIMIT), None, "it came back");
    }

    #[test]
    fn a_thread_that_has_ended_is_not_stuck_and_takes_no_room() {
        let epoch = Instant::now();
        let liveness = Liveness::new(epoch);
        for _ in 0..100 {
            liveness.watch("worker", LIMIT).beat(epoch);
        }
        assert_eq!(liveness.stuck(epoch + 2 * LIMIT), None);
        let _one = liveness.watch("worker", LIMIT);
        assert_eq!(liveness.lock().len(), 1);
    }

    #[test]
    fn a_stuck_thread_is_told_in_words() {
        let stuck = Stuck { thread: "video-capture".into(), still: Duration::from_millis(12_400) };
        assert_eq!(stuck.to_string(), "thread video-capture has not moved for 12 s: its driver hangs");
    }
}
