//! Pictures from packets in order, out of order, doubled, lost.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rtc::rtp::header::Header;

use super::*;

const PER_PICTURE: u16 = 3;

/// The packets of a picture: single NAL units of type 1, whose third byte is the picture's number.
fn picture(number: u16, first: u16) -> Vec<Packet> {
    (0..PER_PICTURE)
        .map(|part| Packet {
            header: Header {
                ssrc: 1,
                sequence_number: first.wrapping_add(part),
                timestamp: u32::from(number) * 3000,
                marker: part + 1 == PER_PICTURE,
                ..Default::default()
            },
            payload: Bytes::from(vec![0x41, part as u8, number as u8]),
        })
        .collect()
}

fn pictures(count: u16, first: u16) -> Vec<Packet> {
    (0..count).flat_map(|number| picture(number, first.wrapping_add(number * PER_PICTURE))).collect()
}

fn numbers(units: &[Unit]) -> Vec<u8> {
    units.iter().map(|unit| *unit.data.last().unwrap()).collect()
}

#[test]
fn a_picture_comes_with_its_last_packet() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    let packets = picture(5, 65_534);
    assert!(assembler.push(packets[0].clone(), now).is_empty());
    assert!(assembler.push(packets[1].clone(), now).is_empty());
    let units = assembler.push(packets[2].clone(), now + Duration::from_millis(4));
    assert_eq!(units.len(), 1);
    assert_eq!((units[0].rtp_time, units[0].complete), (15_000, now + Duration::from_millis(4)));
    assert!(!units[0].after_loss);
    assert_eq!(&units[0].data[..], [0, 0, 0, 1, 0x41, 0, 5, 0, 0, 0, 1, 0x41, 1, 5, 0, 0, 0, 1, 0x41, 2, 5]);
}

#[test]
fn a_packet_that_comes_again_late_still_makes_its_picture() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    let mut packets = pictures(4, 65_530);
    let late = packets.remove(4);
    let mut units: Vec<Unit> = packets.into_iter().flat_map(|p| assembler.push(p, now)).collect();
    assert_eq!(numbers(&units), [0]);
    units.extend(assembler.push(late, now + PATIENCE / 2));
    assert_eq!(numbers(&units), [0, 1, 2, 3]);
    assert!(units.iter().all(|unit| !unit.after_loss));
}

/// The pictures of which one packet is lost; what comes, and which of it says that it follows a loss.
fn without(lost: usize) -> (Vec<u8>, Vec<u8>) {
    let mut assembler = Assembler::default();
    let mut packets = pictures(20, 100);
    packets.remove(lost);
    let mut now = Instant::now();
    let mut units = Vec::new();
    for packet in packets {
        now += Duration::from_millis(10);
        units.extend(assembler.push(packet, now));
    }
    let after_loss: Vec<Unit> = units.iter().filter(|unit| unit.after_loss).cloned().collect();
    (numbers(&units), numbers(&after_loss))
}

#[test]
fn a_lost_packet_costs_its_picture_and_the_next_one_says_so() {
    for lost in 3..5 {
        let (whole, after_loss) = without(lost);
        assert_eq!(whole, (0..20).filter(|number| *number != 1).collect::<Vec<u8>>(), "packet {lost}");
        assert_eq!(after_loss, [2], "packet {lost}");
    }
}

#[test]
fn a_lost_last_packet_may_have_been_the_next_ones_first() {
    let (whole, after_loss) = without(5);
    assert_eq!(whole, (0..20).filter(|number| ![1, 2].contains(number)).collect::<Vec<u8>>());
    assert_eq!(after_loss, [3]);
}

#[test]
fn a_key_frame_after_a_loss_is_not_held_up_by_what_is_missing_before_it() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    let mut packets = pictures(3, 100);
    const SPS: u8 = 7;
    packets[6].payload = Bytes::from_static(&[0x60 | SPS, 1, 2]);
    packets.remove(5);
    let units: Vec<Unit> = packets.into_iter().flat_map(|p| assembler.push(p, now)).collect();
    assert_eq!(numbers(&units), [0, 2]);
    assert!(units[1].after_loss);
}

#[test]
fn an_aggregation_packet_with_half_a_length_at_its_end_is_a_broken_picture() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    let mut packets = pictures(3, 100);
    packets[4].payload = Bytes::from_static(&[STAP_A, 0, 2, 1, 2, 0]);
    let units: Vec<Unit> = packets.into_iter().flat_map(|p| assembler.push(p, now)).collect();
    assert_eq!(numbers(&units), [0, 2]);
    assert!(units[1].after_loss);
}

#[test]
fn another_stream_begins_anew() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    pictures(2, 7).into_iter().for_each(|p| drop(assembler.push(p, now)));
    let other = picture(9, 40_000).into_iter().map(|mut p| {
        p.header.ssrc = 2;
        p
    });
    let units: Vec<Unit> = other.flat_map(|p| assembler.push(p, now)).collect();
    assert!(numbers(&units) == [9] && units[0].after_loss);
}

proptest! {
    #[test]
    fn whatever_comes_no_more_is_kept_than_the_bound(
        packets in proptest::collection::vec((any::<u16>(), any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40), 0u64..100), 0..3000)
    ) {
        let mut now = Instant::now();
        let mut assembler = Assembler::default();
        for (sequence_number, timestamp, marker, payload, ms) in packets {
            now += Duration::from_millis(ms);
            let header = Header { ssrc: 1, sequence_number, timestamp, marker, ..Default::default() };
            for unit in assembler.push(Packet { header, payload: payload.into() }, now) {
                prop_assert!(!unit.data.is_empty());
            }
            prop_assert!(assembler.waiting.len() <= MAX_WAITING + 1);
        }
    }

    #[test]
    fn pictures_come_in_order_and_whole_however_packets_are_shuffled(order in Just((0..30usize).collect::<Vec<_>>()).prop_shuffle()) {
        let now = Instant::now();
        let packets = pictures(11, 65_520);
        let mut assembler = Assembler::default();
        // The first picture says where the stream begins.
        let mut units: Vec<Unit> = packets[..3].iter().flat_map(|p| assembler.push(p.clone(), now)).collect();
        for index in order {
            units.extend(assembler.push(packets[3 + index].clone(), now));
        }
        prop_assert_eq!(numbers(&units), (0..11).collect::<Vec<u8>>());
    }
}
