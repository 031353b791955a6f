//! Noise for the busy pattern: bands of a texture that move, each at its own speed, and leap to another place of it
//! again and again.
//!
//! What moves costs an encoder little, what leaps a lot: together they take whatever rate it has, as leaves in the wind
//! do. Drawing is copying: boards draw it too.

use crate::media::video::picture::Picture;

/// Size of the texture; larger pictures see it more than once. Powers of two.
const WIDTH: usize = 1024;
const HEIGHT: usize = 256;
/// Height of a band: a macroblock of H.264.
const BAND: usize = 16;
/// A band leaps once in so many pictures; each picture has as many leaping bands.
const LEAP: u64 = 6;
/// A band moves by at most so many pixels a picture, to either side.
const FASTEST: u64 = 6;
/// Mean luma: the middle of limited range.
const MEAN: i32 = 126;
/// The octaves: side of a grain in pixels as a power of two, and how far it goes to either side in luma. Fine grain
/// lets an encoder spend bits at high rates, coarse grain at low ones.
const OCTAVES: [(u32, i32); 4] = [(0, 14), (1, 12), (2, 10), (3, 8)];

/// See the module.
#[derive(Debug)]
pub struct Texture(Vec<u8>);

impl Texture {
    /// Always the same one.
    pub fn new() -> Self {
        let mut luma = vec![MEAN; WIDTH * HEIGHT];
        for (octave, swing) in OCTAVES {
            let columns = WIDTH >> octave;
            for y in 0..HEIGHT {
                let row = (y >> octave) * columns;
                let line = &mut luma[y * WIDTH..][..WIDTH];
                for (column, grain) in line.chunks_mut(1 << octave).enumerate() {
                    let noise = mix(u64::from(octave) << 32 | (row + column) as u64);
                    let value = (noise % (2 * swing as u64 + 1)) as i32 - swing;
                    grain.iter_mut().for_each(|pixel| *pixel += value);
                }
            }
        }
        Self(luma.into_iter().map(|value| value.clamp(16, 235) as u8).collect())
    }

    /// Fills the luma of rows `top` to `bottom` of the picture with this number.
    pub fn draw(&self, picture: &mut Picture, number: u64, top: usize, bottom: usize) {
        for y in top..bottom {
            let (x, row) = place(number, ((y - top) / BAND) as u64);
            let line = &self.0[(row + y) % HEIGHT * WIDTH..][..WIDTH];
            let mut rest = picture.luma_row_mut(y);
            let mut from = x % WIDTH;
            while !rest.is_empty() {
                let (now, later) = rest.split_at_mut((WIDTH - from).min(rest.len()));
                now.copy_from_slice(&line[from..from + now.len()]);
                (rest, from) = (later, 0);
            }
        }
    }
}

/// What of the texture a band shows: column and row of its top left corner.
fn place(number: u64, band: u64) -> (usize, usize) {
    let turned = number.wrapping_add(band % LEAP);
    let (leaps, since) = (turned / LEAP, turned % LEAP);
    let here = mix(leaps << 16 ^ band ^ 1 << 63);
    let speed = mix(band) % (2 * FASTEST + 1);
    // Leftwards is rightwards less a whole turn.
    let moved = (since * speed).wrapping_sub(since * FASTEST);
    ((here.wrapping_add(moved) % WIDTH as u64) as usize, (here >> 32) as usize % HEIGHT)
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of the number.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::picture::Yuv;

    fn drawn(number: u64) -> Picture {
        let mut picture = Picture::new(1280, 96, Yuv::BLACK);
        Texture::new().draw(&mut picture, number, 16, 80);
        picture
    }

    #[test]
    fn a_number_has_one_picture_and_rows_outside_stay_as_they_were() {
        let (one, same) = (drawn(7), drawn(7));
        assert_eq!(one.luma(), same.luma());
        for row in [0, 15, 80, 95] {
            assert!(one.luma()[row * 1280..][..1280].iter().all(|luma| *luma == 16), "row {row}");
        }
        assert!(one.luma()[16 * 1280..80 * 1280].iter().any(|luma| *luma > 130));
    }

    #[test]
    fn from_picture_to_picture_bands_move_and_each_leaps_once_in_six() {
        for band in 0..30 {
            let places: Vec<_> = (0..30).map(|number| place(number, band)).collect();
            let leapt = |pair: &[(usize, usize)]| {
                let moved = pair[1].0.wrapping_sub(pair[0].0) % WIDTH;
                pair[0].1 != pair[1].1 || moved.min(WIDTH - moved) > FASTEST as usize
            };
            let leaps = places.windows(2).filter(|pair| leapt(pair)).count();
            assert!((4..=5).contains(&leaps), "band {band} leapt {leaps} times in 29 pictures");
        }
    }
}
