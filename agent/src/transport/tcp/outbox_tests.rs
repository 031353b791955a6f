//! What a slow connection leaves out, and that it never cuts a frame.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::transport::tcp::frame::Frames;

const VIDEO: u32 = 7;
const SOUND: u32 = 8;
const CHECK: &[u8] = &[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RTCP: &[u8] = &[0x80, 200, 0, 1, 0, 0, 0, 7];

fn rtp(ssrc: u32, timestamp: u32, sequence: u16, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.resize(length.max(12), 0xaa);
    packet
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// All that goes out at `now`, frame by frame.
fn drain(outbox: &mut Outbox, now: Instant) -> Vec<Vec<u8>> {
    let mut frames = Frames::default();
    let mut out = Vec::new();
    while outbox.bytes > 0 {
        outbox.fill(now, &mut frames.buffer);
        while let Some(frame) = frames.take().unwrap() {
            out.push(frame.to_vec());
        }
        assert!(frames.buffer.is_empty(), "a frame was cut");
    }
    out
}

#[test]
fn what_comes_in_time_goes_out_in_order() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    let sent = [CHECK.to_vec(), rtp(VIDEO, 1, 1, 1200), rtp(SOUND, 1, 1, 80), RTCP.to_vec()];
    for packet in &sent {
        assert_eq!(outbox.push(now, packet), 0);
    }
    assert_eq!(drain(&mut outbox, now + IN_TIME), sent);
}

#[test]
fn a_picture_that_is_late_is_left_out_and_checks_are_not() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    for sequence in 0..3 {
        outbox.push(now, &rtp(VIDEO, 1, sequence, 1200));
    }
    outbox.push(now, CHECK);
    outbox.push(now, RTCP);
    outbox.push(now + ms(100), &rtp(VIDEO, 2, 3, 1200));
    let mut batch = BytesMut::new();
    assert_eq!(outbox.fill(now + IN_TIME + ms(1), &mut batch), (3, 3));
    let mut frames = Frames { buffer: batch };
    assert_eq!(frames.take().unwrap().unwrap(), CHECK);
    assert_eq!(frames.take().unwrap().unwrap(), RTCP);
    assert_eq!(frames.take().unwrap().unwrap(), rtp(VIDEO, 2, 3, 1200), "the next picture is in time");
}

#[test]
fn a_picture_that_was_begun_is_finished_however_long_it_takes() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    for sequence in 0..100 {
        assert_eq!(outbox.push(now, &rtp(VIDEO, 1, sequence, 1200)), 0);
    }
    outbox.push(now, &rtp(SOUND, 5, 1, 80));
    outbox.push(now + ms(33), &rtp(VIDEO, 2, 100, 1200));
    let mut batch = BytesMut::new();
    let (begun, late) = outbox.fill(now, &mut batch);
    assert!(begun > 2 && late == 0, "{begun}, {late}");
    let later = drain(&mut outbox, now + 4 * IN_TIME);
    assert_eq!(later.len() as u64, 100 - begun, "the rest of it, without sound and picture that are late");
}

#[test]
fn where_there_is_no_room_the_whole_picture_goes_and_not_the_one_before() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    let (mut taken, mut sequence) = (0, 0);
    for timestamp in 0.. {
        let dropped: u64 = (0..40)
            .map(|_| {
                sequence += 1;
                outbox.push(now, &rtp(VIDEO, timestamp, sequence, 1200))
            })
            .sum();
        if dropped > 0 {
            assert_eq!(dropped, 40, "all packets of the picture that found no room");
            break;
        }
        taken += 40;
    }
    assert_eq!(outbox.push(now, &rtp(VIDEO, 0xffff, 0, 1200)), 0, "its room is free for the next one");
    assert_eq!(drain(&mut outbox, now).len(), taken + 1);
}

