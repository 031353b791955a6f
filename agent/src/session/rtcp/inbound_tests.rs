//! What is read of viewers' RTCP, and what is not.

use bytes::BytesMut;
use proptest::prelude::*;
use rtc::{
    rtcp::{
        self, Packet,
        extended_report::ExtendedReport,
        goodbye::Goodbye,
        payload_feedbacks::{
            full_intra_request::{FirEntry, FullIntraRequest},
            picture_loss_indication::PictureLossIndication,
            receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate,
        },
        reception_report::ReceptionReport,
        sender_report::SenderReport,
        source_description::SourceDescription,
        transport_feedbacks::{
            transport_layer_cc::{
                PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, SymbolTypeTcc,
            },
            transport_layer_nack::{NackPair, TransportLayerNack},
        },
    },
    shared::marshal::Marshal,
};

use super::*;

fn compound(packets: &[Box<dyn Packet>]) -> BytesMut {
    rtcp::packet::marshal(packets).expect("the test's own packets")
}

fn said(bytes: &[u8]) -> Vec<Feedback> {
    parse(bytes).collect()
}

fn nack(packet_id: u16, lost_packets: u16) -> TransportLayerNack {
    TransportLayerNack { sender_ssrc: 1, media_ssrc: 2, nacks: vec![NackPair { packet_id, lost_packets }] }
}

fn transport_cc(received: u16) -> TransportLayerCc {
    let symbol = SymbolTypeTcc::PacketReceivedSmallDelta;
    let run = RunLengthChunk {
        type_tcc: StatusChunkTypeTcc::RunLengthChunk,
        packet_status_symbol: symbol,
        run_length: received,
    };
    TransportLayerCc {
        sender_ssrc: 1,
        media_ssrc: 2,
        base_sequence_number: 65_530,
        packet_status_count: received,
        reference_time: 0x12_3456,
        fb_pkt_count: 7,
        packet_chunks: vec![PacketStatusChunk::RunLengthChunk(run)],
        recv_deltas: (0..received)
            .map(|i| RecvDelta { type_tcc_packet: symbol, delta: 250 * i64::from(i % 256) })
            .collect(),
    }
}

fn report_on(ssrc: u32) -> ReceptionReport {
    ReceptionReport {
        ssrc,
        fraction_lost: 25,
        total_lost: 1_000,
        last_sequence_number: 0x1_ffff,
        jitter: 90,
        last_sender_report: 0xaabb_ccdd,
        delay: 0x1_8000,
    }
}

fn told_on(ssrc: u32) -> Feedback {
    Feedback::Report {
        ssrc,
        fraction_lost: 25,
        lost: 1_000,
        highest: 0x1_ffff,
        jitter: 90,
        lsr: 0xaabb_ccdd,
        dlsr: 0x1_8000,
    }
}

#[test]
fn everything_a_browser_says_in_one_compound_is_heard_in_its_order() {
    let mut reports = rtcp::receiver_report::ReceiverReport { ssrc: 1, ..Default::default() };
    reports.reports = vec![report_on(2), report_on(3)];
    let own = SenderReport {
        ssrc: 9,
        ntp_time: 0x0102_0304_0506_0708,
        rtp_time: 11,
        packet_count: 12,
        octet_count: 13,
        reports: vec![report_on(4)],
        ..Default::default()
    };
    let intra = FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc: 0,
        fir: vec![FirEntry { ssrc: 5, sequence_number: 1 }, FirEntry { ssrc: 6, sequence_number: 1 }],
    };
    let remb = ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate: 1_500_000.0, ssrcs: vec![2] };
    let bytes = compound(&[
        Box::new(own),
        Box::new(SourceDescription::default()),
        Box::new(reports),
        Box::new(ExtendedReport::default()),
        Box::new(nack(65_535, 0b1000_0000_0000_0001)),
        Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 }),
        Box::new(intra),
        Box::new(remb),
        Box::new(transport_cc(3)),
        Box::new(Goodbye { sources: vec![9, 10], ..Default::default() }),
    ]);
    let sender =
        Feedback::SenderReport { ssrc: 9, ntp: 0x0102_0304_0506_0708, rtp: 11, packets: 12, octets: 13 };
    assert_eq!(
        said(&bytes),
        [
            sender,
            told_on(4),
            told_on(2),
            told_on(3),
            Feedback::Nack { ssrc: 2, lost: vec![65_535, 0, 15] },
            Feedback::KeyframeRequest { ssrc: 2 },
            Feedback::KeyframeRequest { ssrc: 5 },
            Feedback::KeyframeRequest { ssrc: 6 },
            Feedback::Remb(1_500_000),
            Feedback::Twcc(transport_cc(3)),
            Feedback::Bye { ssrc: 9 },
            Feedback::Bye { ssrc: 10 },
        ]
    );
}

