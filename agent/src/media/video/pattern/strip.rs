//! The machine-readable strip of the test pattern: large black and white cells that carry the frame number and
//! the capture time through a lossy codec. Geometry and bit layout: `docs/test-pattern.md`.

use crate::media::video::picture::{Picture, Yuv};

/// Cells in a row.
pub const COLUMNS: usize = 40;
/// Rows of cells, along the top edge.
pub const ROWS: usize = 3;
/// First 16 bits: where a reader sees that this is a strip, and that it is not turned or cut.
pub const MARKER: u16 = 0xb5c3;
/// Layout of what follows the marker.
pub const VERSION: u8 = 1;
/// Luma from which on a cell is a 1: the middle of limited range.
const THRESHOLD: u32 = 126;
/// The capture time has 48 bits: enough until the year 10889.
const TIME_MASK: u64 = (1 << 48) - 1;

const BITS: usize = COLUMNS * ROWS;
const BYTES: usize = BITS / 8;

/// What a strip carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Number of the frame since the pattern began, wrapping at 2^32.
    pub frame: u32,
    /// Wall-clock time of capture in milliseconds since the Unix epoch, 48 bits.
    pub time_ms: u64,
}

impl Strip {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..2].copy_from_slice(&MARKER.to_be_bytes());
        bytes[2] = VERSION;
        bytes[3..7].copy_from_slice(&self.frame.to_be_bytes());
        bytes[7..13].copy_from_slice(&(self.time_ms & TIME_MASK).to_be_bytes()[2..]);
        let crc = crc16(&bytes[2..13]);
        bytes[13..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let crc = u16::from_be_bytes([bytes[13], bytes[14]]);
        let right = bytes[..2] == MARKER.to_be_bytes() && bytes[2] == VERSION && crc == crc16(&bytes[2..13]);
        right.then(|| Self {
            frame: u32::from_be_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]),
            time_ms: bytes[7..13].iter().fold(0, |time, byte| time << 8 | u64::from(*byte)),
        })
    }
}

/// Side of a cell in pixels for a picture of this width.
pub fn cell_size(width: usize) -> usize {
    width / COLUMNS
}

/// Draws the strip along the top edge. What the cells leave over at the right edge stays as it was.
pub fn draw_strip(picture: &mut Picture, strip: Strip) {
    let cell = cell_size(picture.width());
    let bytes = strip.to_bytes();
    for bit in 0..BITS {
        let one = bytes[bit / 8] >> (7 - bit % 8) & 1 == 1;
        let colour = if one { Yuv::WHITE } else { Yuv::BLACK };
        picture.fill(bit % COLUMNS * cell, bit / COLUMNS * cell, cell, cell, colour);
    }
}

/// Reads the strip of a picture's luma plane (`stride` bytes a row). `None` if the picture is too small, the plane
/// too short, or there is no strip with a right marker, version and checksum.
pub fn read_strip(luma: &[u8], width: usize, height: usize, stride: usize) -> Option<Strip> {
    let cell = cell_size(width);
    if cell < 2 || stride < width || height < cell * ROWS || luma.len() / stride < cell * ROWS {
        return None;
    }
    let mut bytes = [0; BYTES];
    for bit in 0..BITS {
        let (left, top) = (bit % COLUMNS * cell, bit / COLUMNS * cell);
        if cell_mean(luma, stride, left, top, cell) >= THRESHOLD {
            bytes[bit / 8] |= 0x80 >> (bit % 8);
        }
    }
    Strip::from_bytes(&bytes)
}

/// Mean luma of the inner half of a cell: its edges are where codecs blur.
fn cell_mean(luma: &[u8], stride: usize, left: usize, top: usize, cell: usize) -> u32 {
    let margin = cell / 4;
    let inner = cell - 2 * margin;
    let mut sum = 0;
    for row in top + margin..top + margin + inner {
        let from = row * stride + left + margin;
        sum += luma[from..from + inner].iter().map(|value| u32::from(*value)).sum::<u32>();
    }
    sum / (inner * inner) as u32
}

/// CRC-16 with polynomial 0x1021, initial value 0xffff, not reflected, no final XOR (CRC-16/IBM-3740).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = Strip { frame: 0x0102_0304, time_ms: 0x0a0b_0c0d_0e0f }.to_bytes();
        assert_eq!(bytes[..13], [0xb5, 0xc3, 1, 1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf]);
        assert_eq!(bytes[13..], crc16(&bytes[2..13]).to_be_bytes());
    }

    proptest! {
        #[test]
        fn what_is_drawn_is_read_at_any_size(
            half_width in 160u32..=960, half_height in 90u32..=540, frame: u32, time_ms in 0..=TIME_MASK,
        ) {
            let mut picture = Picture::new(half_width * 2, half_height * 2, Yuv::GREY);
            let strip = Strip { frame, time_ms };
            draw_strip(&mut picture, strip);
            let (width, height) = (picture.width(), picture.height());
            prop_assert_eq!(read_strip(picture.luma(), width, height, width), Some(strip));
        }

        #[test]
        fn a_turned_cell_is_noticed(cell in 0..BITS, frame: u32) {
            let mut picture = Picture::new(320, 180, Yuv::GREY);
            draw_strip(&mut picture, Strip { frame, time_ms: 1_800_000_000_000 });
            let (x, y) = (cell % COLUMNS * 8, cell / COLUMNS * 8);
            let turned = if picture.luma()[y * 320 + x] > 126 { Yuv::BLACK } else { Yuv::WHITE };
            picture.fill(x, y, 8, 8, turned);
            prop_assert_eq!(read_strip(picture.luma(), 320, 180, 320), None);
        }

        #[test]
        fn no_picture_makes_the_reader_panic(
            luma in prop::collection::vec(any::<u8>(), 0..4096), width in 0usize..3000, height in 0usize..3000,
            stride in 0usize..3000,
        ) {
            // Random bytes hold a right marker, version and checksum once in 2^40.
            prop_assert_eq!(read_strip(&luma, width, height, stride), None);
        }
    }
}
