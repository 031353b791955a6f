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
    let mut channel = Channel::new(Bitrate(1));
    let clock = Clock(Instant::now(), 0);
    viewers.iter().for_each(|id| drop(channel.join(*id, clock.now())));
    let epoch = channel.new_epoch();
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
        assert_eq!(channel.publish(&unit, epoch, clock.now()), Some(0), "waiting for the first is no loss");
    }
    assert_eq!(drain(&mut channel, A), [true, false]);
}

#[test]
fn a_slow_viewer_loses_up_to_the_next_key_frame_and_the_other_loses_nothing() {
    let (mut channel, mut clock, epoch) = channel(&[A, B]);
    let mut lost = 0;
    for index in 0..40 {
        let unit = clock.unit(index == 0 || index == 35);
        lost += channel.publish(&unit, epoch, clock.now()).unwrap();
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
        channel.publish(&unit, epoch, clock.now());
    }
    assert!(!channel.keyframe_due(clock.now()));
    assert!(channel.next(A).is_none());
    assert!(channel.keyframe_due(clock.now()));
}

#[test]
fn units_of_an_old_encoder_are_refused() {
    let (mut channel, mut clock, old) = channel(&[A]);
    let new = channel.new_epoch();
    let unit = clock.unit(true);
    assert_eq!(channel.publish(&unit, old, clock.now()), None);
    assert_eq!(channel.publish(&unit, new, clock.now()), Some(0));
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
