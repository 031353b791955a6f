//! What viewers can rely on: named cases, and what holds for all.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{
    super::{Floor, Shape},
    *,
};

const SOFTWARE: Floor = Floor { least: Bitrate(50_000), centibits_per_pixel: 1 };
const ABLE: Ability = Ability { floor: SOFTWARE, layers: true, passed: None, keyframe_bits: 0, align: 2 };
const HD: Shape = Shape { width: 1280, height: 720, fps: 30 };
const WHOLE: Share = Share::Whole;
const THINNED: Share = Share::Thinned;
const KEYFRAMES: Share = Share::Keyframes;

/// Time that is moved by hand, and viewers with estimates in kbit/s.
struct Scene {
    policy: Policy,
    now: Instant,
    watchers: Vec<Watcher>,
    main: Ability,
    sub: Option<Ability>,
}

impl Scene {
    fn new(estimates: &[u32]) -> Self {
        let bounds = Bounds { adapt: true, sub: true, max: Bitrate(2_000_000), min: Bitrate(100_000) };
        let now = Instant::now();
        let mut scene =
            Self { policy: Policy::new(bounds), now, watchers: vec![], main: ABLE, sub: Some(ABLE) };
        estimates.iter().for_each(|kbps| scene.join(Some(*kbps)));
        // They are known.
        scene.now += NEWCOMER;
        scene
    }

    fn join(&mut self, kbps: Option<u32>) {
        let estimate = kbps.map(|kbps| Bitrate(kbps * 1000));
        let id = self.watchers.len() as u64;
        self.watchers.push(Watcher { id, since: self.now, estimate });
    }

    fn estimate(&mut self, id: usize, kbps: u32) {
        self.watchers[id].estimate = Some(Bitrate(kbps * 1000));
    }

    fn decide(&mut self) -> Plan {
        let situation = Situation { watchers: &self.watchers, source: HD, main: self.main, sub: self.sub };
        self.policy.update(self.now, &situation).clone()
    }

    /// Time goes by, with a decision each 100 ms.
    fn wait(&mut self, milliseconds: u64) -> Plan {
        for _ in 0..milliseconds / 100 {
            self.now += Duration::from_millis(100);
            self.decide();
        }
        self.decide()
    }
}

/// Kilobits, width, pictures a second.
fn target(target: Option<Target>) -> Option<(u32, u32, u32)> {
    target.map(|target| (target.bitrate.0 / 1000, target.shape.width, target.shape.fps))
}

fn seats(plan: &Plan) -> Vec<(Rendition, Share)> {
    plan.seats.iter().map(|(_, seat)| (seat.rendition, seat.share)).collect()
}

use Rendition::{Main, Sub};

#[test]
fn the_main_rendition_follows_its_slowest_viewer_with_a_reserve() {
    let plan = Scene::new(&[1500, 1000, 9000]).decide();
    assert_eq!(target(plan.main), Some((950, 1280, 30)));
    assert_eq!((plan.sub, seats(&plan)), (None, vec![(Main, WHOLE); 3]));
}

#[test]
fn one_viewer_far_behind_gets_the_sub_rendition_and_the_others_lose_nothing() {
    let plan = Scene::new(&[2200, 2200, 2200, 150]).decide();
    assert_eq!(target(plan.main), Some((2000, 1280, 30)));
    assert_eq!(target(plan.sub), Some((142, 640, 30)));
    assert_eq!(seats(&plan), [(Main, WHOLE), (Main, WHOLE), (Main, WHOLE), (Sub, WHOLE)]);
}

#[test]
fn a_viewer_that_recovers_comes_back_to_the_main_rendition_when_that_has_lasted() {
    let mut scene = Scene::new(&[2200, 150]);
    scene.wait(1000);
    scene.estimate(1, 2200);
    let plan = scene.wait(3500);
    assert_eq!(seats(&plan)[1], (Sub, WHOLE), "not yet");
    assert_eq!(target(plan.sub).unwrap().0, 750, "as good as it gets at half the size");
    let plan = scene.wait(1500);
    assert_eq!((seats(&plan)[1], plan.sub), ((Main, WHOLE), None));
}

