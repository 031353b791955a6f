//! What holds for a sender whatever it is given.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rtc::rtp::{
    codec::{h264::H264Packet, vp8::Vp8Packet},
    packetizer::Depacketizer,
};

use super::testing::*;
use crate::media::video::VideoCodec;

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
