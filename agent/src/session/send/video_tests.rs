//! What is sent again to a viewer, and what probes are made of.
#![allow(clippy::unwrap_used)]

use super::super::{ExtensionIds, testing::*};
use std::time::Duration;

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
fn a_flood_of_requests_takes_no_more_than_half_of_the_rate() {
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
    assert!(again * 100 > first * 45, "it is used: {again} of {first}");
    assert!(again < first / 2 + 20_000, "{again} of {first}");
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
