//! Turns the estimates of one codec's viewers into a plan.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Ability, Bitrate, Bounds, Floor, Ladder, Plan, Rendition, Seat, Share, Situation, Target, Watcher, bits,
    lasting::Lasting,
    seating::{self, Claim, behind, group_rate},
    steady::Steady,
};

/// A rate goes up in steps of this percentage at least: each change disturbs a rate control a little.
const UP_PERCENT: u64 = 105;
/// A viewer's first estimates say where its estimator begins, not what its path carries: for so long it holds
/// nobody back and is not moved, if others are there who are known better.
const NEWCOMER: Duration = Duration::from_secs(2);
/// Percent of the main rendition's bits for a pixel that the sub rendition gets at most: a smaller picture has more
/// detail on each, but beyond this nothing gets better at half the size.
const SUB_DENSITY_PERCENT: u64 = 150;
/// What is passed through has no rate to set.
const NO_FLOOR: Floor = Floor { least: Bitrate(0), centibits_per_pixel: 0 };
/// Claims count up to this percentage of what the main rendition takes at least: more than it takes to come back to it.
pub(crate) const MARGIN_PERCENT: u64 = 125;
/// Pictures that can be left out are made for so long after the last viewer that needed them.
const LAYERS_LINGER: Duration = Duration::from_secs(10);

/// What is remembered of a viewer.
#[derive(Clone, Debug, Default)]
struct Known {
    steady: Steady,
    lasting: Lasting,
    seat: Option<Seat>,
}

/// What is remembered of a rendition.
#[derive(Clone, Debug, Default)]
struct Course {
    steady: Steady,
    place: Option<usize>,
    rate: Option<u64>,
    layered_until: Option<Instant>,
}

/// See the module. One for each codec, as its encoders serve that codec's viewers alone.
#[derive(Clone, Debug)]
pub struct Policy {
    bounds: Bounds,
    known: BTreeMap<u64, Known>,
    courses: [Course; 2],
    plan: Plan,
}

impl Policy {
    /// Percent of an estimate that pictures are made for. Encoders miss their target by a few percent from second to
    /// second; what is too much waits in the sender.
    pub const RESERVE_PERCENT: u64 = 95;
    /// A key frame that would take longer than this on a viewer's path is of no use to it.
    pub const SLOWEST_KEYFRAME: Duration = Duration::from_secs(10);