#[test]
fn what_was_left_out_is_not_sent_again_either() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    outbox.push(now, &rtp(VIDEO, 1, 1, 1200));
    assert_eq!(outbox.fill(now + IN_TIME + ms(1), &mut BytesMut::new()), (0, 1));
    for timestamp in 1000..1200 {
        outbox.push(now, &rtp(SOUND, timestamp, 1, 80));
        outbox.fill(now + IN_TIME + ms(1), &mut BytesMut::new());
    }
    let repetition = rtp(9, 1, 1, 1202);
    assert_eq!(outbox.push(now + IN_TIME, &repetition), 1);
    assert_eq!(outbox.push(now + IN_TIME, &rtp(9, 2, 1, 1202)), 0, "that of another picture");
}

#[test]
fn after_a_hole_pictures_wait_for_room_and_a_key_frame() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    assert_eq!(outbox.next_picture(now, false), NextPicture::Send);
    for timestamp in 0..40 {
        outbox.push(now, &rtp(VIDEO, timestamp, 0, 1200));
    }
    assert_eq!(outbox.next_picture(now, false), NextPicture::Send, "nothing is lost yet");
    let late = now + IN_TIME + ms(1);
    outbox.push(late, &rtp(VIDEO, 41, 0, 1200));
    let mut batch = BytesMut::new();
    outbox.fill(late, &mut batch);
    assert_eq!(outbox.next_picture(late, false), NextPicture::Renew, "what was late is gone, there is room");
    for timestamp in 42..50 {
        outbox.push(late, &rtp(VIDEO, timestamp, 0, 1200));
    }
    assert_eq!(outbox.next_picture(late, true), NextPicture::Skip, "a key frame would be late too");
    assert_eq!(drain(&mut outbox, late).len(), 8);
    assert_eq!(outbox.next_picture(late, true), NextPicture::Send);
    assert_eq!(outbox.next_picture(late, false), NextPicture::Send);
}

#[test]
fn checks_have_room_where_pictures_have_none() {
    let (mut outbox, now) = (Outbox::default(), Instant::now());
    let mut timestamp = 0;
    while outbox.push(now, &rtp(VIDEO, timestamp, 0, 1200)) == 0 {
        timestamp += 1;
    }
    assert_eq!(outbox.push(now, CHECK), 0);
    let checks = (0..).take_while(|_| outbox.push(now, CHECK) == 0).count();
    assert!((100..1000).contains(&checks), "{checks}");
    assert!(outbox.bytes <= MAX_BYTES + RESERVE);
}

#[test]
fn what_fits_no_frame_is_dropped() {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.push(Instant::now(), &[0x16; 0x1_0000]), 1);
    assert_eq!(outbox.bytes, 0);
}

proptest! {
    #[test]
    fn nothing_is_cut_counted_wrong_or_kept_for_ever(
        steps in proptest::collection::vec((0..4_u8, 0..3_u32, 0..6_u32, 12..2000_usize, 0..300_u64), 1..600)
    ) {
        let (mut outbox, mut now) = (Outbox::default(), Instant::now());
        let (mut pushed, mut dropped, mut came) = (0_u64, 0, 0);
        let mut frames = Frames::default();
        for (what, ssrc, timestamp, length, pass) in steps {
            match what {
                0 => {
                    now += ms(pass);
                    let (sent, late) = outbox.fill(now, &mut frames.buffer);
                    dropped += late;
                    while frames.take().unwrap().is_some() {
                        came += 1;
                    }
                    prop_assert!(frames.buffer.is_empty());
                    prop_assert!(sent <= pushed);
                }
                1 => {
                    dropped += outbox.push(now, CHECK);
                    pushed += 1;
                }
                _ => {
                    dropped += outbox.push(now, &rtp(ssrc, timestamp, 0, length));
                    pushed += 1;
                }
            }
            prop_assert!(outbox.bytes <= MAX_BYTES + RESERVE);
            prop_assert_eq!(outbox.bytes, outbox.queue.iter().map(|w| cost(&w.data)).sum::<usize>());
            prop_assert_eq!(pushed, dropped + came + outbox.queue.len() as u64);
        }
    }
}
