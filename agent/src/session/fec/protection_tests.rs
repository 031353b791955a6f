//! Repair packets as another implementation reads them: what is lost comes back.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rtc::{
    interceptor::FlexFec03Decoder,
    rtp,
    shared::marshal::{Marshal, Unmarshal},
};

use super::*;

const VIDEO: u32 = 7;
const REPAIR: u32 = 9;
const TRANSPORT_CC: u8 = 4;
const SEND_TIME: u8 = 2;
const MUTABLE: Mutable = Mutable { transport_cc: TRANSPORT_CC, abs_send_time: SEND_TIME };

fn amount(share: f32) -> Amount {
    Amount { share, window: Duration::from_millis(150) }
}

fn protection(share: f32) -> Protection {
    let mut protection = Protection::new(VIDEO, MUTABLE);
    protection.set(amount(share));
    protection
}

/// Packets of pictures of a camera with 30 a second; each number is how many packets the picture has.
fn pictures(first: u16, packets: &[u16]) -> Vec<rtp::Packet> {
    let mut sequence = first;
    let mut all = Vec::new();
    for (picture, count) in packets.iter().enumerate() {
        for i in 0..*count {
            let mut header = rtp::header::Header {
                version: 2,
                marker: i + 1 == *count,
                payload_type: 96,
                sequence_number: sequence,
                timestamp: 3_000 * picture as u32,
                ssrc: VIDEO,
                ..Default::default()
            };
            let number = 0xa5a5u16.wrapping_add(sequence).to_be_bytes();
            header.set_extension(TRANSPORT_CC, Bytes::copy_from_slice(&number)).expect("it fits");
            header.set_extension(5, Bytes::from_static(&[0x11, 0x22, 0x33])).expect("it fits");
            header.set_extension(SEND_TIME, Bytes::from(vec![sequence as u8; 3])).expect("it fits");
            let payload = vec![(sequence >> 3) as u8 ^ 0x5a; 900 + usize::from(sequence % 200)];
            all.push(rtp::Packet { header, payload: payload.into() });
            sequence = sequence.wrapping_add(1);
        }
    }
    all
}

fn bytes(packet: &rtp::Packet) -> Vec<u8> {
    packet.marshal().expect("the test's own packet").to_vec()
}

/// As Chromium's receiver takes it for recovery, and as it comes out of it.
fn zeroed(packet: &rtp::Packet) -> rtp::Packet {
    let mut packet = packet.clone();
    packet.header.set_extension(TRANSPORT_CC, Bytes::from_static(&[0; 2])).expect("it fits");
    packet.header.set_extension(SEND_TIME, Bytes::from_static(&[0; 3])).expect("it fits");
    packet
}

/// What leaves: media, and repair packets (true) behind what they cover.
fn sent(protection: &mut Protection, media: &[rtp::Packet]) -> Vec<(bool, rtp::Packet)> {
    let mut all = Vec::new();
    let mut repairs = 0;
    for packet in media {
        protection.push(&bytes(packet));
        all.push((false, packet.clone()));
        let mut payload = Vec::new();
        while let Some(timestamp) = protection.take(&mut payload) {
            assert_eq!(timestamp, packet.header.timestamp);
            let header = rtp::header::Header {
                version: 2,
                payload_type: 49,
                sequence_number: repairs,
                timestamp,
                ssrc: REPAIR,
                ..Default::default()
            };
            repairs += 1;
            all.push((true, rtp::Packet { header, payload: std::mem::take(&mut payload).into() }));
        }
    }
    all
}

fn repairs(sent: &[(bool, rtp::Packet)]) -> Vec<&rtp::Packet> {
    sent.iter().filter(|(repair, _)| *repair).map(|(_, packet)| packet).collect()
}

/// What a receiver recovers if the media packets of these numbers are lost.
fn recovered(sent: &[(bool, rtp::Packet)], lost: &[u16]) -> Vec<rtp::Packet> {
    let mut decoder = FlexFec03Decoder::new(REPAIR, VIDEO);
    let mut recovered = Vec::new();
    for (repair, packet) in sent {
        if *repair {
            recovered.extend(decoder.decode(packet.clone()));
        } else if !lost.contains(&packet.header.sequence_number) {
            recovered.extend(decoder.decode(zeroed(packet)));
        }
    }
    recovered
}

#[test]
fn any_single_loss_in_a_protected_picture_comes_back_bit_for_bit() {
    let media = pictures(65_530, &[12]);
    let all = sent(&mut protection(0.25), &media);
    assert_eq!(repairs(&all).len(), 2, "3 are allowed, powers of two are sent");
    for packet in &media {
        let back = recovered(&all, &[packet.header.sequence_number]);
        assert_eq!(back, [zeroed(packet)]);
    }
}

#[test]
fn a_burst_as_long_as_there_are_repair_packets_comes_back() {
    let media = pictures(100, &[32]);
    let all = sent(&mut protection(0.25), &media);
    assert_eq!(repairs(&all).len(), 8);
    for start in 100..=124 {
        let lost: Vec<u16> = (start..start + 8).collect();
        let mut back: Vec<u16> = recovered(&all, &lost).iter().map(|p| p.header.sequence_number).collect();
        back.sort_unstable();
        assert_eq!(back, lost);
    }
}

