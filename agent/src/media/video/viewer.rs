//! One viewer's queue: which units it is given, and from which rendition.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    AccessUnit, Bitrate,
    gop::Gop,
    rate::{Rendition, Seat, Share},
};

/// Live units that wait for one viewer at most, a second at 30 fps. When it is full, all of them are dropped, and
/// what comes up to the next key frame.
const QUEUE: usize = 30;
/// A viewer of a passed-through stream gets the group of pictures again at most so often.
const REPLAY_SPACING: Duration = Duration::from_secs(1);
/// A viewer of key frames only gets one so often, if its path carries that.
pub const STILL_SPACING: Duration = Duration::from_secs(2);
/// Capture times of one viewer's units are so far apart at least, also where it goes over to a rendition whose encoder
/// is behind: no RTP timestamp twice.
const LEAST_STEP: Duration = Duration::from_millis(1);
/// An encoder is opened and gives a key frame within this time, also on a busy board; else it gives none.
const PATIENCE: Duration = Duration::from_secs(3);

/// What became of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Units that the viewer lost because it was slow.
    pub lost: u64,
    /// Units that were left out because its path is.
    pub thinned: u64,
}

impl std::ops::AddAssign for Fate {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.thinned += other.thinned;
    }
}

/// See the module.
#[derive(Debug)]
pub struct Viewer {
    queue: VecDeque<Arc<AccessUnit>>,
    /// How many units at the head of the queue are replayed ones: those do not count as live.
    replayed: usize,
    /// Cannot decode before the next key frame.
    waits: bool,
    /// Waits because it was slow.
    slow: bool,
    wants_replay: bool,
    last_replay: Option<Instant>,
    /// Capture time of the newest unit that it was given.
    newest: Option<Instant>,
    wake: Arc<Notify>,
    /// When it came.
    pub since: Instant,
    /// What its path carries for pictures.
    pub estimate: Option<Bitrate>,
    seat: Seat,
    /// Where it goes when a key frame comes there.
    next: Option<Seat>,
    /// Since when it waits for that.
    next_since: Option<Instant>,
    /// A viewer of key frames only gets none before.
    still_at: Option<Instant>,
}

