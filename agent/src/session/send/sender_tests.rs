//! What a viewer receives of a sender, whatever budgets it is given.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use rtc::{
    rtp::{
        Packet as Rtp,
        codec::{h264::H264Packet, vp8::Vp8Packet},
        packetizer::Depacketizer,
    },
    shared::marshal::Unmarshal,
};

use super::*;
use crate::media::{audio::AudioCodec, video::VideoCodec};

const VIDEO: u32 = 10;
const RTX: u32 = 11;
const SOUND: u32 = 12;
const IDS: ExtensionIds =
    ExtensionIds { mid: 1, abs_send_time: 2, transport_cc: 3, playout_delay: 4, audio_level: 5 };
const RTT: Duration = Duration::from_millis(50);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Appends a tag that tells the index, and leaves the rest readable.
struct Plain;

impl Seal for Plain {
    fn overhead(&self) -> usize {
        8
    }

    fn seal(&mut self, packet: &mut [u8], header: usize, index: u64) {
        let end = packet.len() - 8;
        assert!(header >= 12 && header <= end);
        packet[end..].copy_from_slice(&index.to_be_bytes());
    }
}

fn video(rtx: bool, extensions: ExtensionIds) -> VideoStream {
    let rtx = rtx.then_some((RTX, 97));
    // Sequence numbers begin just before their end, RTP time anywhere.
    let random = 0x0005_7ffe_0000_0000 | 1_000_000;
    VideoStream { ssrc: VIDEO, payload_type: 96, rtx, mid: "0".into(), extensions, random }
}

fn sound() -> SoundStream {
    SoundStream {
        ssrc: SOUND,
        payload_type: 0,
        clock_rate: 8_000,
        mid: "1".into(),
        extensions: IDS,
        random: 0,
    }
}

/// A packet as it came.
struct Received {
    rtp: Rtp,
    index: u64,
    /// With its tag.
    bytes: usize,
}

/// A sender and what its viewer has.
struct Lab {
    sender: Sender,
    now: Instant,
    start: Instant,
    received: Vec<Received>,
    sent: Vec<Sent>,
    trains: Vec<(usize, usize)>,
}

impl Lab {
    fn new(video: Option<VideoStream>, sound: Option<SoundStream>) -> Self {
        let start = Instant::now();
        let sender = Sender::new(start, video.as_ref(), sound.as_ref());
        Self { sender, now: start, start, received: vec![], sent: vec![], trains: vec![] }
    }

    fn with_rtx() -> Self {
        Self::new(Some(video(true, IDS)), Some(sound()))
    }

    fn unit(&self, codec: VideoCodec, data: &[u8]) -> Arc<AccessUnit> {
        let data = Bytes::copy_from_slice(data);
        Arc::new(AccessUnit::passed(codec, data, false, (2, 2), (self.now, self.now)))
    }

    /// A VP8 picture of as many packets.
    fn push(&mut self, packets: usize) {
        let unit = self.unit(VideoCodec::Vp8, &vec![7; packets * 1143]);
        assert_eq!(unit.payloads().len(), packets);
        assert!(self.sender.push(self.now, unit));
    }

    fn push_sound(&mut self) {
        let frame = AudioFrame {
            codec: AudioCodec::Pcmu,
            data: Bytes::from_static(&[9; 160]),
            level: 30,
            captured: self.now,
        };
        self.sender.push_sound(frame.into());
    }

    /// One train.
    fn train(&mut self, budget: usize) -> usize {
        let sent = &mut self.sent;
        let Some(train) =
            self.sender.next_train(self.now, budget, &mut Plain, &mut |packet| sent.push(packet))
        else {
            return 0;
        };
        assert_eq!(train.data.len().div_ceil(train.segment), train.count);
        assert!(train.count <= 64 && train.data.len() <= 65_487);
        self.trains.push((train.segment, train.count));
        for bytes in train.data.chunks(train.segment) {
            let (packet, tag) = bytes.split_at(bytes.len() - 8);
            let rtp = Rtp::unmarshal(&mut Bytes::copy_from_slice(packet)).unwrap();
            let index = u64::from_be_bytes(tag.try_into().unwrap());
            assert_eq!(rtp.header.sequence_number, index as u16);
            self.received.push(Received { rtp, index, bytes: bytes.len() });
        }
        train.data.len()
    }

