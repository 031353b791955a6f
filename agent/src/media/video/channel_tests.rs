//! What the viewers of a channel can rely on.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::media::video::VideoCodec;

const A: ViewerId = ViewerId(1);
const B: ViewerId = ViewerId(2);

struct Clock(Instant, u32);

impl Clock {
    fn unit(&mut self, keyframe: bool) -> Arc<AccessUnit> {
        self.1 += 1;
        let captured = self.now();
        let (codec, data) = (VideoCodec::H264, vec![1; 100].into());
        Arc::new(AccessUnit::passed(codec, data, keyframe, (16, 16), (captured, captured)))
    }

    fn now(&self) -> Instant {
        self.0 + Duration::from_millis(33) * self.1
    }
}

fn channel(viewers: &[ViewerId]) -> (Channel, Clock, u64) {
    let mut channel =
        Channel::new(Bounds { adapt: true, sub: true, max: Bitrate(2_000_000), min: Bitrate(100_000) });
    let clock = Clock(Instant::now(), 0);
    viewers.iter().for_each(|id| drop(channel.join(*id, clock.now())));
    let epoch = channel.new_epoch(Rendition::Main);
    (channel, clock, epoch)
}

fn drain(channel: &mut Channel, id: ViewerId) -> Vec<bool> {
    std::iter::from_fn(|| channel.next(id)).map(|unit| unit.keyframe).collect()
}

#[test]
fn a_viewer_starts_with_a_key_frame() {
    let (mut channel, mut clock, epoch) = channel(&[A]);
    for keyframe in [false, true, false] {
        let unit = clock.unit(keyframe);
        assert_eq!(
            channel.publish(&unit, Rendition::Main, epoch, clock.now()),
            Some(Fate::default()),
            "waiting for the first is no loss"
        );
    }
    assert_eq!(drain(&mut channel, A), [true, false]);
}

#[test]
fn a_slow_viewer_loses_up_to_the_next_key_frame_and_the_other_loses_nothing() {
    let (mut channel, mut clock, epoch) = channel(&[A, B]);
    let mut lost = 0;
    for index in 0..40 {
        let unit = clock.unit(index == 0 || index == 35);
        lost += channel.publish(&unit, Rendition::Main, epoch, clock.now()).unwrap().lost;
        assert!(channel.next(B).is_some(), "{index}");
    }
    // 30 waited, 5 more came before the key frame.
    assert_eq!(lost, 35);
    assert_eq!(drain(&mut channel, A), [true, false, false, false, false]);
}

#[test]
fn a_slow_viewer_asks_for_a_key_frame_when_it_reads_again_and_not_before() {
    let (mut channel, mut clock, epoch) = channel(&[A]);
    for index in 0..40 {
        let unit = clock.unit(index == 0);
        channel.publish(&unit, Rendition::Main, epoch, clock.now());
    }
    assert!(!channel.keyframe_due(Rendition::Main, clock.now()));
    assert!(channel.next(A).is_none());
    assert!(channel.keyframe_due(Rendition::Main, clock.now()));
}

#[test]
fn units_of_an_old_encoder_are_refused() {
    let (mut channel, mut clock, old) = channel(&[A]);
    let new = channel.new_epoch(Rendition::Main);
    let unit = clock.unit(true);
    assert_eq!(channel.publish(&unit, Rendition::Main, old, clock.now()), None);
    assert_eq!(channel.publish(&unit, Rendition::Main, new, clock.now()), Some(Fate::default()));
    assert_eq!(drain(&mut channel, A), [true]);
}

#[test]
fn a_newcomer_to_a_passed_through_stream_gets_its_group_so_far_and_goes_on_from_there() {
    let (mut channel, mut clock, _) = channel(&[]);
    for index in 0..100 {
        let unit = clock.unit(index == 0);
        channel.pass_through(&unit, clock.now());
    }
    channel.join(A, clock.now());
    let live = clock.unit(false);
    channel.pass_through(&live, clock.now());
    let got: Vec<_> = std::iter::from_fn(|| channel.next(A)).collect();
    assert_eq!(got.len(), 101, "more than the bound of live units");
    assert!(got[0].keyframe);
    assert!(got.windows(2).all(|pair| pair[0].captured < pair[1].captured));
    assert_eq!(got[99].captured - got[0].captured, Duration::from_millis(99));
}