#[test]
fn a_viewer_that_falls_is_moved_when_that_has_lasted_and_costs_the_others_nothing_meanwhile() {
    let mut scene = Scene::new(&[2200, 2200]);
    scene.wait(5000);
    scene.estimate(1, 300);
    for plan in [scene.decide(), scene.wait(900)] {
        assert_eq!((seats(&plan)[1], target(plan.main).unwrap().0), ((Main, THINNED), 2000));
        assert_eq!(plan.sub, None);
    }
    let plan = scene.wait(300);
    assert_eq!((seats(&plan)[1], target(plan.main).unwrap().0), ((Sub, WHOLE), 2000));
}

#[test]
fn a_dip_lowers_the_rate_at_once_and_moves_nothing() {
    let mut scene = Scene::new(&[2200]);
    scene.wait(5000);
    scene.estimate(0, 20);
    for plan in [scene.decide(), scene.wait(900)] {
        // What the encoder holds at this size.
        assert_eq!((target(plan.main), seats(&plan)), (Some((276, 1280, 30)), vec![(Main, WHOLE)]));
    }
    scene.estimate(0, 1000);
    let plan = scene.wait(200);
    assert_eq!((target(plan.main), seats(&plan)), (Some((950, 1280, 30)), vec![(Main, WHOLE)]));
    // Of several viewers: neither is who dips moved, nor do the others wait for it.
    scene.join(Some(2200));
    scene.estimate(0, 2200);
    scene.wait(8000);
    scene.estimate(1, 100);
    let plan = scene.wait(800);
    assert_eq!(
        (target(plan.main), seats(&plan)),
        (Some((2000, 1280, 30)), vec![(Main, WHOLE), (Main, THINNED)])
    );
    scene.estimate(1, 2200);
    assert_eq!(seats(&scene.wait(5000)), [(Main, WHOLE); 2]);
}

#[test]
fn where_nobody_is_faster_nobody_gets_the_sub_rendition() {
    for estimates in [&[80][..], &[80, 60]] {
        let mut scene = Scene::new(estimates);
        let plan = scene.wait(8000);
        assert_eq!(plan.sub, None);
        assert!(seats(&plan).iter().all(|seat| *seat == (Main, WHOLE)));
        // Less than is configured, as there is nobody for whom it would be more.
        assert_eq!(target(plan.main).unwrap().0, estimates.iter().min().unwrap() * 95 / 100);
    }
}

#[test]
fn without_a_sub_rendition_a_viewer_far_behind_gets_every_second_picture_or_key_frames_only() {
    let mut scene = Scene::new(&[2200, 800]);
    scene.sub = None;
    let plan = scene.decide();
    assert_eq!((seats(&plan)[1], target(plan.main).unwrap().0), ((Main, THINNED), 760 * 100 / 65));
    assert!(plan.main.unwrap().layered);
    scene.estimate(1, 300);
    let plan = scene.wait(3900);
    assert_eq!((seats(&plan)[1], target(plan.main).unwrap().0), ((Main, THINNED), 2000), "for a while");
    let plan = scene.wait(300);
    assert_eq!((seats(&plan)[1], target(plan.main).unwrap().0), ((Main, KEYFRAMES), 2000));
    scene.main.layers = false;
    scene.estimate(1, 800);
    let plan = scene.wait(6000);
    assert_eq!(seats(&plan)[1], (Main, KEYFRAMES), "nothing can be left out");
    assert_eq!(target(plan.main).unwrap().0, 2000);
}