#[test]
fn a_large_picture_is_cut_into_blocks_that_the_masks_can_name() {
    let media = pictures(0, &[300]);
    let all = sent(&mut protection(0.05), &media);
    let repairs = repairs(&all);
    assert!((12..=15).contains(&repairs.len()), "{}", repairs.len());
    for lost in (0..270).step_by(7) {
        assert_eq!(recovered(&all, &[lost]), [zeroed(&media[usize::from(lost)])], "{lost}");
    }
}

#[test]
fn small_pictures_share_a_repair_packet_within_the_window() {
    let media = pictures(0, &[1; 40]);
    let all = sent(&mut protection(0.25), &media);
    let repairs = repairs(&all);
    assert_eq!(repairs.len(), 10);
    assert_eq!(recovered(&all, &[5]), [zeroed(&media[5])]);
    // Three a second: no two of them fit into the window.
    let mut slow = media.clone();
    slow.iter_mut().for_each(|p| p.header.timestamp *= 10);
    let all = sent(&mut protection(0.25), &slow);
    for (repair, packet) in &all {
        assert!(!repair || packet.payload[18..20] == (0xc000u16).to_be_bytes(), "covers one packet only");
    }
}

#[test]
fn repair_packets_keep_to_their_share_and_their_size() {
    for share in [0.05, 0.11, 0.25] {
        let shape: Vec<u16> = (0..400).map(|i| if i % 50 == 0 { 40 } else { 1 + i % 5 }).collect();
        let media = pictures(0, &shape);
        let all = sent(&mut protection(share), &media);
        let repairs = repairs(&all);
        let real = repairs.len() as f32 / media.len() as f32;
        assert!(real <= share + 0.001 && real > share * 0.8, "{real} of {share}");
        let longest = media.iter().map(|p| bytes(p).len()).max().expect("packets") - 12;
        assert!(repairs.iter().all(|p| p.payload.len() <= longest + MAX_GROWTH));
    }
}

#[test]
fn sequence_numbers_that_were_left_out_are_not_covered() {
    let mut media = pictures(0, &[16]);
    media.retain(|p| p.header.sequence_number % 4 != 1);
    let all = sent(&mut protection(0.25), &media);
    assert!(!repairs(&all).is_empty());
    for packet in &media {
        assert_eq!(recovered(&all, &[packet.header.sequence_number]), [zeroed(packet)]);
    }
}

#[test]
fn without_a_share_nothing_is_made_or_kept() {
    let mut protection = protection(0.25);
    let media = pictures(0, &[2, 30]);
    sent(&mut protection, &media[..2]);
    protection.set(Amount::default());
    assert!(repairs(&sent(&mut protection, &media)).is_empty());
    // What was sent in between is not covered by what comes later.
    protection.set(amount(0.25));
    let all = sent(&mut protection, &pictures(32, &[16]));
    assert_eq!(repairs(&all)[0].payload[16..18], 32u16.to_be_bytes());
}

#[test]
fn repair_packets_that_nobody_takes_do_not_mix_with_the_next_block() {
    let mut protection = protection(0.25);
    let media = pictures(0, &[8, 8]);
    media[..8].iter().for_each(|p| protection.push(&bytes(p)));
    let all = sent(&mut protection, &media[8..]);
    assert_eq!(recovered(&all, &[11]), [zeroed(&media[11])]);
}

proptest! {
    /// One lost packet of each row comes back, whatever the shape of the stream.
    #[test]
    fn what_one_repair_packet_covers_survives_one_loss(
        shape in prop::collection::vec(1u16..60, 1..12),
        first in any::<u16>(),
        share in 0.05f32..0.25,
        pick in any::<u64>(),
    ) {
        let media = pictures(first, &shape);
        let all = sent(&mut protection(share), &media);
        for repair in repairs(&all) {
            let base = u16::from_be_bytes([repair.payload[16], repair.payload[17]]);
            let mut mask: Vec<u8> = vec![repair.payload[18] & 0x7f, repair.payload[19]];
            let mut covered: Vec<u16> =
                (0..15).filter(|bit| mask[usize::from((bit + 1) / 8)] >> (7 - (bit + 1) % 8) & 1 == 1).collect();
            if repair.payload[18] & 0x80 == 0 {
                mask = repair.payload[20..24].to_vec();
                covered.extend((0..31u16)
                    .filter(|bit| mask[usize::from((bit + 1) / 8)] >> (7 - (bit + 1) % 8) & 1 == 1)
                    .map(|bit| bit + 15));
            }
            let lost = base.wrapping_add(covered[(pick % covered.len() as u64) as usize]);
            let original = media.iter().find(|p| p.header.sequence_number == lost).map(zeroed);
            prop_assert_eq!(recovered(&all, &[lost]).into_iter().next(), original);
        }
    }

    /// The packets are our own, yet no bytes may bring the agent down.
    #[test]
    fn any_bytes_are_taken_without_a_panic(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..60)) {
        let mut protection = protection(0.25);
        for packet in packets {
            protection.push(&packet);
            let mut out = Vec::new();
            while protection.take(&mut out).is_some() {}
        }
    }
}

#[test]
fn what_comes_back_is_a_packet() {
    let media = pictures(0, &[8]);
    let all = sent(&mut protection(0.25), &media);
    let back = recovered(&all, &[3]);
    let read = rtp::Packet::unmarshal(&mut Bytes::from(bytes(&back[0]))).expect("a packet");
    assert_eq!((read.header.ssrc, read.header.timestamp, read.payload), (VIDEO, 0, media[3].payload.clone()));
}
