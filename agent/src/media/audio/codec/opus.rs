//! Opus by libopus, for RTP after RFC 7587.

use anyhow::Context;
use bytes::Bytes;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};

use super::{AudioDecoder, AudioEncoder, MAX_PACKET_SAMPLES, MAX_PAYLOAD};
use crate::media::audio::{BLOCK, SAMPLE_RATE};

/// Viewers on Wi-Fi and mobile networks lose some packets: this makes libopus spend bits on in-band FEC.
const EXPECTED_LOSS_PERCENT: i32 = 10;
/// Of 0 to 10: half the work of 10 for a difference that a camera's microphone does not show.
const COMPLEXITY: i32 = 5;
/// libopus makes up lost sound in steps of 2.5 ms.
const STEP: usize = 120;

/// Encodes blocks of 20 ms, mono, with in-band FEC.
pub struct OpusEncoder {
    encoder: Encoder,
    buffer: Vec<u8>,
}

impl OpusEncoder {
    /// `bitrate_kbps` between 6 and 510 (RFC 6716, section 2.1.1).
    pub fn new(bitrate_kbps: u32) -> anyhow::Result<Self> {
        anyhow::ensure!(
            (6..=510).contains(&bitrate_kbps),
            "audio.bitrate_kbps is {bitrate_kbps}: Opus takes 6 to 510, speech needs about 32"
        );
        // VOIP: in-band FEC exists in the speech modes only, and the path loses packets; speech is what counts.
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).context("libopus")?;
        encoder.set_bitrate(Bitrate::Bits(bitrate_kbps as i32 * 1000))?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(EXPECTED_LOSS_PERCENT)?;
        encoder.set_complexity(COMPLEXITY)?;
        // Without gaps a viewer can tell a quiet room from a broken path.
        encoder.set_dtx(false)?;
        Ok(Self { encoder, buffer: vec![0; MAX_PAYLOAD] })
    }
}

impl AudioEncoder for OpusEncoder {
    fn encode(&mut self, samples: &[i16]) -> anyhow::Result<Bytes> {
        let length = self.encoder.encode(samples, &mut self.buffer).context("libopus refused a block")?;
        Ok(Bytes::copy_from_slice(&self.buffer[..length]))
    }
}

/// Decodes to mono; a stereo sender is mixed down by libopus.
pub struct OpusDecoder {
    decoder: Decoder,
    buffer: Vec<i16>,
}

impl OpusDecoder {
    /// A decoder that has heard nothing yet.
    pub fn new() -> anyhow::Result<Self> {
        let decoder = Decoder::new(SAMPLE_RATE, Channels::Mono).context("libopus")?;
        Ok(Self { decoder, buffer: vec![0; MAX_PACKET_SAMPLES] })
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> anyhow::Result<()> {
        let samples = self.decoder.decode(payload, &mut self.buffer, false)?;
        out.extend_from_slice(&self.buffer[..samples]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        let (payload, fec) = next.map_or((&[][..], false), |payload| (payload, true));
        let mut missing = samples;
        while missing > 0 {
            // FEC fills the end of a gap, so it takes the gap in one piece; without it blocks keep the fade even.
            let most = if fec { MAX_PACKET_SAMPLES } else { BLOCK };
            let wanted = missing.next_multiple_of(STEP).min(most);
            let got = match self.decoder.decode(payload, &mut self.buffer[..wanted], fec) {
                Ok(got) => got.min(missing),
                Err(_) => {
                    // A packet that cannot be read has no copy either: silence is right, and harmless.
                    self.buffer[..wanted].fill(0);
                    wanted.min(missing)
                }
            };
            out.extend_from_slice(&self.buffer[..got]);
            missing -= got;
            if got == 0 {
                out.extend(std::iter::repeat_n(0, missing));
                break;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::tests::sine;

    /// Speech-like sound: a tone that jumps to another pitch each 20 ms, which nothing but a copy can restore.
    fn melody() -> Vec<i16> {
        let mut out = vec![];
        for n in 0..100 {
            let hz = 200.0 + f64::from(n * 37 % 11) * 60.0;
            let block = sine(hz, 8000.0, 0.02);
            out.extend(block.iter().map(|s| if n % 3 == 0 { s / 4 } else { *s }));
        }
        out
    }

    fn error_energy(a: &[i16], b: &[i16]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    }

    #[test]
    fn a_lost_packet_is_restored_from_the_next_one_better_than_guessed() {
        let mut encoder = OpusEncoder::new(32).unwrap();
        let packets: Vec<Bytes> = melody().chunks(BLOCK).map(|b| encoder.encode(b).unwrap()).collect();
        let play = |lossy: bool, fec: bool| {
            let (mut decoder, mut out) = (OpusDecoder::new().unwrap(), vec![]);
            for (n, packet) in packets.iter().enumerate() {
                if lossy && n % 5 == 4 && n + 1 < packets.len() {
                    decoder.conceal(BLOCK, fec.then(|| &packets[n + 1][..]), &mut out);
                } else {
                    decoder.decode(packet, &mut out).unwrap();
                }
            }
            out
        };
        let whole = play(false, false);
        let guessed = error_energy(&whole, &play(true, false));
        let restored = error_energy(&whole, &play(true, true));
        assert!(restored < guessed * 0.5, "FEC {restored:.0}, guess {guessed:.0}");
    }

    #[test]
    fn a_bitrate_out_of_range_is_refused_in_words() {
        assert!(OpusEncoder::new(5).err().unwrap().to_string().contains("6 to 510"));
        assert!(OpusEncoder::new(511).is_err());
    }

    #[test]
    fn the_bitrate_is_kept() {
        let mut encoder = OpusEncoder::new(24).unwrap();
        let bytes: usize = melody().chunks(BLOCK).map(|b| encoder.encode(b).unwrap().len()).sum();
        assert!((4_000..=7_500).contains(&bytes), "2 s at 24 kbit/s took {bytes} bytes");
    }
}
