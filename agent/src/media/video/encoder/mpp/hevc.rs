//! H.265 byte streams as far as an encoder's output needs them: VPS, SPS and PPS put before every IRAP picture
//! (ITU-T H.265 section 7.4.2.2). The start codes are those of H.264.

use bytes::BytesMut;

use crate::media::video::annexb::Assembled;

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
/// Access unit delimiter and filler data.
const DROPPED: [u8; 2] = [35, 38];
/// Pictures that decoding can start at: BLA, IDR and CRA, and two reserved ones.
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
/// Types below this are slices.
const SLICES: u8 = 32;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// `nal_unit_type`; `None` for a unit without a whole header.
pub fn nal_type(nal: &[u8]) -> Option<u8> {
    let [first, _, ..] = nal else { return None };
    Some(first >> 1 & 0x3f)
}

/// Remembers the latest VPS, SPS and PPS; an encoder has one of each.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    sets: [Option<Vec<u8>>; 3],
}

impl Assembler {
    /// Learns a parameter set; other units are ignored.
    pub fn learn(&mut self, nal: &[u8]) {
        if let Some(kind @ VPS..=PPS) = nal_type(nal) {
            self.sets[usize::from(kind - VPS)] = Some(nal.to_vec());
        }
    }

    /// Makes an access unit of the NAL units of one picture. Parameter sets in the stream are learned and moved to
    /// the front of IRAP pictures; delimiters and filler are dropped. `None` without a slice, or for an IRAP picture
    /// whose parameter sets nobody has seen.
    pub fn assemble<'a>(&mut self, nals: impl IntoIterator<Item = &'a [u8]>) -> Option<Assembled> {
        let mut kept: Vec<&[u8]> = Vec::new();
        let (mut keyframe, mut slices) = (false, false);
        for nal in nals {
            match nal_type(nal) {
                Some(VPS | SPS | PPS) => self.learn(nal),
                Some(kind) if !DROPPED.contains(&kind) => {
                    keyframe |= IRAP.contains(&kind);
                    slices |= kind < SLICES;
                    kept.push(nal);
                }
                _ => {}
            }
        }
        let sets: Vec<&[u8]> = self.sets.iter().flatten().map(Vec::as_slice).collect();
        if !slices || (keyframe && sets.len() < self.sets.len()) {
            return None;
        }
        let mut data = BytesMut::new();
        for nal in sets.into_iter().filter(|_| keyframe).chain(kept) {
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
    use crate::media::video::annexb::nal_units;

    const SETS: [&[u8]; 3] = [&[0x40, 1, 12], &[0x42, 1, 1], &[0x44, 1, 0xc1]];
    const IDR: &[u8] = &[0x26, 1, 0xaf];
    const TRAIL: &[u8] = &[0x02, 1, 0xd0];

    #[test]
    fn parameter_sets_stand_before_every_irap_picture_and_nowhere_else() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.assemble([IDR]), None, "nobody has seen its sets");
        SETS.iter().for_each(|set| assembler.learn(set));
        let key = assembler.assemble([IDR]).expect("the sets are known");
        let expected = [SETS[0], SETS[1], SETS[2], IDR];
        assert!(key.keyframe);
        assert_eq!(nal_units(&key.data).collect::<Vec<_>>(), expected);
        let again = assembler.assemble(SETS.into_iter().chain([IDR])).expect("whole");
        assert_eq!(again, key, "sets of the stream are not doubled");
        let delta = assembler.assemble([&[0x46, 1, 0x50][..], TRAIL]).expect("a slice");
        assert_eq!((delta.keyframe, nal_units(&delta.data).collect::<Vec<_>>()), (false, vec![TRAIL]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut assembler = Assembler::default();
            if let Some(unit) = assembler.assemble(nal_units(&bytes)) {
                prop_assert!(unit.data.starts_with(&START_CODE));
            }
        }
    }
}