#[test]
fn a_key_frame_request_on_a_passed_through_stream_is_served_by_a_replay_but_not_twice_a_second() {
    let (mut channel, mut clock, _) = channel(&[A]);
    let mut times = vec![];
    for index in 0..60 {
        let unit = clock.unit(index == 0);
        channel.pass_through(&unit, clock.now());
        let got: Vec<_> = std::iter::from_fn(|| channel.next(A)).collect();
        times.extend(got.iter().map(|unit| (unit.captured, unit.keyframe)));
        channel.request_keyframe(A);
    }
    // The first unit, then a replay at once (33 ms), then after each second.
    assert_eq!(times.iter().filter(|(_, keyframe)| *keyframe).count(), 3);
    assert!(times.windows(2).all(|pair| pair[0].0 < pair[1].0), "RTP time never goes back");
}

#[test]
fn a_stream_without_a_key_frame_yet_is_given_to_nobody() {
    let (mut channel, mut clock, _) = channel(&[A]);
    let unit = clock.unit(false);
    assert_eq!(channel.pass_through(&unit, clock.now()), None);
    assert!(drain(&mut channel, A).is_empty());
}

const HD: Shape = Shape { width: 1280, height: 720, fps: 30 };

/// Two viewers, one of them far behind, both known for long; what the sub rendition's encoder is.
fn apart() -> (Channel, Clock, u64, u64) {
    let (mut channel, mut clock, main) = channel(&[A, B]);
    let sub = channel.new_epoch(Rendition::Sub);
    let unit = clock.unit(true);
    channel.publish(&unit, Rendition::Main, main, clock.now());
    clock.1 += 100;
    channel.estimate(A, Bitrate(3_000_000));
    channel.estimate(B, Bitrate(200_000));
    (channel, clock, main, sub)
}

#[test]
fn a_viewer_that_goes_over_to_the_sub_rendition_gets_the_main_one_up_to_its_key_frame_without_a_gap() {
    let (mut channel, mut clock, main, sub) = apart();
    let changes = channel.decide(HD, false, clock.now()).unwrap();
    assert_eq!(changes.after.sub.map(|sub| sub.shape.width), Some(640));
    assert_eq!((channel.watchers(Rendition::Main), channel.watchers(Rendition::Sub)), (2, 1));
    assert!(
        channel.keyframe_due(Rendition::Sub, clock.now())
            && !channel.keyframe_due(Rendition::Main, clock.now())
    );
    drain(&mut channel, B);

    let units: Vec<_> = (0..4).map(|number| clock.unit(number == 2)).collect();
    let mut captured = vec![];
    for unit in &units {
        // The sub rendition's encoder is behind: its unit of the same picture comes after the main one's.
        channel.publish(unit, Rendition::Main, main, clock.now());
        channel.publish(unit, Rendition::Sub, sub, clock.now());
        captured.extend(std::iter::from_fn(|| channel.next(B)).map(|unit| (unit.captured, unit.keyframe)));
    }
    let [first, second, key, last] = [0, 1, 2, 3].map(|index: usize| units[index].captured);
    let expected =
        [(first, false), (second, false), (key, true), (key + Duration::from_millis(1), true), (last, false)];
    assert_eq!(captured, expected, "no RTP time twice, and all of the sub rendition from its key frame on");
    assert_eq!(channel.watchers(Rendition::Main), 1);
}