    /// Without viewers.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, known: BTreeMap::new(), courses: Default::default(), plan: Plan::default() }
    }

    /// What it is bound to.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// What was decided last.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Decides anew. To be called when an estimate has changed, and a few times a second anyway, as what has lasted
    /// counts.
    pub fn update(&mut self, now: Instant, situation: &Situation<'_>) -> &Plan {
        let watchers = situation.watchers;
        self.known.retain(|id, _| watchers.iter().any(|watcher| watcher.id == *id));
        self.plan = if self.bounds.adapt { self.adapted(now, situation) } else { self.fixed(situation) };
        self.plan.seats.sort_unstable_by_key(|(id, _)| *id);
        for (id, seat) in &self.plan.seats {
            self.known.entry(*id).or_default().seat = Some(*seat);
        }
        &self.plan
    }

    fn fixed(&self, situation: &Situation<'_>) -> Plan {
        let shape = situation.source;
        let main = Target { bitrate: self.bounds.max, shape, scaled: false, layered: false };
        let seats: Vec<_> = situation.watchers.iter().map(|watcher| (watcher.id, Seat::BEST)).collect();
        Plan { main: (!seats.is_empty()).then_some(main), seats, ..Plan::default() }
    }

    fn adapted(&mut self, now: Instant, situation: &Situation<'_>) -> Plan {
        let &Situation { source, main, sub, .. } = situation;
        let ladder = |rendition, align| Ladder::new(source, rendition, align);
        let main_ladder = ladder(Rendition::Main, main.align);
        let least = bits(self.bounds.min.min(self.bounds.max).0.into());
        let own_floor = u64::from(main.floor.at(main_ladder.last()).0);
        // What an encoder or camera makes at least may be above what is configured, and to come back to it takes a margin.
        let needed = main.passed.unwrap_or(bits(own_floor)).max(least);
        let most = u64::from(self.bounds.max.0).max(u64::from(needed.0) * MARGIN_PERCENT / 100);
        let (claims, newcomers, early) = self.claims(now, most, situation.watchers);

        let sub_floor = sub.map(|sub| u64::from(sub.floor.at(ladder(Rendition::Sub, sub.align).last()).0));
        let floor = own_floor.max(least.0.into());
        let (mut on_main, on_sub) = split(&claims, &main, (floor, own_floor), sub_floor);
        // The configured least is there for the sake of those who can have it.
        let floor = if on_main.iter().any(|claim| claim.lasting >= floor) { floor } else { own_floor };
        // There is no waiting for anybody where there is no rate to set.
        let waits = sub.is_some() && main.passed.is_none();
        let dipping = if waits { seating::dipping(&mut on_main) } else { 0 };
        let (dipping, on_main) = on_main.split_at(dipping);
        let mut plan = Plan::default();

        let rate_of = |claims: &[Claim]| match main.passed {
            Some(passed) => u64::from(passed.0),
            None => {
                let rate = group_rate(claims, Rendition::Main, main.layers, sub.is_none());
                // Nobody whose path is known is there: it begins with what its newcomers say.
                let begin = || newcomers.iter().filter_map(|(_, rate)| *rate).min();
                let wanted = rate.or_else(begin).unwrap_or(self.bounds.max.0.into());
                clamped(wanted, self.bounds.max, floor)
            }
        };
        let (rate, lasting) = (rate_of(on_main), rate_of(&without_dips(on_main)));
        let seated = on_main.iter().map(|claim| seating::seat(claim, Rendition::Main, rate, main.layers));
        plan.seats.extend(on_main.iter().zip(seated).map(|(claim, seat)| (claim.id, seat)));
        plan.seats.extend(dipping.iter().map(|claim| (claim.id, seating::dipped(claim, main.layers))));
        plan.seats.extend(newcomers.iter().map(|(id, _)| (*id, Seat::BEST)));
        if !plan.seats.is_empty() {
            let floor = if main.passed.is_some() { NO_FLOOR } else { main.floor };
            plan.main =
                Some(self.target(now, (Rendition::Main, floor), &main_ladder, (rate, lasting), early, &plan));
        }

        if let (Some(ability), false) = (sub, on_sub.is_empty()) {
            let ladder = ladder(Rendition::Sub, ability.align);
            let floor = u64::from(ability.floor.at(ladder.last()).0);
            let most =
                u64::from(self.bounds.max.0) * ladder.shape(0).pixel_rate() / source.pixel_rate().max(1);
            let most = bits(most * SUB_DENSITY_PERCENT / 100).min(self.bounds.max);
            let rate_of = |claims: &[Claim]| {
                let rate = group_rate(claims, Rendition::Sub, ability.layers, false);
                clamped(rate.unwrap_or(floor), most, floor)
            };
            let (rate, lasting) = (rate_of(&on_sub), rate_of(&without_dips(&on_sub)));
            let seated =
                |claim: &Claim| (claim.id, seating::seat(claim, Rendition::Sub, rate, ability.layers));
            plan.seats.extend(on_sub.iter().map(seated));
            let course = (Rendition::Sub, ability.floor);
            plan.sub = Some(self.target(now, course, &ladder, (rate, lasting), early, &plan));
        }
        plan.seats.sort_unstable_by_key(|(id, _)| *id);

        let starved = |claim: &&Claim| match plan.seat(claim.id) {
            Some(Seat { rendition, share: Share::Keyframes }) => {
                let ability = if rendition == Rendition::Main { main } else { sub.unwrap_or(main) };
                claim.rate.saturating_mul(Self::SLOWEST_KEYFRAME.as_secs()) < ability.keyframe_bits
            }
            _ => false,
        };
        plan.starved = claims.iter().filter(starved).map(|claim| claim.id).collect();
        plan
    }

    /// The viewers whose rates count, the others with what is known of them, and whether the first are all new.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn claims(
        &mut self,
        now: Instant,
        most: u64,
        watchers: &[Watcher],
    ) -> (Vec<Claim>, Vec<(u64, Option<u64>)>, bool) {
        let is_known = |watcher: &Watcher| watcher.estimate.is_some() && now >= watcher.since + NEWCOMER;
        let early = !watchers.iter().any(is_known);
        let (mut claims, mut newcomers) = (Vec::new(), Vec::new());
        for watcher in watchers {
            let known = self.known.entry(watcher.id).or_default();
            let Some(Bitrate(estimate)) = watcher.estimate else {
                newcomers.push((watcher.id, None));
                continue;
            };
            let rate = (u64::from(estimate) * Self::RESERVE_PERCENT / 100).min(most);
            let steady = known.steady.push(now, rate);
            known.lasting.push(now, rate);
            if early || is_known(watcher) {
                let (lasting, long) = (known.lasting.most(now), known.lasting.long_most(now));
                claims.push(Claim { id: watcher.id, previous: known.seat, rate, steady, lasting, long });
            } else {
                newcomers.push((watcher.id, Some(rate)));
            }
        }
        if early {
            // Among newcomers alone, who is far behind has just not been there as long as the others.
            claims.sort_by_key(|claim| claim.rate);
            let slow = behind(&claims.iter().map(|claim| claim.rate).collect::<Vec<_>>());
            newcomers.extend(claims.drain(..slow).map(|claim| (claim.id, Some(claim.rate))));
        }
        (claims, newcomers, early)
    }

    /// What the encoder does, from the rate of its group now and without dips; `plan` has its seats.
    fn target(
        &mut self,
        now: Instant,
        (rendition, floor): (Rendition, Floor),
        ladder: &Ladder,
        (rate, lasting): (u64, u64),
        early: bool,
        plan: &Plan,
    ) -> Target {
        let course = &mut self.courses[rendition as usize];
        let steady = course.steady.push(now, rate);
        let max = u64::from(self.bounds.max.0);
        let held = course.rate.filter(|held| rate >= *held && rate * 100 < held * UP_PERCENT && rate < max);
        let rate = held.unwrap_or(rate);
        course.rate = Some(rate);
        let place = ladder.step(course.place, lasting.max(rate), steady, early);
        course.place = Some(place);
        let thinned = Seat { rendition, share: Share::Thinned };
        if plan.seats.iter().any(|(_, seat)| *seat == thinned) {
            course.layered_until = Some(now + LAYERS_LINGER);
        }
        let shape = ladder.shape(place);
        // In a dip the size stays, and so does what the encoder holds at it.
        let rate = rate.max(floor.at(shape).0.into());
        let scaled = rendition == Rendition::Sub || place > 0;
        let layered = course.layered_until.is_some_and(|until| now < until);
        Target { bitrate: bits(rate), shape, scaled, layered }
    }
}

