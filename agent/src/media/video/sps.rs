//! What a sequence parameter set says (H.264 section 7.3.2.1.1): picture size, profile, level, reordering.

use super::annexb::{NAL_PPS, NAL_SPS, nal_type};

/// Largest side of a picture that is believed: level 6.2 ends below it.
const MAX_SIDE: u32 = 16_384;

/// The facts of an SPS that decide how a stream can be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// 1 for 4:2:0, the only one that browsers decode.
    pub chroma_format: u32,
    /// Bits of a luma sample; browsers decode 8.
    pub bit_depth: u32,
    /// False for interlaced streams.
    pub frames_only: bool,
}

/// Reads an SPS NAL unit. `None` if it is not one, ends too early, or has a size that cannot be.
pub fn parse_sps(nal: &[u8]) -> Option<Sps> {
    if nal_type(nal) != NAL_SPS {
        return None;
    }
    let mut bits = Bits::new(nal.get(1..)?);
    let profile = bits.read(8)? as u8;
    bits.read(8)?;
    let level = bits.read(8)? as u8;
    bits.ue()?;
    let (mut chroma_format, mut bit_depth, mut separate_planes) = (1, 8, false);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue()?;
        separate_planes = chroma_format == 3 && bits.read(1)? == 1;
        bit_depth = bits.ue()?.checked_add(8)?;
        bits.ue()?;
        bits.read(1)?;
        if bits.read(1)? == 1 {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.read(1)? == 1 {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.read(1)?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue().filter(|count| *count < 256)? {
                bits.se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    bits.ue()?;
    bits.read(1)?;
    let macroblocks_wide = bits.ue()?.checked_add(1)?;
    let map_units_high = bits.ue()?.checked_add(1)?;
    let frames_only = bits.read(1)? == 1;
    if !frames_only {
        bits.read(1)?;
    }
    bits.read(1)?;
    let field_factor = if frames_only { 1 } else { 2 };
    let (mut width, mut height) =
        (macroblocks_wide.checked_mul(16)?, map_units_high.checked_mul(16 * field_factor)?);
    if bits.read(1)? == 1 {
        let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
        let unit_x = if matches!(chroma_format, 1 | 2) && !separate_planes { 2 } else { 1 };
        let unit_y = field_factor * if chroma_format == 1 { 2 } else { 1 };
        width = width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
        height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
    }
    let sane = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
    sane.then_some(Sps { profile, level, width, height, chroma_format, bit_depth, frames_only })
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + i64::from(bits.se()?)).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// The id of an SPS or PPS NAL unit, `None` for other units or if it ends too early.
pub fn parameter_set_id(nal: &[u8]) -> Option<u32> {
    match nal_type(nal) {
        NAL_SPS => Bits::new(nal.get(4..)?).ue(),
        NAL_PPS => Bits::new(nal.get(1..)?).ue(),
        _ => None,
    }
}

/// Reads bits of a NAL unit's payload, leaving out emulation prevention bytes.
struct Bits<'a> {
    bytes: &'a [u8],
    zeros: u8,
    current: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, zeros: 0, current: 0, left: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let (mut byte, mut rest) = self.bytes.split_first()?;
        if self.zeros >= 2 && *byte == 3 {
            self.zeros = 0;
            (byte, rest) = rest.split_first()?;
        }
        self.zeros = if *byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        self.bytes = rest;
        Some(*byte)
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            if self.left == 0 {
                self.current = self.byte()?;
                self.left = 8;
            }
            self.left -= 1;
            value = value << 1 | u32::from(self.current >> self.left & 1);
        }
        Some(value)
    }

    /// An unsigned Exp-Golomb value (H.264 section 9.1).
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        ((1u32 << zeros) - 1).checked_add(self.read(zeros)?)
    }

    /// A signed Exp-Golomb value.
    fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        i32::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes the fields of a baseline SPS.
    fn baseline(width_in_mbs: u32, height_in_mbs: u32, crop_bottom: u32) -> Vec<u8> {
        let mut bits = String::new();
        let ue = |value: u32| {
            let binary = format!("{:b}", value + 1);
            "0".repeat(binary.len() - 1) + &binary
        };
        for value in [0, 0, 2, 1] {
            bits += &ue(value);
        }
        bits += "0";
        bits += &(ue(width_in_mbs - 1) + &ue(height_in_mbs - 1) + "11");
        bits += &if crop_bottom > 0 {
            "1".to_owned() + &ue(0) + &ue(0) + &ue(0) + &ue(crop_bottom)
        } else {
            "0".into()
        };
        bits += "01";
        let payload = bits.as_bytes().chunks(8).map(|byte| {
            byte.iter().enumerate().fold(0, |value, (index, bit)| value | (bit - b'0') << (7 - index))
        });
        [0x67, 66, 0xc0, 31].into_iter().chain(payload).collect()
    }

    #[test]
    fn size_is_read_with_cropping() {
        let sps = parse_sps(&baseline(120, 68, 4)).expect("whole");
        assert_eq!((sps.width, sps.height), (1920, 1080));
        assert_eq!((sps.profile, sps.level, sps.frames_only, sps.chroma_format), (66, 31, true, 1));
        let plain = parse_sps(&baseline(40, 30, 0)).expect("whole");
        assert_eq!((plain.width, plain.height), (640, 480));
    }

    #[test]
    fn a_cut_sps_is_refused() {
        let whole = baseline(120, 68, 4);
        for length in 0..whole.len() - 1 {
            assert_eq!(parse_sps(&whole[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let nal = [&[0x67][..], &bytes].concat();
            if let Some(sps) = parse_sps(&nal) {
                prop_assert!(sps.width <= MAX_SIDE && sps.height <= MAX_SIDE);
            }
            if let Some(id) = parameter_set_id(&nal) {
                prop_assert!(id < u32::MAX);
            }
        }
    }
}
