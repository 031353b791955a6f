//! The viewers of one codec: who gets which unit of which rendition. No thread and no clock of its own; nobody waits
//! for anybody.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    AccessUnit, Bitrate,
    encoder::{SOFTWARE_CENTIBITS_PER_PIXEL, SOFTWARE_FLOOR},
    gop::Gop,
    keyframe::KeyframeGate,
    passing::{Figures, Passing},
    rate::{Ability, Bounds, Floor, Plan, Policy, Rendition, Seat, Shape, Situation, Target, Watcher},
    viewer::{Fate, STILL_SPACING, Viewer},
};

/// The policy is asked so often also when no estimate falls: what has lasted counts.
const DECIDE_EVERY: Duration = Duration::from_millis(100);
/// An encoder that nobody watches any more is kept for so long, if others watch the other rendition: a viewer that
/// swings back and forth would open it again and again.
const LINGER: Duration = Duration::from_secs(10);
/// A sub rendition that gave nothing is not offered for this long.
const SUB_AGAIN: Duration = Duration::from_secs(60);
/// Of what is passed through or made at least, what is looked for on a path: with the controller's own fifth on top, enough to come
/// back from the sub rendition.
const DEMAND_PERCENT: u64 = 110;

/// Names a viewer within a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewerId(pub u64);

/// A rendition's side of the channel.
#[derive(Debug)]
struct Stream {
    gate: KeyframeGate,
    /// Grows with each encoder: a late unit of an old one is recognised by it.
    epoch: u64,
    ability: Ability,
    /// What the encoder was told last.
    target: Option<Target>,
    watched: Option<Instant>,
}

impl Stream {
    /// `floor` holds until an encoder says otherwise.
    fn new(floor: Floor) -> Self {
        Self {
            gate: KeyframeGate::default(),
            epoch: 0,
            ability: Ability { floor, layers: false, passed: None, keyframe_bits: 0, align: 2 },
            target: None,
            watched: None,
        }
    }
}

/// A decision and the one before; they may be the same.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Up to now.
    pub before: Plan,
    /// From now on.
    pub after: Plan,
}

/// The viewers of one codec, and what they share.
#[derive(Debug)]
pub struct Channel {
    viewers: BTreeMap<ViewerId, Viewer>,
    streams: [Stream; 2],
    gop: Gop,
    passing: Passing,
    policy: Policy,
    decided: Option<Instant>,
    /// When the sub rendition was last waited for in vain.
    sub_fails: Option<Instant>,
}

impl Channel {
    /// Without viewers.
    pub fn new(bounds: Bounds) -> Self {
        // Which encoder the main rendition gets is not known yet; the sub rendition's is always one in software.
        let any = Floor { least: Bitrate(0), centibits_per_pixel: 0 };
        let software = Floor { least: SOFTWARE_FLOOR, centibits_per_pixel: SOFTWARE_CENTIBITS_PER_PIXEL };
        Self {
            viewers: BTreeMap::new(),
            streams: [Stream::new(any), Stream::new(software)],
            gop: Gop::default(),
            passing: Passing::default(),
            policy: Policy::new(bounds),
            decided: None,
            sub_fails: None,
        }
    }

    fn stream(&mut self, rendition: Rendition) -> &mut Stream {
        &mut self.streams[rendition as usize]
    }

    /// How many viewers there are.
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// How many viewers get a rendition, or will when a key frame of it comes.
    pub fn watchers(&self, rendition: Rendition) -> usize {
        self.viewers.values().filter(|viewer| viewer.needs(rendition)).count()
    }

    /// What all viewers get now.
    pub fn seats(&self) -> impl Iterator<Item = Seat> {
        self.viewers.values().map(Viewer::seat)
    }

    /// Whether a rendition's encoder is of no more use.
    pub fn is_idle(&self, rendition: Rendition, now: Instant) -> bool {
        let watched = self.streams[rendition as usize].watched;
        self.viewers.is_empty()
            || (self.watchers(rendition) == 0 && watched.is_none_or(|last| now >= last + LINGER))
    }

