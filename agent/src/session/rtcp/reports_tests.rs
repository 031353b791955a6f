//! What viewers are told of our streams and of theirs.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use rtc::rtcp::{
    self, receiver_report::ReceiverReport, sender_report::SenderReport, source_description::SourceDescription,
};

use super::*;

const VIDEO: u32 = 7;
const AUDIO: u32 = 8;
const REPORTER: u32 = 1;
const VIEWER: u32 = 99;

struct Session {
    reports: Reports,
    start: Instant,
    video: RtpClock,
    audio: RtpClock,
}

fn session() -> Session {
    let start = Instant::now();
    let mut reports = Reports::new(start, UNIX_EPOCH, REPORTER, "p2pcam");
    let (video, audio) = (RtpClock::new(90_000, start, 5), RtpClock::new(48_000, start, 9));
    reports.add_stream(VIDEO, video);
    reports.add_stream(AUDIO, audio);
    Session { reports, start, video, audio }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A compound as another implementation reads it.
#[derive(Debug, Default)]
struct Told {
    senders: Vec<SenderReport>,
    receivers: Vec<ReceiverReport>,
    names: Vec<(u32, Bytes)>,
}

fn told(reports: &mut Reports, now: Instant) -> Option<Told> {
    let mut bytes = Bytes::copy_from_slice(reports.handle_timeout(now)?);
    let mut told = Told::default();
    for packet in rtcp::packet::unmarshal(&mut bytes).expect("a right compound") {
        let packet = packet.as_any();
        if let Some(report) = packet.downcast_ref::<SenderReport>() {
            told.senders.push(report.clone());
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            told.receivers.push(report.clone());
        } else if let Some(names) = packet.downcast_ref::<SourceDescription>() {
            told.names.extend(names.chunks.iter().map(|c| (c.source, c.items[0].text.clone())));
        }
    }
    Some(told)
}

#[test]
fn a_report_says_what_is_captured_at_its_time_on_one_clock_for_sound_and_picture() {
    let Session { mut reports, start, video, audio } = session();
    // Sent 60 and 25 ms after their capture, which does not matter.
    reports.tally(start + ms(60), VIDEO, 12, 12_000);
    reports.tally(start + ms(65), AUDIO, 1, 80);
    let now = start + ms(700);
    let said = told(&mut reports, now).expect("due");
    let [picture, sound] = &said.senders[..] else { panic!("{said:?}") };
    assert_eq!((picture.ssrc, picture.packet_count, picture.octet_count), (VIDEO, 12, 12_000));
    assert_eq!((sound.ssrc, sound.packet_count, sound.octet_count), (AUDIO, 1, 80));
    assert_eq!((picture.rtp_time, sound.rtp_time), (video.at(now), audio.at(now)));
    assert_eq!(picture.ntp_time, sound.ntp_time);
    assert_eq!(picture.ntp_time, NtpClock::new(start, UNIX_EPOCH).at(now));
    let name = Bytes::from_static(b"p2pcam");
    assert_eq!(said.names, [(VIDEO, name.clone()), (AUDIO, name)]);
    assert!(said.receivers.is_empty());
}

#[test]
fn a_stream_is_reported_at_once_again_soon_and_then_every_second() {
    let Session { mut reports, start, .. } = session();
    assert_eq!(reports.poll_timeout(), None);
    assert!(told(&mut reports, start).is_none());
    reports.tally(start, VIDEO, 1, 1_000);
    let mut times = Vec::new();
    for packets in 2..6 {
        let due = reports.poll_timeout().expect("reports go on");
        assert!(due == start || told(&mut reports, due - ms(1)).is_none());
        reports.tally(due, VIDEO, packets, 1_000 * packets);
        assert!(told(&mut reports, due).is_some());
        times.push((due - start).as_millis());
    }
    assert_eq!(times, [0, 250, 1_250, 2_250]);
    // The sound begins: the receiver needs its two reports soon, too.
    let now = start + ms(2_500);
    reports.tally(now, AUDIO, 1, 80);
    assert_eq!(told(&mut reports, now).expect("due").senders.len(), 2);
    assert_eq!(reports.poll_timeout(), Some(now + EARLY_INTERVAL));
}

#[test]
fn a_stream_that_rests_is_no_sender_after_two_reports() {
    let Session { mut reports, start, .. } = session();
    reports.tally(start, VIDEO, 1, 1_000);
    let mut senders = Vec::new();
    for second in 0..4 {
        let said = told(&mut reports, start + ms(1_000) * second).expect("due");
        senders.push((said.senders.len(), said.receivers.len()));
        assert_eq!(said.names.len(), 1);
    }
    assert_eq!(senders, [(1, 0), (1, 0), (0, 1), (0, 1)]);
}

#[test]
fn who_only_talks_gets_receiver_reports() {
    let start = Instant::now();
    let mut reports = Reports::new(start, UNIX_EPOCH, REPORTER, "p2pcam");
    for i in 0..50u16 {
        if i % 5 != 2 {
            reports.heard(start + ms(20) * u32::from(i), VIEWER, 48_000, i, 960 * u32::from(i));
        }
    }
    reports.sender_report(start + ms(900), VIEWER, 0x1111_2222_3333_4444);
    let said = told(&mut reports, start + ms(1_000)).expect("due");
    let [report] = &said.receivers[..] else { panic!("{said:?}") };
    assert_eq!((report.ssrc, said.names[0].0), (REPORTER, REPORTER));
    let block = &report.reports[0];
    assert_eq!((block.ssrc, block.total_lost, block.last_sequence_number), (VIEWER, 10, 49));
    assert_eq!((block.fraction_lost, block.last_sender_report), (51, 0x2222_3333));
    assert_eq!(block.delay, 65_536 / 10);
}

#[test]
fn the_viewers_sound_is_reported_once_in_a_compound_and_not_after_it_ended() {
    let Session { mut reports, start, .. } = session();
    reports.heard(start, VIEWER, 48_000, 1, 0);
    reports.tally(start, VIDEO, 1, 1_000);
    reports.tally(start, AUDIO, 1, 80);
    let said = told(&mut reports, start).expect("due");
    let blocks: Vec<usize> = said.senders.iter().map(|s| s.reports.len()).collect();
    assert_eq!(blocks, [1, 0]);
    reports.heard(start, VIEWER, 48_000, 2, 960);
    reports.goodbye(VIEWER);
    let said = told(&mut reports, start + ms(250)).expect("due");
    assert!(said.senders.iter().all(|s| s.reports.is_empty()));
}

#[test]
fn another_voice_takes_the_place_of_the_one_before() {
    let start = Instant::now();
    let mut reports = Reports::new(start, UNIX_EPOCH, REPORTER, "p2pcam");
    reports.heard(start, VIEWER, 48_000, 1, 0);
    reports.heard(start, VIEWER + 1, 8_000, 30_000, 0);
    let said = told(&mut reports, start + ms(1_000)).expect("due");
    let blocks = &said.receivers[0].reports;
    assert_eq!((blocks.len(), blocks[0].ssrc, blocks[0].total_lost), (1, VIEWER + 1, 0));
}

#[test]
fn the_round_trip_is_what_the_viewer_did_not_wait() {
    let Session { mut reports, start, .. } = session();
    reports.tally(start, VIDEO, 1, 1_000);
    let sent = reports.handle_timeout(start).expect("due").to_vec();
    let lsr = u32::from_be_bytes([sent[10], sent[11], sent[12], sent[13]]);
    let dlsr = 65_536 / 2;
    let back = start + ms(500) + ms(120);
    let rtt = reports.rtt(back, lsr, dlsr).expect("a round trip");
    assert!(rtt.abs_diff(ms(120)) < Duration::from_micros(50), "{rtt:?}");
    // Its clock runs a little fast; it has seen no report; it speaks of the future; it sleeps for hours.
    assert_eq!(reports.rtt(start + ms(498), lsr, dlsr), Some(Duration::ZERO));
    assert_eq!(reports.rtt(back, 0, 0), None);
    assert_eq!(reports.rtt(back, lsr, 65_536 * 30), None);
    assert_eq!(reports.rtt(start + Duration::from_secs(7_200), lsr, 0), None);
}

#[test]
fn a_name_of_any_length_ends_at_a_word() {
    for length in 0..9 {
        let start = Instant::now();
        let mut reports = Reports::new(start, UNIX_EPOCH, REPORTER, &"x".repeat(length));
        reports.heard(start, VIEWER, 48_000, 1, 0);
        let said = told(&mut reports, start + ms(1_000)).expect("due");
        assert_eq!(said.names[0].1.len(), length);
    }
}
