//! G.711 (PCMU and PCMA, RFC 3551, section 4.5.14) with the rate change to and from 48 kHz.

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};
use bytes::Bytes;

use super::{AudioDecoder, AudioEncoder, MAX_PAYLOAD, repeat::Repeater};
use crate::media::audio::{SAMPLE_RATE, dsp::resample::Resampler};

/// G.711's rate in hertz.
const RATE: u32 = 8_000;
/// Samples at 48 kHz for each byte.
pub const UP: usize = (SAMPLE_RATE / RATE) as usize;

/// Which of the two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum G711Law {
    /// mu-law: PCMU.
    Mu,
    /// A-law: PCMA.
    A,
}

/// Filters 48 kHz sound down to the telephone band and compands it.
pub struct G711Encoder {
    law: G711Law,
    down: Resampler,
    narrow: Vec<i16>,
}

impl G711Encoder {
    /// An encoder that has heard nothing yet.
    pub fn new(law: G711Law) -> anyhow::Result<Self> {
        Ok(Self { law, down: Resampler::new(SAMPLE_RATE, RATE)?, narrow: Vec::new() })
    }
}

impl AudioEncoder for G711Encoder {
    fn encode(&mut self, samples: &[i16]) -> anyhow::Result<Bytes> {
        self.narrow.clear();
        self.down.process(samples, &mut self.narrow);
        let code = match self.law {
            G711Law::Mu => encode_ulaw,
            G711Law::A => encode_alaw,
        };
        Ok(self.narrow.iter().map(|&s| code(s)).collect())
    }
}

/// Expands to 48 kHz; gaps are bridged at 8 kHz.
pub struct G711Decoder {
    law: G711Law,
    up: Resampler,
    repeater: Repeater,
    narrow: Vec<i16>,
    /// Made-up samples at 48 kHz beyond what was asked for: gaps are not always a multiple of six.
    spare: Vec<i16>,
}

impl G711Decoder {
    /// A decoder that has heard nothing yet.
    pub fn new(law: G711Law) -> anyhow::Result<Self> {
        let up = Resampler::new(RATE, SAMPLE_RATE)?;
        Ok(Self { law, up, repeater: Repeater::default(), narrow: Vec::new(), spare: Vec::new() })
    }
}

impl AudioDecoder for G711Decoder {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> anyhow::Result<()> {
        anyhow::ensure!(payload.len() <= MAX_PAYLOAD, "G.711 packet of {} bytes is too long", payload.len());
        let code = match self.law {
            G711Law::Mu => decode_ulaw,
            G711Law::A => decode_alaw,
        };
        self.spare.clear();
        self.narrow.clear();
        self.narrow.extend(payload.iter().map(|&b| code(b)));
        self.repeater.heard(&mut self.narrow);
        self.up.process(&self.narrow, out);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, _next: Option<&[u8]>, out: &mut Vec<i16>) {
        let missing = samples.saturating_sub(self.spare.len()).div_ceil(UP);
        self.narrow.clear();
        self.narrow.extend((0..missing).map(|_| self.repeater.next()));
        self.up.process(&self.narrow, &mut self.spare);
        out.extend(self.spare.drain(..samples));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::{rms_dbov, tests::sine};

    #[test]
    fn silence_is_the_laws_own_code_for_zero() {
        let mut encoder = G711Encoder::new(G711Law::Mu).unwrap();
        assert_eq!(encoder.encode(&[0; 960]).unwrap()[..], [0xff; 160]);
        let mut encoder = G711Encoder::new(G711Law::A).unwrap();
        assert_eq!(encoder.encode(&[0; 960]).unwrap()[..], [0xd5; 160]);
    }

    #[test]
    fn sound_above_the_telephone_band_is_removed_instead_of_folded_down() {
        let (mut encoder, mut decoder) =
            (G711Encoder::new(G711Law::Mu).unwrap(), G711Decoder::new(G711Law::Mu).unwrap());
        let mut heard = vec![];
        for block in sine(7000.0, 16_000.0, 0.5).chunks(960) {
            decoder.decode(&encoder.encode(block).unwrap(), &mut heard).unwrap();
        }
        assert!(rms_dbov(&heard[9600..]) < -60.0, "{} dBov at 1 kHz", rms_dbov(&heard[9600..]));
    }
}