    /// A viewer comes. It has the group of pictures so far at once, if there is one.
    pub fn join(&mut self, id: ViewerId, now: Instant) -> Arc<Notify> {
        let mut viewer = Viewer::new(now);
        if !self.gop.units().is_empty() {
            viewer.replay(&self.gop, now);
        }
        let wake = viewer.wake().clone();
        let rendition = viewer.rendition();
        self.viewers.insert(id, viewer);
        self.stream(rendition).gate.newcomer();
        self.decided = None;
        wake
    }

    /// A viewer goes.
    pub fn leave(&mut self, id: ViewerId) {
        self.viewers.remove(&id);
        self.decided = None;
    }

    /// The next unit for a viewer. One that was slow and has caught up asks for a key frame by this; one that does
    /// not read asks for none.
    pub fn next(&mut self, id: ViewerId) -> Option<Arc<AccessUnit>> {
        let viewer = self.viewers.get_mut(&id)?;
        let (unit, caught_up) = viewer.next();
        let rendition = viewer.rendition();
        if caught_up {
            self.stream(rendition).gate.request();
        }
        unit
    }

    /// A viewer lost something on the way.
    pub fn request_keyframe(&mut self, id: ViewerId) {
        if let Some(viewer) = self.viewers.get_mut(&id) {
            viewer.lost();
            let rendition = viewer.rendition();
            self.stream(rendition).gate.request();
        }
    }

    /// A viewer's path carries so much. What is less than before is acted on at the next [`Self::decide`].
    pub fn estimate(&mut self, id: ViewerId, estimate: Bitrate) {
        if let Some(viewer) = self.viewers.get_mut(&id) {
            let before = viewer.estimate.replace(estimate);
            if before.is_none_or(|before| estimate < before) {
                self.decided = None;
            }
        }
    }

    /// Decides anew who gets what, if it is time; returns what was decided before, and now.
    /// `passes`: the source gives this codec encoded, or will.
    pub fn decide(&mut self, source: Shape, passes: bool, now: Instant) -> Option<Changes> {
        self.note_watched(now);
        if self.decided.is_some_and(|last| now < last + DECIDE_EVERY) {
            return None;
        }
        self.decided = Some(now);
        let watchers: Vec<_> = self
            .viewers
            .iter()
            .map(|(id, viewer)| Watcher { id: id.0, since: viewer.since, estimate: viewer.estimate })
            .collect();
        let mut main = self.streams[0].ability;
        if let Some(passing) = self.passing.now().or(passes.then(Figures::default)) {
            (main.passed, main.layers) = (Some(passing.rate), passing.discardable);
            main.keyframe_bits = passing.keyframe_bits;
        }
        if self.viewers.values().any(|viewer| viewer.waits_in_vain(now)) {
            // Its encoder gives nothing. Who waits for it stays, and is given less of the main one.
            self.sub_fails = Some(now);
        }
        let fails = self.sub_fails.is_some_and(|since| now < since + SUB_AGAIN);
        let sub = (self.policy.bounds().sub && !fails).then_some(self.streams[1].ability);
        let before = self.policy.plan().clone();
        let situation = Situation { watchers: &watchers, source, main, sub };
        let after = self.policy.update(now, &situation).clone();
        for rendition in Rendition::ALL {
            let stream = self.stream(rendition);
            stream.target = after.target(rendition).or(stream.target);
        }
        for (id, seat) in &after.seats {
            let Some(viewer) = self.viewers.get_mut(&ViewerId(*id)) else { continue };
            if let Some(rendition) = viewer.assign(*seat, now) {
                self.streams[rendition as usize].gate.newcomer();
            }
        }
        self.note_watched(now);
        Some(Changes { before, after })
    }

    fn note_watched(&mut self, now: Instant) {
        for rendition in Rendition::ALL {
            if self.watchers(rendition) > 0 {
                self.stream(rendition).watched = Some(now);
            }
        }
    }

