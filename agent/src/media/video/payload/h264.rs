//! The RTP payload format of H.264, packetization-mode 1 (RFC 6184).

use bytes::Bytes;

use super::{Payload, even_pieces};
use crate::media::video::annexb::{NAL_AUD, NAL_FILLER, NAL_PPS, NAL_SPS, nal_type, nal_units};

/// Aggregation of NAL units of one instant (section 5.7.1).
const STAP_A: u8 = 24;
/// A fragment of a NAL unit (section 5.8).
const FU_A: u8 = 28;
/// The first fragment.
const FU_START: u8 = 0x80;
/// The last fragment.
const FU_END: u8 = 0x40;
/// nal_unit_type of H.264 itself; those above are RTP's own (section 5.2).
const NAL_TYPES: std::ops::RangeInclusive<u8> = 1..=23;
/// forbidden_zero_bit and nal_ref_idc.
const REFERENCE: u8 = 0xe0;

/// Payloads of at most `max` bytes for an Annex B access unit. Parameter sets that stand together share one, a small NAL
/// unit has its own, a large one is cut evenly. Delimiters and filler are left out: packets and markers
/// say where pictures end, and filler only fills.
pub(super) fn payloads(unit: &Bytes, max: usize) -> Vec<Payload> {
    let mut out = Vec::new();
    let mut sets: Vec<&[u8]> = Vec::new();
    for nal in nal_units(unit) {
        match nal_type(nal) {
            NAL_SPS | NAL_PPS if nal.len() + 3 <= max => {
                if aggregate_length(&sets) + 2 + nal.len() > max {
                    flush(&mut sets, unit, &mut out);
                }
                sets.push(nal);
            }
            NAL_AUD | NAL_FILLER => {}
            kind if NAL_TYPES.contains(&kind) => {
                flush(&mut sets, unit, &mut out);
                slice(nal, unit, max, &mut out);
            }
            _ => {}
        }
    }
    flush(&mut sets, unit, &mut out);
    out
}

fn aggregate_length(sets: &[&[u8]]) -> usize {
    1 + sets.iter().map(|set| 2 + set.len()).sum::<usize>()
}

fn flush(sets: &mut Vec<&[u8]>, unit: &Bytes, out: &mut Vec<Payload>) {
    match sets[..] {
        [] => {}
        [one] => out.push(Payload::new(&[], unit.slice_ref(one))),
        _ => {
            let importance = sets.iter().map(|set| set[0] & 0x60).max().unwrap_or_default();
            let forbidden = sets.iter().fold(0, |bit, set| bit | set[0] & 0x80);
            let mut body = Vec::with_capacity(aggregate_length(sets));
            body.push(forbidden | importance | STAP_A);
            for set in sets.iter() {
                // Not longer than a payload.
                body.extend_from_slice(&(set.len() as u16).to_be_bytes());
                body.extend_from_slice(set);
            }
            out.push(Payload::new(&[], body.into()));
        }
    }
    sets.clear();
}

fn slice(nal: &[u8], unit: &Bytes, max: usize, out: &mut Vec<Payload>) {
    let Some((header, body)) = nal.split_first() else { return };
    if nal.len() <= max {
        out.push(Payload::new(&[], unit.slice_ref(nal)));
        return;
    }
    let body = unit.slice_ref(body);
    let fragments = even_pieces(&body, max - 2);
    // At least two: the body alone is as long as a payload.
    let last = fragments.len() - 1;
    for (number, fragment) in fragments.enumerate() {
        let place = if number == 0 { FU_START } else { 0 } | if number == last { FU_END } else { 0 };
        out.push(Payload::new(&[header & REFERENCE | FU_A, place | header & 0x1f], fragment));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rtc::rtp::{codec::h264::H264Packet, packetizer::Depacketizer};

    use super::{super::testing::written, *};

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    fn annexb(nals: &[&[u8]]) -> Bytes {
        nals.iter().flat_map(|nal| [0, 0, 0, 1].iter().chain(nal.iter())).copied().collect()
    }

    #[test]
    fn parameter_sets_share_a_packet_and_a_large_slice_is_cut_evenly() {
        let idr = [&[0x65][..], &[7; 250]].concat();
        let out = written(&payloads(&annexb(&[&[0x09, 0xf0], SPS, PPS, &[0x06, 5, 1], &idr]), 100));
        let stap = [&[0x78, 0, 6][..], SPS, &[0, 4], PPS].concat();
        assert_eq!(out[..2], [stap, vec![0x06, 5, 1]]);
        let fragments: Vec<_> = out[2..].iter().map(|f| (f[0], f[1], f.len())).collect();
        assert_eq!(fragments, [(0x7c, 0x85, 86), (0x7c, 0x05, 86), (0x7c, 0x45, 84)]);
    }

    #[test]
    fn what_is_no_unit_gives_no_packet() {
        for bytes in [&[][..], b"no start code", &[0, 0, 1], &[0, 0, 0, 1, 0, 0, 1], &[0, 0, 1, 0x18, 1, 2]] {
            assert!(payloads(&Bytes::copy_from_slice(bytes), 100).is_empty(), "{bytes:?}");
        }
    }

    #[test]
    fn parameter_sets_that_do_not_fit_together_go_in_packets_of_their_own() {
        let sps = [&[0x67][..], &[1; 95]].concat();
        let out = written(&payloads(&annexb(&[&sps, PPS, &[0x65, 1, 2]]), 100));
        assert_eq!(out, [sps, PPS.to_vec(), vec![0x65, 1, 2]]);
        let long = [&[0x67][..], &[1; 120]].concat();
        assert_eq!(payloads(&annexb(&[&long]), 100).len(), 2);
    }

    proptest! {
        #[test]
        fn a_receiver_has_every_byte_of_every_unit(
            nals in prop::collection::vec((1u8..24, prop::collection::vec(1u8.., 2..900)), 1..6),
            max in 20usize..300,
        ) {
            let nals: Vec<Vec<u8>> = nals
                .into_iter()
                .map(|(kind, body)| [&[0x60 | kind][..], &body].concat())
                .collect();
            let slices: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let unit = annexb(&slices);
            let wanted: Vec<&[u8]> = slices
                .iter()
                .filter(|nal| ![NAL_AUD, NAL_FILLER].contains(&nal_type(nal)))
                .copied()
                .collect();
            let mut receiver = H264Packet::default();
            let mut got = Vec::new();
            for payload in written(&payloads(&unit, max)) {
                prop_assert!(payload.len() <= max);
                got.extend_from_slice(&receiver.depacketize(&payload.into()).unwrap());
            }
            prop_assert_eq!(got, annexb(&wanted).to_vec());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..400)) {
            for payload in payloads(&bytes.into(), 40) {
                prop_assert!((1..=40).contains(&payload.len()));
            }
        }
    }
}
