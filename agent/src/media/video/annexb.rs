//! H.264 byte streams: NAL units behind start codes (Annex B) or behind lengths (ISO/IEC 14496-15), the parameter
//! sets of an `avcC` box, and SPS/PPS put before every IDR.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::sps;

/// Slice of a picture that is not an IDR.
pub const NAL_SLICE: u8 = 1;
/// Slice of an IDR picture.
pub const NAL_IDR: u8 = 5;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// Picture parameter set.
pub const NAL_PPS: u8 = 8;
/// Access unit delimiter.
pub const NAL_AUD: u8 = 9;
/// Filler data.
pub const NAL_FILLER: u8 = 12;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnexBError {
    /// A length prefix points past the end of the sample.
    #[error("a NAL unit of {wanted} bytes does not fit into the {left} bytes that are left of its sample")]
    LengthPastEnd {
        /// What the prefix says.
        wanted: usize,
        /// What is there.
        left: usize,
    },
    /// The `avcC` box ends too early or has another version.
    #[error("the avcC box is damaged: {0}")]
    BadAvcC(&'static str),
}

/// `nal_unit_type` of a NAL unit (H.264 section 7.4.1); 0 for an empty one.
pub fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// True if no picture refers to this one: its slices have a `nal_ref_idc` of 0. By H.264 section 7.4.1 it is zero for all
/// slices of a picture or for none, so the first is looked at. False without a slice.
pub fn is_discardable(unit: &[u8]) -> bool {
    let mut rest = unit;
    while let Some(at) = start_code(rest) {
        rest = &rest[at + 3..];
        if let Some(header) = rest.first().filter(|_| (NAL_SLICE..=NAL_IDR).contains(&nal_type(rest))) {
            return header & 0x60 == 0;
        }
    }
    false
}

/// The NAL units of an Annex B stream, without start codes and trailing zero bytes. Bytes before the first start
/// code are skipped.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map(|at| &stream[at + 3..]);
    std::iter::from_fn(move || {
        loop {
            let from = rest?;
            let end = start_code(from);
            rest = end.map(|at| &from[at + 3..]);
            let nal = &from[..end.unwrap_or(from.len())];
            let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if length > 0 {
                return Some(&nal[..length]);
            }
        }
    })
}

/// Where the next 00 00 01 is.
fn start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at + 3 <= bytes.len() {
        match bytes[at + 2] {
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some(at),
            0 => at += 1,
            // No start code can end or lie across this byte.
            _ => at += 3,
        }
    }
    None
}

/// The NAL units of a sample whose units stand behind big-endian lengths of `length_size` (1 to 4) bytes.
pub fn length_prefixed(sample: &[u8], length_size: usize) -> Result<Vec<&[u8]>, AnnexBError> {
    let mut nals = Vec::new();
    let mut rest = sample;
    while !rest.is_empty() {
        let Some((prefix, after)) = rest.split_at_checked(length_size.clamp(1, 4)) else {
            return Err(AnnexBError::LengthPastEnd { wanted: length_size, left: rest.len() });
        };
        let wanted = prefix.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let Some((nal, after)) = after.split_at_checked(wanted) else {
            return Err(AnnexBError::LengthPastEnd { wanted, left: after.len() });
        };
        if !nal.is_empty() {
            nals.push(nal);
        }
        rest = after;
    }
    Ok(nals)
}

/// The decoder configuration of an MP4 track (ISO/IEC 14496-15 section 5.3.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig {
    /// Bytes of each length prefix, 1 to 4.
    pub length_size: usize,
    /// SPS and PPS units, in this order.
    pub parameter_sets: Vec<Bytes>,
}

/// Reads the contents of an `avcC` box, without the box header.
pub fn parse_avcc(data: &[u8]) -> Result<AvcConfig, AnnexBError> {
    let [version, _profile, _compatibility, _level, length_size, counted @ ..] = data else {
        return Err(AnnexBError::BadAvcC("it ends before its first parameter set"));
    };
    if *version != 1 {
        return Err(AnnexBError::BadAvcC("its version is not 1"));
    }
    let mut parameter_sets = Vec::new();
    let mut rest = counted;
    // The number of SPS has 5 bits, that of PPS 8.
    for mask in [0x1f, 0xff] {
        let (count, mut after) = rest.split_first().ok_or(AnnexBError::BadAvcC("a count is missing"))?;
        for _ in 0..count & mask {
            let [high, low, from @ ..] = after else {
                return Err(AnnexBError::BadAvcC("a length is missing"));
            };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (set, left) =
                from.split_at_checked(length).ok_or(AnnexBError::BadAvcC("a parameter set is cut short"))?;
            parameter_sets.push(Bytes::copy_from_slice(set));
            after = left;
        }
        rest = after;
    }
    Ok(AvcConfig { length_size: usize::from(length_size & 3) + 1, parameter_sets })
}

/// One access unit in Annex B, ready for viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// NAL units behind four-byte start codes.
    pub data: Bytes,
    /// True if it is an IDR; its SPS and PPS are in front then.
    pub keyframe: bool,
}

/// Remembers parameter sets and puts them before every IDR. At most 32 SPS and 256 PPS, as H.264 has ids for.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    sps: BTreeMap<u32, Vec<u8>>,
    pps: BTreeMap<u32, Vec<u8>>,
}

impl Assembler {
    /// Learns a parameter set; other units are ignored.
    pub fn learn(&mut self, nal: &[u8]) {
        match (nal_type(nal), sps::parameter_set_id(nal)) {
            (NAL_SPS, Some(id)) if id < 32 => self.sps.insert(id, nal.to_vec()),
            (NAL_PPS, Some(id)) if id < 256 => self.pps.insert(id, nal.to_vec()),
            _ => None,
        };
    }