/// An encoder's floor may lie above what is configured.
fn clamped(rate: u64, max: Bitrate, floor: u64) -> u64 {
    rate.min(max.0.into()).max(floor)
}

/// The same viewers with what they had in the last second: sizes follow that.
fn without_dips(claims: &[Claim]) -> Vec<Claim> {
    claims.iter().map(|claim| Claim { rate: claim.lasting.max(claim.rate), ..*claim }).collect()
}

/// Who watches the main rendition, and who the sub rendition. `floor`: the least rate of the main rendition as it is
/// configured, and as its encoder has it; `sub_floor`: that of the sub rendition's encoder, if there can be one.
fn split(
    claims: &[Claim],
    main: &Ability,
    (floor, own_floor): (u64, u64),
    sub_floor: Option<u64>,
) -> (Vec<Claim>, Vec<Claim>) {
    let Some(sub_floor) = sub_floor else { return (claims.to_vec(), Vec::new()) };
    if let Some(passed) = main.passed {
        let passed = u64::from(passed.0);
        return claims.iter().partition(|claim| {
            seating::seat(claim, Rendition::Main, passed, main.layers).share != Share::Keyframes
        });
    }
    let mut ascending: Vec<Claim> = claims.to_vec();
    // A dip moves nobody.
    let standing = |claim: &Claim| match claim.previous {
        Some(Seat { rendition: Rendition::Main, .. }) => claim.lasting,
        _ => claim.towards(Seat::BEST),
    };
    ascending.sort_by_key(standing);
    let rates: Vec<u64> = ascending.iter().map(standing).collect();
    let too_slow = |floor: u64| rates.partition_point(|rate| *rate < floor);
    let mut slow = behind(&rates).max(too_slow(floor));
    if slow == rates.len() {
        // Nobody is faster: a second encode would spare nobody anything, unless the first cannot go so low.
        slow = behind(&rates).max(if sub_floor < own_floor { too_slow(own_floor) } else { 0 });
    }
    let on_main = ascending.split_off(slow);
    (on_main, ascending)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