    /// What a rendition's encoder is to do; `None` if nobody watches it.
    pub fn target(&self, rendition: Rendition) -> Option<Target> {
        let target = self.streams[rendition as usize].target;
        target.filter(|_| self.watchers(rendition) > 0)
    }

    /// What viewers take at most: the configured rate, or what the camera gives, with the policy's reserve.
    pub fn demand(&self) -> Bitrate {
        let passed = self.passing.now().map(|figures| figures.rate);
        let least = passed.unwrap_or(self.streams[0].ability.floor.least);
        // Who was on the sub rendition comes back only when its path has shown a margin.
        let least = u64::from(least.0) * DEMAND_PERCENT / 100;
        let most = least.max(self.policy.bounds().max.0.into()).max(1);
        Bitrate(u32::try_from(most * 100 / Policy::RESERVE_PERCENT + 1).unwrap_or(u32::MAX))
    }

    /// Whether the picture that is encoded now must be a key frame.
    pub fn keyframe_due(&self, rendition: Rendition, now: Instant) -> bool {
        let gate = &self.streams[rendition as usize].gate;
        let wants_still = |viewer: &Viewer| viewer.rendition() == rendition && viewer.wants_still(now);
        // One for all of them: their rhythms are not the same.
        gate.due(now) || (gate.rests(now, STILL_SPACING) && self.viewers.values().any(wants_still))
    }

    /// An encoder was opened that can so much.
    pub fn opened(&mut self, rendition: Rendition, floor: Floor, layers: bool, align: u32) {
        let ability = &mut self.stream(rendition).ability;
        (ability.floor, ability.layers, ability.align) = (floor, layers, align);
    }

    /// A new encoder starts for a rendition; units of earlier ones are refused from now on.
    pub fn new_epoch(&mut self, rendition: Rendition) -> u64 {
        let stream = self.stream(rendition);
        stream.epoch += 1;
        stream.epoch
    }

    /// Whether this encoder is the one whose units are taken.
    pub fn is_current(&self, rendition: Rendition, epoch: u64) -> bool {
        self.streams[rendition as usize].epoch == epoch
    }

    /// An encoder made a unit. Returns what viewers do not get of it, `None` if the encoder is an old one.
    pub fn publish(
        &mut self,
        unit: &Arc<AccessUnit>,
        rendition: Rendition,
        epoch: u64,
        now: Instant,
    ) -> Option<Fate> {
        if !self.is_current(rendition, epoch) {
            return None;
        }
        if unit.keyframe {
            let stream = self.stream(rendition);
            stream.gate.served(now);
            stream.ability.keyframe_bits = unit.data.len() as u64 * 8;
        }
        let mut all = Fate::default();
        self.viewers.values_mut().for_each(|viewer| all += viewer.push(unit, rendition, now));
        Some(all)
    }

    /// A unit came encoded from the source. Returns what viewers do not get of it, `None` if nobody can decode it
    /// yet.
    pub fn pass_through(&mut self, unit: &Arc<AccessUnit>, now: Instant) -> Option<Fate> {
        if !self.gop.push(unit) {
            return None;
        }
        self.passing.push(unit, now);
        if unit.keyframe {
            self.stream(Rendition::Main).gate.served(now);
        }
        let mut all = Fate::default();
        self.viewers.values_mut().for_each(|viewer| all += viewer.pass(unit, &self.gop, now));
        Some(all)
    }

    /// The units since the key frame of the stream that is passed through.
    pub fn gop(&self) -> &[Arc<AccessUnit>] {
        self.gop.units()
    }

    /// The stream that was passed through has ended.
    pub fn end_pass_through(&mut self) {
        self.gop.clear();
        self.passing = Passing::default();
    }

    /// Wakes every viewer, to see that the pipeline is over.
    pub fn wake_all(&self) {
        self.viewers.values().for_each(|viewer| viewer.wake().notify_one());
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