#[test]
fn pictures_that_can_be_left_out_are_left_out_for_the_slow_viewer_alone_and_counted() {
    let bounds = Bounds { adapt: true, sub: false, max: Bitrate(2_000_000), min: Bitrate(100_000) };
    let mut channel = Channel::new(bounds);
    let mut clock = Clock(Instant::now(), 0);
    [A, B].iter().for_each(|id| drop(channel.join(*id, clock.now())));
    let epoch = channel.new_epoch(Rendition::Main);
    channel.opened(Rendition::Main, Floor { least: Bitrate(50_000), centibits_per_pixel: 1 }, true, 2);
    clock.1 += 100;
    channel.estimate(A, Bitrate(3_000_000));
    channel.estimate(B, Bitrate(900_000));
    assert!(channel.decide(HD, false, clock.now()).unwrap().after.main.unwrap().layered);
    let mut thinned = 0;
    for number in 0..10 {
        let unit = AccessUnit { discardable: number % 2 == 1, ..AccessUnit::clone(&clock.unit(number == 0)) };
        thinned += channel.publish(&unit.into(), Rendition::Main, epoch, clock.now()).unwrap().thinned;
    }
    assert_eq!((drain(&mut channel, A).len(), drain(&mut channel, B).len(), thinned), (10, 5, 5));
}

#[test]
fn a_viewer_of_key_frames_only_asks_for_them_as_often_as_its_path_carries_them() {
    let bounds = Bounds { adapt: true, sub: false, max: Bitrate(2_000_000), min: Bitrate(100_000) };
    let mut channel = Channel::new(bounds);
    let mut clock = Clock(Instant::now(), 0);
    [A, B].iter().for_each(|id| drop(channel.join(*id, clock.now())));
    let epoch = channel.new_epoch(Rendition::Main);
    clock.1 += 100;
    channel.estimate(A, Bitrate(3_000_000));
    channel.estimate(B, Bitrate(200));
    channel.decide(HD, false, clock.now());
    let start = clock.1;
    let mut stills = vec![];
    while clock.1 < start + 600 {
        let due = channel.keyframe_due(Rendition::Main, clock.now());
        let unit = clock.unit(due);
        channel.publish(&unit, Rendition::Main, epoch, clock.now());
        drain(&mut channel, A);
        stills.extend(std::iter::from_fn(|| channel.next(B)).map(|unit| unit.captured));
    }
    // 100 bytes at 200 bit/s.
    assert!(stills.len() >= 4 && stills.len() <= 6, "{}", stills.len());
    assert!(stills.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(4)));
}

#[test]
fn an_encoder_is_kept_for_ten_seconds_after_its_last_viewer_if_others_watch_the_other_rendition() {
    let (mut channel, mut clock, main, sub) = apart();
    channel.decide(HD, false, clock.now());
    let key = clock.unit(true);
    channel.publish(&key, Rendition::Sub, sub, clock.now());
    channel.leave(B);
    channel.decide(HD, false, clock.now());
    assert_eq!(channel.watchers(Rendition::Sub), 0);
    assert!(channel.target(Rendition::Sub).is_none(), "it encodes nothing");
    assert!(!channel.is_idle(Rendition::Sub, clock.now() + Duration::from_millis(9900)));
    assert!(channel.is_idle(Rendition::Sub, clock.now() + Duration::from_secs(10)));
    assert!(!channel.is_idle(Rendition::Main, clock.now() + Duration::from_secs(10)));
    channel.publish(&key, Rendition::Main, main, clock.now());
    channel.leave(A);
    assert!(channel.is_idle(Rendition::Main, clock.now()), "at once when nobody watches at all");
}

#[test]
fn many_who_join_at_once_cost_one_key_frame() {
    let (mut channel, mut clock, epoch) = channel(&[A]);
    let key = clock.unit(true);
    channel.publish(&key, Rendition::Main, epoch, clock.now());
    clock.1 += 10;
    (10..42).for_each(|id| drop(channel.join(ViewerId(id), clock.now())));
    assert!(channel.keyframe_due(Rendition::Main, clock.now()));
    let key = clock.unit(true);
    channel.publish(&key, Rendition::Main, epoch, clock.now());
    assert!(!channel.keyframe_due(Rendition::Main, clock.now() + Duration::from_secs(9)));
    assert!((10..42).all(|id| channel.next(ViewerId(id)).is_some_and(|unit| unit.keyframe)));
}