#[test]
fn below_the_floor_of_the_sub_rendition_pictures_are_left_out_then_all_but_key_frames() {
    let mut scene = Scene::new(&[2200, 40]);
    let plan = scene.decide();
    assert_eq!((target(plan.sub), seats(&plan)[1]), (Some((50, 320, 15)), (Sub, THINNED)));
    scene.estimate(1, 20);
    let plan = scene.wait(4200);
    assert_eq!((plan.sub.unwrap().bitrate, seats(&plan)[1]), (Bitrate(50_000), (Sub, KEYFRAMES)));
    assert!(plan.starved.is_empty());
    scene.sub = Some(Ability { keyframe_bits: 200_000, ..ABLE });
    assert_eq!(scene.decide().starved, [1], "a key frame would take 10.5 s");
}

#[test]
fn an_encoder_is_never_asked_for_less_than_it_holds() {
    // The Raspberry Pi's.
    let mut scene = Scene::new(&[300]);
    scene.main.floor = Floor { least: Bitrate(700_000), centibits_per_pixel: 0 };
    let plan = scene.decide();
    assert_eq!((plan.main, seats(&plan)), (None, vec![(Sub, WHOLE)]));
    scene.sub = None;
    let plan = scene.decide();
    assert_eq!((plan.main.unwrap().bitrate, seats(&plan)), (Bitrate(700_000), vec![(Main, KEYFRAMES)]));
}

#[test]
fn a_newcomer_holds_nobody_back_before_its_path_is_known() {
    let mut scene = Scene::new(&[2200]);
    scene.wait(5000);
    scene.join(None);
    assert_eq!(target(scene.decide().main).unwrap().0, 2000);
    scene.estimate(1, 300);
    let plan = scene.wait(1000);
    assert_eq!((target(plan.main).unwrap().0, plan.sub), (2000, None), "where its estimator begins");
    let plan = scene.wait(1500);
    assert_eq!(seats(&plan)[1], (Sub, WHOLE));
}

#[test]
fn of_newcomers_alone_the_latest_gets_what_the_first_one_has() {
    let mut scene = Scene::new(&[]);
    scene.join(Some(2200));
    scene.wait(400);
    scene.join(Some(320));
    let plan = scene.wait(1000);
    assert_eq!((target(plan.main).unwrap().0, plan.sub), (2000, None));
    assert_eq!(seats(&plan), [(Main, WHOLE), (Main, WHOLE)]);
}

#[test]
fn the_first_viewer_begins_with_its_estimate_and_keeps_the_size_while_it_ramps_up() {
    let mut scene = Scene::new(&[]);
    scene.join(None);
    assert_eq!(target(scene.decide().main), Some((2000, 1280, 30)), "nothing is known");
    scene.estimate(0, 320);
    assert_eq!(target(scene.decide().main), Some((304, 1280, 30)));
    scene.wait(1000);
    scene.estimate(0, 1000);
    assert_eq!(target(scene.wait(4000).main), Some((950, 1280, 30)));
}

#[test]
fn size_and_frame_rate_go_down_several_steps_after_a_second_and_up_after_four() {
    let mut scene = Scene::new(&[2200]);
    scene.wait(5000);
    scene.estimate(0, 130);
    assert_eq!(target(scene.wait(1200).main), Some((123, 640, 15)));
    scene.wait(1000);
    scene.estimate(0, 2200);
    assert_eq!(target(scene.wait(3500).main), Some((2000, 640, 15)), "the rate at once, the size not");
    assert_eq!(target(scene.wait(1500).main), Some((2000, 1280, 30)));
}

#[test]
fn a_rate_goes_up_in_steps_of_five_percent_and_down_as_it_is() {
    let mut scene = Scene::new(&[1000]);
    let mut main = |kbps| {
        scene.estimate(0, kbps);
        target(scene.decide().main).unwrap().0
    };
    assert_eq!([1000, 1040, 1060, 1055].map(&mut main), [950, 950, 1007, 1002]);
    assert_eq!([2100, 2200].map(&mut main), [1995, 2000], "the last step may be smaller");
}

