//! What a viewer receives of a sender: order, numbers, sound, repair packets, reports.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use rtc::{rtp::Packet as Rtp, shared::marshal::Unmarshal};

use super::{super::testing::*, *};
use crate::media::video::VideoCodec;

#[test]
fn a_picture_is_one_train_of_equal_packets_the_last_one_marked() {
    let mut lab = Lab::with_rtx();
    lab.push(9);
    lab.drain();
    assert_eq!(lab.trains, [(12 + 16 + 1140 + 8, 9)]);
    let packets: Vec<_> = lab.of(VIDEO).collect();
    assert!(packets.iter().all(|packet| packet.rtp.header.timestamp == 1_000_000));
    let marked: Vec<_> = packets.iter().map(|packet| packet.rtp.header.marker).collect();
    assert_eq!(marked, [[false; 8].as_slice(), &[true]].concat());
    assert!(packets.iter().all(|packet| packet.rtp.header.get_extension(IDS.mid).unwrap() == "0"));
    let sent: Vec<_> = lab.sent.iter().map(|sent| (sent.twcc, sent.bytes)).collect();
    assert_eq!(sent, lab.received.iter().map(|packet| (number(packet), packet.bytes)).collect::<Vec<_>>());
    let (unit, since) = lab.sender.take_finished().unwrap();
    assert_eq!((unit.captured, since), (lab.start, lab.start));
    assert!(lab.sender.take_finished().is_none());
}

