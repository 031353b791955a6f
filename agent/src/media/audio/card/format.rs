//! The sample formats of sound cards, to and from 16 bits mono. Pure functions.

use alsa::pcm::Format;

/// A sample format that is read and written here, without ALSA's plug layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16 bits, little endian.
    S16,
    /// 32 bits, little endian.
    S32,
    /// 24 bits in the lower three of four bytes, little endian.
    S24,
    /// 24 bits in three bytes, little endian.
    S24Packed,
    /// 32 bits floating point, full scale is 1.
    Float,
    /// 8 bits, silence is 128.
    U8,
}

/// More channels than two are an array of microphones or a set of loudspeakers: the first two stand for all.
const HEARD: usize = 2;

impl SampleFormat {
    /// In the order in which a card is asked for them: ours first, then what loses nothing.
    pub const PREFERRED: [Self; 6] =
        [Self::S16, Self::S32, Self::S24, Self::S24Packed, Self::Float, Self::U8];

    /// As ALSA calls it.
    pub fn alsa(self) -> Format {
        match self {
            Self::S16 => Format::S16LE,
            Self::S32 => Format::S32LE,
            Self::S24 => Format::S24LE,
            Self::S24Packed => Format::S243LE,
            Self::Float => Format::FloatLE,
            Self::U8 => Format::U8,
        }
    }

    /// Bytes that one sample takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24Packed => 3,
            Self::S32 | Self::S24 | Self::Float => 4,
        }
    }

    /// Appends interleaved frames as mono samples: the mean of the first two channels. A frame that is cut off is
    /// left out.
    pub fn decode(self, frames: &[u8], channels: usize, mono: &mut Vec<i16>) {
        let width = self.bytes();
        let heard = channels.clamp(1, HEARD);
        mono.extend(frames.chunks_exact(width * channels.max(1)).map(|frame| {
            let sum: i32 = frame.chunks_exact(width).take(heard).map(|s| i32::from(self.sample(s))).sum();
            (sum / heard as i32) as i16
        }));
    }

    /// Appends mono samples as interleaved frames, the same in every channel.
    pub fn encode(self, mono: &[i16], channels: usize, frames: &mut Vec<u8>) {
        for &sample in mono {
            let wide = (i32::from(sample) << 16).to_le_bytes();
            let bytes: [u8; 4] = match self {
                Self::S16 => [wide[2], wide[3], 0, 0],
                Self::S32 => wide,
                Self::S24 => (i32::from(sample) << 8).to_le_bytes(),
                Self::S24Packed => [wide[1], wide[2], wide[3], 0],
                Self::Float => (f32::from(sample) / 32_768.0).to_le_bytes(),
                Self::U8 => [((sample >> 8) + 128) as u8, 0, 0, 0],
            };
            for _ in 0..channels {
                frames.extend_from_slice(&bytes[..self.bytes()]);
            }
        }
    }

    /// The upper 16 bits of one sample of [`Self::bytes`].
    fn sample(self, s: &[u8]) -> i16 {
        match (self, s) {
            (Self::S16, &[a, b]) | (Self::S32, &[_, _, a, b]) => i16::from_le_bytes([a, b]),
            (Self::S24, &[_, a, b, _]) | (Self::S24Packed, &[_, a, b]) => i16::from_le_bytes([a, b]),
            // `as` saturates.
            (Self::Float, &[a, b, c, d]) => (f32::from_le_bytes([a, b, c, d]) * 32_768.0) as i16,
            (Self::U8, &[a]) => (i16::from(a) - 128) << 8,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_back_what_was_put_in() {
        let samples = [0, 1, -1, 256, -256, 1000, -1000, i16::MAX, i16::MIN];
        for format in SampleFormat::PREFERRED {
            for channels in [1, 2, 4] {
                let (mut bytes, mut back) = (vec![], vec![]);
                format.encode(&samples, channels, &mut bytes);
                assert_eq!(bytes.len(), samples.len() * channels * format.bytes());
                format.decode(&bytes, channels, &mut back);
                let loss = if format == SampleFormat::U8 { 255 } else { 0 };
                assert!(
                    samples.iter().zip(&back).all(|(a, b)| (i32::from(*a) - i32::from(*b)).abs() <= loss),
                    "{format:?} {channels}: {back:?}"
                );
            }
        }
    }

    #[test]
    fn bytes_lie_where_alsa_wants_them() {
        let bytes = |format: SampleFormat| {
            let mut bytes = vec![];
            format.encode(&[0x1234], 1, &mut bytes);
            bytes
        };
        assert_eq!(bytes(SampleFormat::S16), [0x34, 0x12]);
        assert_eq!(bytes(SampleFormat::S32), [0, 0, 0x34, 0x12]);
        assert_eq!(bytes(SampleFormat::S24), [0, 0x34, 0x12, 0]);
        assert_eq!(bytes(SampleFormat::S24Packed), [0, 0x34, 0x12]);
        assert_eq!(bytes(SampleFormat::U8), [0x92]);
    }

    #[test]
    fn two_channels_are_mixed_and_a_third_is_not_heard() {
        let (mut frame, mut mono) = (vec![], vec![]);
        for sample in [100, 300, 30_000] {
            SampleFormat::S16.encode(&[sample], 1, &mut frame);
        }
        SampleFormat::S16.decode(&frame, 3, &mut mono);
        SampleFormat::S16.decode(&frame[..5], 3, &mut mono);
        assert_eq!(mono, [200]);
    }

    #[test]
    fn a_float_beyond_full_scale_is_cut() {
        let mut mono = vec![];
        for value in [2.0_f32, -2.0, f32::NAN] {
            SampleFormat::Float.decode(&value.to_le_bytes(), 1, &mut mono);
        }
        assert_eq!(mono, [i16::MAX, i16::MIN, 0]);
    }
}