    /// All that waits.
    fn drain(&mut self) {
        while self.train(usize::MAX) > 0 {}
        assert!(!self.sender.waits());
    }

    /// Packets of a stream.
    fn of(&self, ssrc: u32) -> impl Iterator<Item = &Received> {
        self.received.iter().filter(move |packet| packet.rtp.header.ssrc == ssrc)
    }

    fn sequences(&self) -> Vec<u16> {
        self.of(VIDEO).map(|packet| packet.rtp.header.sequence_number).collect()
    }

    fn nack(&mut self, missing: &[u16]) {
        self.sender.nack(self.now, RTT, missing);
    }
}

fn number(packet: &Received) -> u16 {
    let value = packet.rtp.header.get_extension(IDS.transport_cc).unwrap();
    u16::from_be_bytes(value[..].try_into().unwrap())
}

#[test]
fn a_picture_is_one_train_of_equal_packets_the_last_one_marked() {
    let mut lab = Lab::with_rtx();
    lab.push(9);
    lab.drain();
    assert_eq!(lab.trains, [(12 + 16 + 1144 + 8, 9)]);
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
fn a_missed_packet_leaves_again_on_the_other_stream_once_within_a_round_trip() {
    let mut lab = Lab::with_rtx();
    lab.push(20);
    lab.drain();
    let all = lab.sequences();
    let missing = [all[3], all[19], all[3], all[0].wrapping_sub(1)];
    lab.now += ms(10);
    lab.nack(&missing);
    lab.drain();
    let again: Vec<_> = lab.of(RTX).map(|p| (p.rtp.payload.clone(), p.rtp.header.clone())).collect();
    assert_eq!(again.len(), 2);
    for ((payload, header), sequence) in again.iter().zip([all[3], all[19]]) {
        let first = lab.of(VIDEO).find(|p| p.rtp.header.sequence_number == sequence).unwrap();
        assert_eq!(payload[..2], sequence.to_be_bytes());
        assert_eq!(payload[2..], first.rtp.payload);
        let of = |h: &rtc::rtp::header::Header| (h.timestamp, h.marker, h.extensions.len());
        assert_eq!(of(header), of(&first.rtp.header));
        assert_eq!(header.payload_type, 97);
    }
    assert_eq!((lab.sent.len(), lab.sent[21].twcc), (22, 21), "they are numbered too");
    // Asked again at once: on its way. A round trip later: it was lost again.
    for (after, total) in [(ms(49), 2), (ms(51), 3)] {
        lab.now = lab.start + ms(10) + after;
        lab.nack(&missing[..1]);
        lab.drain();
        assert_eq!(lab.of(RTX).count(), total);
    }
    let counts = lab.sender.take_counts();
    assert_eq!((counts.retransmitted, counts.nacks_refused, counts.packets), (3, 3, 23));
}

#[test]
fn where_there_is_no_other_stream_a_packet_is_repeated_in_each_byte() {
    for ids in [IDS, ExtensionIds { transport_cc: 0, ..IDS }] {
        let mut lab = Lab::new(Some(video(false, ids)), None);
        lab.push(3);
        lab.drain();
        lab.now += ms(30);
        let missing = lab.sequences()[1..2].to_vec();
        lab.nack(&missing);
        lab.drain();
        let (first, again) = (&lab.received[1], &lab.received[3]);
        assert_eq!((&first.rtp, first.index), (&again.rtp, again.index));
        assert_eq!(lab.received.len(), 4);
    }
}

#[test]
fn a_flood_of_requests_takes_no_more_than_a_quarter_of_the_rate() {
    let mut lab = Lab::with_rtx();
    let all: Vec<u16> = (0x7f00..0x8500).collect();
    for picture in 0..100 {
        lab.now = lab.start + ms(33 * picture);
        lab.push(8);
        lab.drain();
        for later in 1..33 {
            lab.now = lab.start + ms(33 * picture + later);
            lab.sender.nack(lab.now, ms(0), &all);
            lab.drain();
        }
    }
    let bytes = |ssrc| lab.of(ssrc).map(|packet| packet.bytes).sum::<usize>();
    let (first, again) = (bytes(VIDEO), bytes(RTX));
    assert!(again * 100 > first * 20, "it is used: {again} of {first}");
    assert!(again < first / 4 + 20_000, "{again} of {first}");
}

#[test]
fn what_is_older_than_a_second_is_not_repeated() {
    let mut lab = Lab::with_rtx();
    lab.push(2);
    lab.drain();
    let missing = lab.sequences();
    lab.now += ms(1001);
    lab.nack(&missing);
    lab.drain();
    assert_eq!((lab.of(RTX).count(), lab.sender.take_counts().nacks_refused), (0, 2));
}

#[test]
fn a_picture_that_has_begun_is_finished_and_those_after_it_can_be_skipped() {
    let mut lab = Lab::with_rtx();
    for _ in 0..4 {
        lab.push(5);
    }
    let packet = 12 + 16 + 1144 + 8;
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
fn a_probe_is_what_waits_filled_up_with_repeats_of_the_newest_packets() {
    let mut lab = Lab::with_rtx();
    lab.push(4);
    lab.sender.probe(8000, 7);
    lab.drain();
    assert!(lab.sent.iter().all(|sent| sent.probe == Some(7)));
    let bytes: usize = lab.sent.iter().map(|sent| sent.bytes).sum();
    assert!((8000..9200).contains(&bytes), "{bytes}");
    let repeated: Vec<_> = lab.of(RTX).map(|packet| packet.rtp.payload[..2].to_vec()).collect();
    let newest: Vec<_> = lab.sequences().iter().rev().map(|seq| seq.to_be_bytes().to_vec()).collect();
    assert_eq!(repeated, newest[..repeated.len()]);
    assert_eq!(lab.sender.take_counts().probe_bytes, bytes as u64);
    lab.push(1);
    lab.drain();
    assert_eq!(lab.sent.last().unwrap().probe, None);
}

#[test]
fn without_pictures_a_probe_is_padding_which_no_receiver_takes_for_media() {
    for rtx in [true, false] {
        let mut lab = Lab::new(Some(video(rtx, IDS)), None);
        lab.sender.probe(1000, 3);
        lab.drain();
        assert_eq!(lab.sent.len(), 4);
        let ssrc = if rtx { RTX } else { VIDEO };
        assert!(lab.of(ssrc).all(|p| p.rtp.payload.is_empty() && p.rtp.header.padding), "{rtx}");
        assert_eq!(lab.of(ssrc).count(), 4);
        let octets: u64 = lab.sender.reports().map(|report| u64::from(report.octets)).sum();
        assert_eq!(octets, 0);
    }
}

#[test]
fn without_a_stream_of_retransmissions_padding_stands_between_pictures_only() {
    let mut lab = Lab::new(Some(video(false, IDS)), None);
    lab.push(3);
    lab.train(1);
    lab.sender.probe(6000, 3);
    lab.drain();
    let kinds: Vec<_> = lab.of(VIDEO).map(|p| (p.rtp.header.padding, p.rtp.header.marker)).collect();
    assert_eq!(kinds[..3], [(false, false), (false, false), (false, true)]);
    assert!(kinds[3..].len() > 10 && kinds[3..].iter().all(|kind| *kind == (true, false)));
    let sequences = lab.sequences();
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    // Padding that is missed is repeated as what it was.
    lab.now += ms(30);
    lab.nack(&sequences[3..4]);
    lab.drain();
    assert_eq!(lab.received[3].rtp, lab.received.last().unwrap().rtp);
}

#[test]
fn without_numbers_packets_tell_when_they_left_and_nothing_is_probed() {
    let mut lab = Lab::new(Some(video(true, ExtensionIds { transport_cc: 0, ..IDS })), None);
    lab.now += Duration::from_secs(1);
    lab.sender.probe(5000, 1);
    lab.push(1);
    lab.drain();
    assert_eq!(lab.received[0].rtp.header.get_extension(2).unwrap()[..], [4, 0, 0]);
    assert!(lab.received.len() == 1 && lab.sent.is_empty());
}

#[test]
fn reports_count_packets_and_payload_of_each_stream_that_sent() {
    let mut lab = Lab::with_rtx();
    lab.push(3);
    lab.drain();
    let reports = |lab: &Lab| lab.sender.reports().map(|r| (r.ssrc, r.packets, r.octets)).collect::<Vec<_>>();
    assert_eq!(reports(&lab), [(VIDEO, 3, 3432)]);
    lab.push_sound();
    let missing = lab.sequences()[..1].to_vec();
    lab.nack(&missing);
    lab.drain();
    assert_eq!(reports(&lab), [(VIDEO, 3, 3432), (RTX, 1, 1146), (SOUND, 1, 160)]);
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

fn annexb(slices: &[Vec<u8>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| [&[0, 0, 0, 1, 0x65][..], slice].concat()).collect()
}

proptest! {
    #[test]
    fn every_byte_of_every_picture_arrives_whatever_the_budgets(
        pictures in prop::collection::vec(prop::collection::vec(prop::collection::vec(1u8.., 2..4000), 1..4), 1..6),
        budgets in prop::collection::vec(prop_oneof![Just(0), 1usize..3000, Just(usize::MAX)], 1..20),
        probes in prop::collection::vec(0usize..5000, 1..20),
    ) {
        let mut lab = Lab::with_rtx();
        let mut wanted = Vec::new();
        for slices in &pictures {
            wanted.extend(annexb(slices));
            let unit = lab.unit(VideoCodec::H264, &annexb(slices));
            prop_assert!(lab.sender.push(lab.now, unit));
        }
        let mut turns = 0;
        for (budget, probe) in [&1200].into_iter().chain(&budgets).zip([&0].into_iter().chain(&probes)).cycle() {
            if lab.sender.queued().1.is_none() {
                break;
            }
            lab.push_sound();
            while lab.train(0) > 0 {}
            lab.sender.probe(*probe, 1);
            let spent = lab.train(*budget);
            prop_assert!(spent <= (*budget).max(1300), "{spent} of {budget}");
            turns += 1;
            prop_assert!(turns < 10_000);
        }
        let mut receiver = H264Packet::default();
        let mut got = Vec::new();
        for packet in lab.of(VIDEO) {
            got.extend_from_slice(&receiver.depacketize(&packet.rtp.payload).unwrap());
        }
        prop_assert_eq!(got, wanted);
        let sequences = lab.sequences();
        prop_assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
        prop_assert_eq!(lab.of(VIDEO).filter(|p| p.rtp.header.marker).count(), pictures.len());
    }

    #[test]
    fn skipped_pictures_leave_no_gap_and_no_half(
        steps in prop::collection::vec((1usize..6, 0usize..4000, any::<bool>()), 1..60),
    ) {
        let mut lab = Lab::with_rtx();
        let (mut pushed, mut skipped) = (0, 0);
        for (packets, budget, skip) in steps {
            lab.push(packets);
            pushed += 1;
            lab.train(budget);
            if skip {
                skipped += lab.sender.skip_queued();
            }
        }
        lab.drain();
        let sequences = lab.sequences();
        prop_assert!(sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
        let mut open = false;
        let mut whole = 0;
        for packet in lab.of(VIDEO) {
            let mut vp8 = Vp8Packet::default();
            vp8.depacketize(&packet.rtp.payload).unwrap();
            prop_assert_eq!(vp8.s == 1, !open, "a picture begins where the one before ends");
            open = !packet.rtp.header.marker;
            whole += usize::from(packet.rtp.header.marker);
        }
        prop_assert_eq!((open, whole), (false, pushed - skipped));
    }

    #[test]
    fn a_repeat_is_always_what_was_sent_first(
        rtx in any::<bool>(),
        rounds in prop::collection::vec((1usize..8, prop::collection::vec(0u16..40, 0..6), 0usize..6000), 1..30),
    ) {
        let mut lab = Lab::new(Some(video(rtx, IDS)), None);
        for (packets, back, budget) in rounds {
            lab.now += ms(33);
            lab.push(packets);
            lab.train(budget);
            let newest = lab.of(VIDEO).map(|packet| packet.index).max().unwrap_or(0x7ffe) as u16;
            let missing: Vec<_> = back.iter().map(|n| newest.wrapping_sub(*n)).collect();
            lab.nack(&missing);
        }
        lab.drain();
        let mut first = std::collections::HashMap::new();
        for packet in lab.of(VIDEO) {
            let known = first.entry(packet.rtp.header.sequence_number).or_insert(&packet.rtp);
            prop_assert_eq!(*known, &packet.rtp);
        }
        for packet in lab.of(RTX) {
            let (sequence, payload) = packet.rtp.payload.split_at(2);
            let original = first[&u16::from_be_bytes(sequence.try_into().unwrap())];
            prop_assert_eq!(payload, &original.payload[..]);
        }
    }
}