#[test]
fn a_stream_that_is_passed_through_may_be_above_what_is_configured() {
    let mut scene = Scene::new(&[2_500, 2_500]);
    scene.main.passed = Some(Bitrate(2_050_000));
    let plan = scene.wait(5_000);
    assert!(plan.sub.is_none() && plan.seats.iter().all(|(_, seat)| *seat == Seat::BEST), "{plan:?}");
    // It was too slow for a while, and comes back.
    scene.estimate(0, 300);
    assert!(scene.wait(6_000).sub.is_some());
    scene.estimate(0, 2_600);
    assert_eq!(scene.wait(6_000).seat(0), Some(Seat::BEST));
}

#[test]
fn nobody_is_left_behind_for_ever_where_there_is_no_rate_to_set() {
    // The slower one can have the whole stream, though it has less than half of what the other can.
    let mut scene = Scene::new(&[1_500, 4_000]);
    scene.main.passed = Some(Bitrate(1_000_000));
    let plan = scene.wait(5_000);
    assert!(plan.seats.iter().all(|(_, seat)| *seat == Seat::BEST), "{plan:?}");
}

#[test]
fn an_encoder_whose_floor_is_above_what_is_configured_is_still_had_and_come_back_to() {
    let mut scene = Scene::new(&[5_000, 5_000]);
    scene.policy.bounds.max = Bitrate(500_000);
    scene.main.floor = Floor { least: Bitrate(700_000), ..SOFTWARE };
    let plan = scene.wait(3_000);
    assert!(plan.sub.is_none() && plan.seats.iter().all(|(_, seat)| *seat == Seat::BEST), "{plan:?}");
    scene.estimate(0, 200);
    assert!(scene.wait(6_000).sub.is_some());
    scene.estimate(0, 5_000);
    assert_eq!(scene.wait(6_000).seat(0), Some(Seat::BEST));
}

#[test]
fn a_stream_that_is_passed_through_is_thinned_where_that_is_enough_and_else_encoded_anew() {
    let mut scene = Scene::new(&[5000, 1400, 300]);
    scene.main.passed = Some(Bitrate(2_000_000));
    let plan = scene.decide();
    assert_eq!(seats(&plan), [(Main, WHOLE), (Main, THINNED), (Sub, WHOLE)]);
    scene.main.layers = false;
    let plan = scene.decide();
    assert_eq!(seats(&plan)[1..], [(Sub, WHOLE), (Sub, THINNED)]);
    scene.sub = None;
    assert_eq!(seats(&scene.decide())[1..], [(Main, KEYFRAMES); 2]);
}

#[test]
fn pictures_that_can_be_left_out_are_made_for_ten_seconds_after_they_were_needed() {
    let mut scene = Scene::new(&[2200, 800]);
    scene.sub = None;
    assert!(scene.decide().main.unwrap().layered);
    scene.watchers.pop();
    assert!(scene.wait(9900).main.unwrap().layered);
    assert!(!scene.wait(200).main.unwrap().layered);
}

#[test]
fn without_adaptation_all_get_everything() {
    let mut scene = Scene::new(&[10, 2200]);
    scene.policy.bounds.adapt = false;
    let plan = scene.decide();
    assert_eq!((target(plan.main), plan.sub), (Some((2000, 1280, 30)), None));
    assert_eq!(seats(&plan), [(Main, WHOLE); 2]);
}

/// Estimates of up to five viewers, again and again, with the milliseconds between.
fn histories() -> impl Strategy<Value = Vec<(Vec<u32>, u64)>> {
    let estimates = prop::collection::vec(10u32..5000, 1..6);
    prop::collection::vec((estimates, 0u64..30), 1..30)
}