    /// The latest SPS.
    pub fn sps(&self) -> Option<&[u8]> {
        self.sps.values().next().map(Vec::as_slice)
    }

    /// Makes an access unit of the NAL units of one picture. Parameter sets in the stream are learned and moved to
    /// the front of IDRs; delimiters and filler are dropped. `None` without a slice, or for an IDR whose parameter
    /// sets nobody has seen.
    pub fn assemble<'a>(&mut self, nals: impl IntoIterator<Item = &'a [u8]>) -> Option<Assembled> {
        let mut kept: Vec<&[u8]> = Vec::new();
        let (mut keyframe, mut slices) = (false, false);
        for nal in nals {
            match nal_type(nal) {
                NAL_SPS | NAL_PPS => self.learn(nal),
                NAL_AUD | NAL_FILLER => {}
                kind => {
                    keyframe |= kind == NAL_IDR;
                    slices |= (NAL_SLICE..=NAL_IDR).contains(&kind);
                    kept.push(nal);
                }
            }
        }
        if !slices || (keyframe && (self.sps.is_empty() || self.pps.is_empty())) {
            return None;
        }
        let mut data = BytesMut::new();
        let sets = self.sps.values().chain(self.pps.values()).map(Vec::as_slice);
        for nal in sets.filter(|_| keyframe).chain(kept) {
            data.extend_from_slice(&START_CODE);
            data.extend_from_slice(nal);
        }
        Some(Assembled { data: data.freeze(), keyframe })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02];
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    fn annexb(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| START_CODE.iter().chain(nal.iter())).copied().collect()
    }

    #[test]
    fn units_are_found_behind_short_and_long_start_codes() {
        let stream = [&[9, 9][..], &[0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x41, 3, 0, 0], &[0, 0, 1]].concat();
        let found: Vec<_> = nal_units(&stream).collect();
        assert_eq!(found, [&[0x65, 1, 2][..], &[0x41, 3]]);
    }

    #[test]
    fn parameter_sets_stand_before_every_idr_and_nowhere_else() {
        let mut assembler = Assembler::default();
        let first = assembler.assemble([SPS, PPS, &[0x65, 0x88]]).expect("it has all");
        assert!(first.keyframe);
        assert_eq!(first.data, annexb(&[SPS, PPS, &[0x65, 0x88]]));
        let delta = assembler.assemble([&[0x09, 0xf0][..], &[0x41, 0x9a]]).expect("a slice");
        assert_eq!((delta.keyframe, delta.data), (false, annexb(&[&[0x41, 0x9a]]).into()));
        let second = assembler.assemble([&[0x65, 0x99][..]]).expect("sets are remembered");
        assert_eq!(second.data, annexb(&[SPS, PPS, &[0x65, 0x99]]));
    }

    #[test]
    fn a_picture_can_be_left_out_if_its_slices_say_that_nothing_refers_to_them() {
        for (nals, discardable) in [
            (&[&[0x01, 0x9a][..]][..], true),
            (&[&[0x06, 5], &[0x01, 0x9a], &[0x01, 0x9b]], true),
            (&[&[0x41, 0x9a]], false),
            (&[SPS, PPS, &[0x65, 0x88]], false),
            (&[&[0x06, 5]], false),
            (&[], false),
        ] {
            assert_eq!(is_discardable(&annexb(nals)), discardable, "{nals:?}");
        }
    }

    #[test]
    fn an_idr_without_known_parameter_sets_is_kept_back() {
        assert_eq!(Assembler::default().assemble([&[0x65, 0x88][..]]), None);
    }

    #[test]
    fn an_avcc_box_gives_its_sets_and_length_size() {
        let mut data = vec![1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, SPS.len() as u8];
        data.extend_from_slice(SPS);
        data.extend_from_slice(&[1, 0, PPS.len() as u8]);
        data.extend_from_slice(PPS);
        let config = parse_avcc(&data).expect("a whole box");
        assert_eq!(config.length_size, 4);
        assert_eq!(config.parameter_sets, [SPS, PPS]);
        for length in 0..data.len() {
            assert!(parse_avcc(&data[..length]).is_err(), "{length} bytes of it are refused");
        }
    }

    #[test]
    fn a_length_past_the_end_is_refused_with_both_figures() {
        let error = length_prefixed(&[0, 0, 0, 9, 0x65], 4);
        assert_eq!(error, Err(AnnexBError::LengthPastEnd { wanted: 9, left: 1 }));
    }

    proptest! {
        #[test]
        fn units_survive_the_way_through_both_framings(
            nals in prop::collection::vec(prop::collection::vec(1u8..=255, 1..40), 1..8),
        ) {
            let slices: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let stream = annexb(&slices);
            prop_assert_eq!(nal_units(&stream).collect::<Vec<_>>(), slices.clone());
            let prefixed: Vec<u8> =
                nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes()[..], nal].concat()).collect();
            prop_assert_eq!(length_prefixed(&prefixed, 2).expect("well-formed"), slices);
        }

        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 0usize..9) {
            is_discardable(&bytes);
            let mut assembler = Assembler::default();
            if let Some(unit) = assembler.assemble(nal_units(&bytes)) {
                prop_assert!(unit.data.starts_with(&START_CODE));
            }
            if let Ok(config) = parse_avcc(&bytes) {
                prop_assert!((1..=4).contains(&config.length_size));
            }
            if let Ok(nals) = length_prefixed(&bytes, size) {
                prop_assert!(nals.iter().all(|nal| !nal.is_empty()));
            }
        }
    }
}
