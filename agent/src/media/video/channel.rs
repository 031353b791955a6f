//! The viewers of one codec: who gets which unit. No thread and no clock of its own; nobody waits for anybody.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{AccessUnit, Bitrate, gop::Gop, keyframe::KeyframeGate};

/// Live units that wait for one viewer at most, a second at 30 fps. When it is full, all of them are dropped, and
/// what comes up to the next key frame.
const QUEUE: usize = 30;
/// A viewer of a passed-through stream gets the group of pictures again at most so often.
const REPLAY_SPACING: Duration = Duration::from_secs(1);

/// Names a viewer within a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewerId(pub u64);

#[derive(Debug)]
struct Viewer {
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
}

impl Viewer {
    /// Returns how many units it lost.
    fn push(&mut self, unit: &Arc<AccessUnit>) -> usize {
        let mut lost = 0;
        if self.queue.len() - self.replayed >= QUEUE {
            lost = self.queue.len();
            self.queue.clear();
            (self.replayed, self.waits, self.slow) = (0, true, true);
        }
        if self.waits && !unit.keyframe {
            return lost + usize::from(self.slow);
        }
        (self.waits, self.slow, self.wants_replay) = (false, false, self.wants_replay && !unit.keyframe);
        self.newest = Some(unit.captured);
        self.queue.push_back(unit.clone());
        self.wake.notify_one();
        lost
    }

    fn replay(&mut self, gop: &Gop, now: Instant) {
        self.queue.clear();
        self.queue.extend(gop.replay(self.newest));
        self.replayed = self.queue.len();
        self.newest = self.queue.back().map(|unit| unit.captured);
        (self.waits, self.slow, self.wants_replay, self.last_replay) = (false, false, false, Some(now));
        self.wake.notify_one();
    }
}

/// The viewers of one codec, and what they share.
#[derive(Debug)]
pub struct Channel {
    viewers: BTreeMap<ViewerId, Viewer>,
    gate: KeyframeGate,
    gop: Gop,
    /// What the encoder shall aim at.
    pub bitrate: Bitrate,
    /// Grows with each encoder: a late unit of an old one is recognised by it.
    epoch: u64,
}

impl Channel {
    /// Without viewers.
    pub fn new(bitrate: Bitrate) -> Self {
        Self {
            viewers: BTreeMap::new(),
            gate: KeyframeGate::default(),
            gop: Gop::default(),
            bitrate,
            epoch: 0,
        }
    }

    /// How many viewers there are.
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// A viewer comes. It has the group of pictures so far at once, if there is one.
    pub fn join(&mut self, id: ViewerId, now: Instant) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let mut viewer = Viewer {
            queue: VecDeque::new(),
            replayed: 0,
            waits: true,
            slow: false,
            wants_replay: false,
            last_replay: None,
            newest: None,
            wake: wake.clone(),
        };
        if !self.gop.units().is_empty() {
            viewer.replay(&self.gop, now);
        }
        self.viewers.insert(id, viewer);
        self.gate.newcomer();
        wake
    }

    /// A viewer goes.
    pub fn leave(&mut self, id: ViewerId) {
        self.viewers.remove(&id);
    }

    /// The next unit for a viewer. One that was slow and has caught up asks for a key frame by this; one that does
    /// not read asks for none.
    pub fn next(&mut self, id: ViewerId) -> Option<Arc<AccessUnit>> {
        let viewer = self.viewers.get_mut(&id)?;
        let unit = viewer.queue.pop_front();
        viewer.replayed = viewer.replayed.saturating_sub(usize::from(unit.is_some()));
        if unit.is_none() && viewer.slow {
            viewer.wants_replay = true;
            self.gate.request();
        }
        unit
    }

    /// A viewer lost something on the way.
    pub fn request_keyframe(&mut self, id: ViewerId) {
        if let Some(viewer) = self.viewers.get_mut(&id) {
            viewer.wants_replay = true;
            self.gate.request();
        }
    }

    /// Whether the picture that is encoded now must be a key frame.
    pub fn keyframe_due(&self, now: Instant) -> bool {
        self.gate.due(now)
    }

    /// A new encoder starts for this channel; units of earlier ones are refused from now on.
    pub fn new_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// Whether this encoder is the one whose units are taken.
    pub fn is_current(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    /// An encoder made a unit. Returns how many units slow viewers lost, `None` if the encoder is an old one.
    pub fn publish(&mut self, unit: &Arc<AccessUnit>, epoch: u64, now: Instant) -> Option<usize> {
        if !self.is_current(epoch) {
            return None;
        }
        if unit.keyframe {
            self.gate.served(now);
        }
        Some(self.viewers.values_mut().map(|viewer| viewer.push(unit)).sum())
    }

    /// A unit came encoded from the source. Returns how many units slow viewers lost, `None` if nobody can decode
    /// it yet.
    pub fn pass_through(&mut self, unit: &Arc<AccessUnit>, now: Instant) -> Option<usize> {
        if !self.gop.push(unit) {
            return None;
        }
        if unit.keyframe {
            self.gate.served(now);
        }
        let gop = &self.gop;
        let serve = |viewer: &mut Viewer| {
            let again = viewer.last_replay.is_none_or(|last| now >= last + REPLAY_SPACING);
            if viewer.wants_replay && again && !unit.keyframe && !gop.units().is_empty() {
                viewer.replay(gop, now);
                return 0;
            }
            viewer.push(unit)
        };
        Some(self.viewers.values_mut().map(serve).sum())
    }

    /// The units since the key frame of the stream that is passed through.
    pub fn gop(&self) -> &[Arc<AccessUnit>] {
        self.gop.units()
    }

    /// The stream that was passed through has ended.
    pub fn end_pass_through(&mut self) {
        self.gop.clear();
    }

    /// Wakes every viewer, to see that the pipeline is over.
    pub fn wake_all(&self) {
        self.viewers.values().for_each(|viewer| viewer.wake.notify_one());
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