#[test]
fn what_is_unknown_or_broken_is_skipped_and_the_rest_is_heard() {
    let picture = Feedback::KeyframeRequest { ssrc: 2 };
    let pli = compound(&[Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 })]);
    let strange: [&[u8]; 6] = [
        // APP, XR with a receiver reference time, a type of its own, a NACK without numbers, a REMB without a rate,
        // transport-cc that claims more than it brings.
        &[0x80, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'],
        &[0x80, 207, 0, 4, 0, 0, 0, 1, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x9f, 255, 0, 0],
        &[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
        &[0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B'],
        &[0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 9, 0, 0, 0, 0, 0x20, 9, 0, 0],
    ];
    for packet in strange {
        assert_eq!(said(&[packet, &pli].concat()), std::slice::from_ref(&picture), "{packet:x?}");
    }
}

#[test]
fn a_wrong_frame_ends_the_datagram() {
    let pli = compound(&[Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 })]);
    let version = [&[0x41, 206, 0, 0], &pli[..]].concat();
    let length = [&[0x81, 206, 255, 255], &pli[..]].concat();
    assert!(said(&version).is_empty() && said(&length).is_empty() && said(&pli[..11]).is_empty());
}

#[test]
fn padding_is_no_content() {
    // A NACK of one pair, whose padding would read as another one.
    let padded = [0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0, 0, 4];
    assert_eq!(said(&padded), [Feedback::Nack { ssrc: 2, lost: vec![7] }]);
    let nonsense = [0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 255];
    assert!(said(&nonsense).is_empty());
}

#[test]
fn a_negative_count_of_losses_keeps_its_sign() {
    let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    bytes.extend([0, 0, 0, 2, 0, 0xff, 0xff, 0xfe]);
    bytes.extend([0; 16]);
    let [Feedback::Report { lost, .. }] = said(&bytes)[..] else { panic!("no report") };
    assert_eq!(lost, -2);
}

#[test]
fn an_estimate_beyond_64_bits_is_the_greatest() {
    let remb = |word: u32| {
        let mut bytes = vec![0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.extend(b"REMB");
        bytes.extend(word.to_be_bytes());
        said(&bytes)
    };
    assert_eq!(remb(63 << 18 | 2), [Feedback::Remb(u64::MAX)]);
    assert_eq!(remb(46 << 18 | 0x3_ffff), [Feedback::Remb(0x3_ffff << 46)]);
    assert_eq!(remb(63 << 18), [Feedback::Remb(0)]);
}

#[test]
fn a_storm_of_nacks_is_cut() {
    let storm = TransportLayerNack {
        nacks: (0..200).map(|i| NackPair { packet_id: i * 17, lost_packets: 0xffff }).collect(),
        ..nack(0, 0)
    };
    let bytes = compound(&[Box::new(storm.clone()), Box::new(storm)]);
    let lost: Vec<u16> = said(&bytes)
        .into_iter()
        .flat_map(|f| if let Feedback::Nack { lost, .. } = f { lost } else { panic!("{f:?}") })
        .collect();
    assert_eq!(lost, (0..MAX_LOST as u16).collect::<Vec<_>>());
}

#[test]
fn statuses_that_cost_more_than_they_bring_are_not_read() {
    // 22 bytes that claim 65 535 received packets of which none has an arrival time.
    let claim: &[u8] =
        &[0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 255, 255, 0, 0, 0, 0, 0x7f, 255, 0, 0];
    assert!(said(claim).is_empty());
    let half = transport_cc((MAX_STATUSES / 2) as u16);
    let bytes = half.marshal().expect("the test's own packet");
    assert_eq!(said(&[&bytes[..], &bytes, &bytes].concat()).len(), 2);
}

#[test]
fn a_compound_says_no_more_than_the_bound() {
    let pli = compound(&[Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 })]);
    assert_eq!(said(&pli.repeat(MAX_FEEDBACKS + 10)).len(), MAX_FEEDBACKS);
}

#[test]
fn the_fuzzer_begins_with_what_is_heard() {
    let count = |seed: &[u8]| said(seed).len();
    assert_eq!(count(include_bytes!("../../../fuzz/seeds/rtcp/reports")), 3);
    assert_eq!(count(include_bytes!("../../../fuzz/seeds/rtcp/feedback")), 4);
    assert_eq!(count(include_bytes!("../../../fuzz/seeds/rtcp/transport-cc")), 1);
}

/// Packets whose frames are right and whose content is anything.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![200u8..=207, any::<u8>()];
    let body = prop::collection::vec(any::<[u8; 4]>(), 0..40);
    let packet = (any::<bool>(), prop_oneof![Just(1u8), Just(4), Just(15), 0u8..32], kinds, body);
    prop::collection::vec(packet, 0..8).prop_map(|packets| {
        let mut bytes = Vec::new();
        for (padded, count, kind, body) in packets {
            bytes.extend([0x80 | u8::from(padded) << 5 | count, kind, 0, body.len() as u8]);
            bytes.extend(body.as_flattened());
        }
        bytes
    })
}

fn bounded(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (mut lost, mut statuses) = (0, 0);
    for feedback in said(bytes) {
        match feedback {
            Feedback::Nack { lost: numbers, .. } => lost += numbers.len(),
            Feedback::Twcc(cc) => statuses += usize::from(cc.packet_status_count),
            _ => {}
        }
    }
    prop_assert!(lost <= MAX_LOST && statuses <= MAX_STATUSES);
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
        bounded(&bytes)?;
    }

    #[test]
    fn any_content_in_right_frames_is_read_within_bounds(bytes in framed()) {
        bounded(&bytes)?;
    }
}
