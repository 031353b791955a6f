//! An encoder that only makes as many bytes as it was told to: what a sender without an encoder is given in tests of
//! bandwidth.

use crate::clip::{Clip, Picture};

/// A key frame holds as much as so many other pictures.
const KEY_SIZE: u64 = 4;
/// Pictures between key frames that nobody asked for.
const KEY_INTERVAL: u64 = 300;
/// Pictures between key frames that somebody asked for: who asks again meanwhile means the same one.
const LEAST_KEY_INTERVAL: u64 = 30;
/// Percent of an estimate that go into pictures; headers and repetitions want the rest.
const SHARE: u64 = 90;

/// Makes pictures of a wanted size, with a real clip's parameter sets.
pub struct FakeEncoder {
    parameter_sets: Vec<Vec<u8>>,
    since_key: u64,
    /// Bytes that a large picture took from those after it.
    debt: u64,
    random: u64,
}

impl FakeEncoder {
    /// Parameter sets come from the clip.
    pub fn new(clip: &Clip) -> Self {
        let parameter_sets =
            clip.pictures.first().map(|picture| picture.parameter_sets().map(<[u8]>::to_vec).collect());
        Self { parameter_sets: parameter_sets.unwrap_or_default(), since_key: 0, debt: 0, random: 1 }
    }

    /// The next picture, for a path that carries so many bits a second; pictures are at most `most` of them.
    pub fn encode(&mut self, estimate: u64, most: u64, fps: u64, key: bool) -> Picture {
        let share = (estimate * SHARE / 100).min(most) / 8 / fps;
        let asked = key && self.since_key >= LEAST_KEY_INTERVAL;
        let key = asked || self.since_key == 0 || self.since_key >= KEY_INTERVAL;
        let size = if key {
            self.debt += share * (KEY_SIZE - 1);
            share * KEY_SIZE
        } else {
            let repaid = self.debt.min(share / 3);
            self.debt -= repaid;
            share - repaid
        };
        self.since_key = if key { 1 } else { self.since_key + 1 };
        let mut slice = vec![if key { 0x65 } else { 0x41 }, 0x88];
        slice.extend((2..size.max(16)).map(|_| self.byte()));
        let sets = self.parameter_sets.iter().map(Vec::as_slice).filter(|_| key);
        Picture::new(sets.chain([&slice[..]]))
    }

    /// Never zero, so that no start code comes about (xorshift).
    fn byte(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random as u8 | 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_a_key_frame() {
        let mut encoder = FakeEncoder::new(&Clip { pictures: Vec::new() });
        let bytes: usize = (0..60)
            .map(|_| encoder.encode(1_200_000, 9_000_000, 30, false).nals().map(<[u8]>::len).sum::<usize>())
            .sum();
        assert!((261_000..=270_100).contains(&bytes), "{bytes}");
    }
}