#[test]
fn sequence_numbers_go_on_over_their_end_and_the_index_counts_the_turns() {
    let mut lab = Lab::with_rtx();
    for _ in 0..300 {
        lab.push(300);
        lab.drain();
    }
    let indexes: Vec<_> = lab.of(VIDEO).map(|packet| packet.index).collect();
    assert_eq!(indexes.len(), 90_000);
    assert!(indexes.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!((indexes[0], indexes[89_999] >> 16), (0x7ffe, 1));
    assert!(lab.sent.windows(2).all(|pair| pair[1].twcc == pair[0].twcc.wrapping_add(1)));
}

#[test]
fn sound_goes_first_and_waits_for_no_budget() {
    let mut lab = Lab::with_rtx();
    lab.push(2);
    lab.push_sound();
    assert_eq!(lab.train(0), lab.received[0].bytes);
    let header = &lab.received[0].rtp.header;
    assert_eq!((header.ssrc, header.payload_type, header.marker), (SOUND, 0, true));
    assert_eq!(header.get_extension(IDS.audio_level).unwrap()[..], [30]);
    assert_eq!(number(&lab.received[0]), 0, "it is numbered too");
    assert_eq!(lab.train(0), 0);
    lab.drain();
    assert_eq!(lab.of(VIDEO).count(), 2);
}

#[test]
fn sound_counts_samples_through_jitter_and_follows_the_clock_over_a_gap() {
    let mut lab = Lab::with_rtx();
    for at in [0, 25, 38, 80, 1000] {
        lab.now = lab.start + ms(at);
        lab.push_sound();
        lab.drain();
    }
    let times: Vec<_> = lab.of(SOUND).map(|p| (p.rtp.header.timestamp, p.rtp.header.marker)).collect();
    // At 80 ms, an overrun had lost one frame.
    assert_eq!(times, [(0, true), (160, false), (320, false), (640, true), (8000, true)]);
    for _ in 0..7 {
        lab.push_sound();
    }
    lab.drain();
    assert_eq!((lab.of(SOUND).count(), lab.sender.take_counts().sound_dropped), (10, 2));
}

#[test]
fn a_picture_that_has_begun_is_finished_and_those_after_it_can_be_skipped() {
    let mut lab = Lab::with_rtx();
    for _ in 0..4 {
        lab.push(5);
    }
    let packet = 12 + 16 + 1140 + 8;
    assert_eq!(lab.train(2 * packet + 100), 2 * packet);
    assert_eq!(lab.sender.queued(), (18 * packet, Some(lab.start)));
    assert_eq!(lab.sender.skip_queued(), 3);
    assert_eq!(lab.sender.queued(), (3 * packet, Some(lab.start)));
    lab.push(1);
    lab.drain();
    let marked: Vec<_> = lab.of(VIDEO).map(|packet| packet.rtp.header.marker).collect();
    assert_eq!(marked, [false, false, false, false, true, true]);
    assert_eq!(lab.sender.queued(), (0, None));
}

#[test]
fn what_is_given_up_leaves_neither_for_the_first_time_nor_again() {
    let mut lab = Lab::with_rtx();
    for _ in 0..4 {
        lab.push(5);
    }
    let packet = 12 + 16 + 1140 + 8;
    lab.train(7 * packet);
    let sent = lab.sequences();
    lab.nack(&sent[1..3]);
    assert_eq!(lab.sender.mending(), 2 * packet);
    assert_eq!((lab.sender.give_up(), lab.sender.mending(), lab.sender.queued()), (3, 0, (0, None)));
    lab.nack(&sent);
    lab.push(1);
    lab.drain();
    assert_eq!(lab.of(RTX).count(), 0);
    // The next picture follows without a gap.
    assert_eq!(lab.sequences()[7..], [sent[6].wrapping_add(1)]);
}

#[test]
fn reports_count_packets_and_payload_of_each_stream_that_sent() {
    let mut lab = Lab::with_rtx();
    lab.push(3);
    lab.drain();
    let reports = |lab: &Lab| lab.sender.reports().map(|r| (r.ssrc, r.packets, r.octets)).collect::<Vec<_>>();
    assert_eq!(reports(&lab), [(VIDEO, 3, 3420)]);
    lab.push_sound();
    let missing = lab.sequences()[..1].to_vec();
    lab.nack(&missing);
    lab.drain();
    assert_eq!(reports(&lab), [(VIDEO, 3, 3420), (RTX, 1, 1142), (SOUND, 1, 160)]);
}

#[test]
fn a_viewer_without_pictures_is_sent_none() {
    let mut lab = Lab::new(None, Some(sound()));
    assert!(lab.sender.push(lab.now, lab.unit(VideoCodec::Vp8, &[1; 100])));
    lab.sender.probe(1000, 1);
    lab.nack(&[1, 2]);
    assert!(!lab.sender.waits());
    lab.push_sound();
    lab.drain();
    assert_eq!(lab.received.len(), 1);
}

#[test]
fn repair_packets_follow_what_they_repair_on_a_stream_of_their_own() {
    let mut lab = Lab::new(Some(VideoStream { repair: Some((REPAIR, 98)), ..video(true, IDS) }), None);
    lab.repair = Some(Counting::default());
    lab.push(7);
    lab.push(2);
    lab.train(8 * 1200);
    lab.drain();
    let order: Vec<_> = lab.received.iter().map(|packet| packet.rtp.header.ssrc).collect();
    let expected = [[VIDEO; 8].as_slice(), &[REPAIR, REPAIR, VIDEO, REPAIR]].concat();
    assert_eq!(order, expected);
    let plain: Vec<_> = lab.of(VIDEO).map(|packet| packet.rtp.clone()).collect();
    let seen = lab.repair.as_ref().unwrap().packets.iter();
    let seen: Vec<_> =
        seen.map(|bytes| Rtp::unmarshal(&mut Bytes::copy_from_slice(bytes)).unwrap()).collect();
    assert_eq!(seen, plain, "before encryption, each once");
    let repairs: Vec<_> =
        lab.of(REPAIR).map(|packet| (packet.rtp.header.timestamp, packet.rtp.payload.len())).collect();
    assert_eq!(repairs, [(0, 3), (3, 3), (6, 3)]);
    assert!(lab.of(REPAIR).all(|packet| packet.rtp.header.extensions.len() == 2), "number and MID");
    assert_eq!((lab.sent.len(), lab.sender.take_counts().repairs), (12, 3));
}