impl Viewer {
    /// One that has no picture yet.
    pub fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            replayed: 0,
            waits: true,
            slow: false,
            wants_replay: false,
            last_replay: None,
            newest: None,
            wake: Arc::new(Notify::new()),
            since: now,
            estimate: None,
            seat: Seat::BEST,
            next: None,
            next_since: None,
            still_at: None,
        }
    }

    /// Told when there is something to take.
    pub fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    /// The rendition that it gets now.
    pub fn rendition(&self) -> Rendition {
        self.seat.rendition
    }

    /// What it gets now.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// Whether it needs this rendition's units, now or soon.
    pub fn needs(&self, rendition: Rendition) -> bool {
        self.seat.rendition == rendition || self.goes_to(rendition)
    }

    fn goes_to(&self, rendition: Rendition) -> bool {
        self.next.is_some_and(|next| next.rendition == rendition)
    }

    /// Gives it another seat. Returns the rendition that must give a key frame for it.
    pub fn assign(&mut self, seat: Seat, now: Instant) -> Option<Rendition> {
        if self.next.unwrap_or(self.seat) == seat {
            return None;
        }
        if seat.rendition != self.seat.rendition && self.newest.is_some() {
            let asked = self.goes_to(seat.rendition);
            self.next = Some(seat);
            self.next_since = self.next_since.filter(|_| asked).or(Some(now));
            return (!asked).then_some(seat.rendition);
        }
        let moved = seat.rendition != self.seat.rendition;
        let resumes = self.seat.share == Share::Keyframes && seat.share != Share::Keyframes;
        (self.seat, self.next, self.next_since) = (seat, None, None);
        if resumes {
            (self.waits, self.wants_replay) = (true, true);
        }
        (moved || resumes).then_some(seat.rendition)
    }

    /// Whether the sub rendition's key frame does not come.
    pub fn waits_in_vain(&self, now: Instant) -> bool {
        self.goes_to(Rendition::Sub) && self.next_since.is_some_and(|since| now >= since + PATIENCE)
    }

    /// A unit of a rendition, of whose units key frames have about so many bits.
    pub fn push(&mut self, unit: &Arc<AccessUnit>, rendition: Rendition, now: Instant) -> Fate {
        if unit.keyframe && self.goes_to(rendition) {
            self.take_next();
        }
        if self.seat.rendition != rendition {
            return Fate::default();
        }
        let mut fate = Fate::default();
        if self.queue.len() - self.replayed >= QUEUE {
            fate.lost = self.queue.len() as u64;
            self.queue.clear();
            (self.replayed, self.waits, self.slow) = (0, true, true);
        }
        if self.waits && !unit.keyframe {
            fate.lost += u64::from(self.slow);
            return fate;
        }
        if self.leaves_out(unit, now) {
            fate.thinned = 1;
            return fate;
        }
        (self.waits, self.slow, self.wants_replay) = (false, false, self.wants_replay && !unit.keyframe);
        let unit = match self.newest.map(|newest| newest + LEAST_STEP) {
            Some(after) if unit.captured < after => {
                Arc::new(AccessUnit { captured: after, ..AccessUnit::clone(unit) })
            }
            _ => unit.clone(),
        };
        self.newest = Some(unit.captured);
        self.queue.push_back(unit);
        self.wake.notify_one();
        fate
    }

    fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            (self.seat, self.still_at, self.next_since) = (next, None, None);
        }
    }

    fn leaves_out(&mut self, unit: &AccessUnit, now: Instant) -> bool {
        match self.seat.share {
            Share::Whole => false,
            Share::Thinned => unit.discardable,
            Share::Keyframes if !unit.keyframe => true,
            Share::Keyframes => {
                let early = self.still_at.is_some_and(|at| now < at);
                if !early {
                    let rate = self.estimate.map_or(1, |rate| u64::from(rate.0).max(1));
                    let carried = Duration::from_millis(unit.data.len() as u64 * 8 * 1000 / rate);
                    self.still_at = Some(now + carried.max(STILL_SPACING));
                }
                early
            }
        }
    }

    /// Whether it is a viewer of key frames only that can have the next one.
    pub fn wants_still(&self, now: Instant) -> bool {
        self.seat.share == Share::Keyframes && self.still_at.is_none_or(|at| now >= at)
    }

    /// A unit of a stream that is passed through, and the group that it belongs to.
    pub fn pass(&mut self, unit: &Arc<AccessUnit>, gop: &Gop, now: Instant) -> Fate {
        let comes = self.goes_to(Rendition::Main);
        let wants = comes || (self.wants_replay && self.seat.rendition == Rendition::Main);
        let again = self.last_replay.is_none_or(|last| now >= last + REPLAY_SPACING);
        let stills = self.next.unwrap_or(self.seat).share == Share::Keyframes;
        if wants && again && !stills && !unit.keyframe && !gop.units().is_empty() {
            self.take_next();
            self.replay(gop, now);
            return Fate::default();
        }
        self.push(unit, Rendition::Main, now)
    }

    /// Gives it the group of pictures so far at once.
    pub fn replay(&mut self, gop: &Gop, now: Instant) {
        self.queue.clear();
        self.queue.extend(gop.replay(self.newest));
        self.replayed = self.queue.len();
        self.newest = self.queue.back().map(|unit| unit.captured).or(self.newest);
        (self.waits, self.slow, self.wants_replay, self.last_replay) = (false, false, false, Some(now));
        self.wake.notify_one();
    }

    /// The next unit, and whether a key frame is to be asked for: it was slow, and has caught up.
    pub fn next(&mut self) -> (Option<Arc<AccessUnit>>, bool) {
        let unit = self.queue.pop_front();
        self.replayed = self.replayed.saturating_sub(usize::from(unit.is_some()));
        let caught_up = unit.is_none() && self.slow;
        self.wants_replay |= caught_up;
        (unit, caught_up)
    }

    /// It lost something on the way.
    pub fn lost(&mut self) {
        self.wants_replay = true;
    }
}