proptest! {
    #[test]
    fn no_viewer_gets_more_than_its_path_carries_unless_nothing_less_can_be_had(
        history in histories(), has_sub: bool, layers: bool, hardware: bool,
    ) {
        let mut scene = Scene::new(&[]);
        let floor = if hardware { Floor { least: Bitrate(700_000), centibits_per_pixel: 0 } } else { SOFTWARE };
        scene.main = Ability { floor, layers, ..ABLE };
        scene.sub = has_sub.then_some(Ability { layers, ..ABLE });
        for (estimates, steps) in history {
            // Those who stay keep their names; all are known well.
            scene.watchers.truncate(estimates.len());
            while scene.watchers.len() < estimates.len() {
                scene.join(None);
            }
            for (id, kbps) in estimates.iter().enumerate() {
                scene.estimate(id, *kbps);
                scene.watchers[id].since = scene.now - NEWCOMER;
            }
            // Dips are waited for.
            let at_once = scene.wait(1200 + steps * 100);
            let settled = scene.wait(6000);
            for plan in [&at_once, &settled] {
                prop_assert_eq!(plan.seats.len(), estimates.len());
                for (rendition, ability) in [(Main, Some(scene.main)), (Sub, scene.sub)] {
                    let Some(target) = plan.target(rendition) else { continue };
                    prop_assert!(target.bitrate >= ability.unwrap().floor.at(target.shape), "{:?}", plan);
                    prop_assert!(target.bitrate.0 <= 2_000_000);
                }
                for (id, seat) in &plan.seats {
                    let rate = u64::from(plan.target(seat.rendition).unwrap().bitrate.0);
                    let thinned = rate * seating::THINNED_PERCENT / 100;
                    let carries = u64::from(estimates[*id as usize]) * 950;
                    match seat.share {
                        Share::Whole => prop_assert!(rate <= carries, "{}: {:?}", id, plan),
                        // Key frames only is for those who can have nothing better for long.
                        Share::Thinned => {
                            prop_assert!(layers && (*plan != settled || thinned <= carries), "{}: {:?}", id, plan);
                        }
                        Share::Keyframes => {
                            // There is nothing less; and in the end nothing more could be had with a margin.
                            let least = if layers { thinned } else { rate };
                            prop_assert!(*plan != settled || carries < least * 116 / 100, "{}: {:?}", id, plan);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_estimate_that_swings_changes_size_and_seat_no_more_than_twice_in_four_seconds(
        low in 20u32..2000, high in 20u32..4000, other in 500u32..3000, period in 1u64..30,
    ) {
        let mut scene = Scene::new(&[other, low]);
        let mut last = scene.decide();
        let (mut moves, mut steps) = (0, 0);
        let seconds = 40;
        for tick in 0..seconds * 10 {
            scene.estimate(1, if tick / period % 2 == 0 { low } else { high });
            let plan = scene.wait(100);
            moves += usize::from(plan.seat(1) != last.seat(1));
            let shape = |plan: &Plan| (plan.main.map(|t| t.shape), plan.sub.map(|t| t.shape));
            let (now, before) = (shape(&plan), shape(&last));
            let stepped = |now: Option<Shape>, before: Option<Shape>| now.zip(before).is_some_and(|(a, b)| a != b);
            steps += usize::from(stepped(now.0, before.0)) + usize::from(stepped(now.1, before.1));
            last = plan;
        }
        prop_assert!(moves <= seconds as usize / 2 + 2, "{} moves", moves);
        prop_assert!(steps <= seconds as usize + 2, "{} steps", steps);
    }

    #[test]
    fn nothing_makes_it_panic(
        estimates in prop::collection::vec(prop::option::of(any::<u32>()), 0..8),
        width in 0u32..5000, height in 0u32..5000, fps in 0u32..200, max: u32, min: u32, least: u32, align in 0u32..64,
    ) {
        let bounds = Bounds { adapt: true, sub: true, max: Bitrate(max), min: Bitrate(min) };
        let now = Instant::now();
        let watchers: Vec<_> = (0..).zip(&estimates)
            .map(|(id, estimate)| Watcher { id, since: now, estimate: estimate.map(Bitrate) }).collect();
        let ability = Ability { floor: Floor { least: Bitrate(least), centibits_per_pixel: 1 }, align, ..ABLE };
        let source = Shape { width, height, fps };
        let mut policy = Policy::new(bounds);
        let situation = Situation { watchers: &watchers, source, main: ability, sub: Some(ability) };
        prop_assert_eq!(policy.update(now + NEWCOMER, &situation).seats.len(), watchers.len());
    }
}
