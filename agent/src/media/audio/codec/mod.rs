//! Encoders for viewers and decoders for talk-back behind two small traits.

mod g711;
mod opus;
mod repeat;

pub use self::g711::{G711Decoder, G711Encoder, G711Law};
pub use self::opus::{OpusDecoder, OpusEncoder};
use crate::media::audio::AudioCodec;

/// The longest packet that is taken, in bytes: what fits into one UDP datagram on any path.
pub const MAX_PAYLOAD: usize = 1_500;
/// The longest packet that is taken, in samples at 48 kHz: 120 ms, Opus's own limit (RFC 6716, section 2.1.4).
pub const MAX_PACKET_SAMPLES: usize = 5_760;

/// Turns 20 ms blocks into RTP payloads.
pub trait AudioEncoder: Send {
    /// Encodes [`crate::media::audio::BLOCK`] samples.
    fn encode(&mut self, samples: &[i16]) -> anyhow::Result<bytes::Bytes>;
}

/// Turns RTP payloads into samples at 48 kHz and bridges what is missing.
pub trait AudioDecoder: Send {
    /// Appends the packet's samples to `out`.
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> anyhow::Result<()>;

    /// Appends exactly `samples` made-up samples to `out`. `next` is the packet right after the gap, if it is there:
    /// it may carry a copy of what was lost (Opus in-band FEC, RFC 6716, section 2.1.7).
    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>);
}

/// An encoder for `codec`; `bitrate_kbps` counts for Opus alone.
pub fn encoder(codec: AudioCodec, bitrate_kbps: u32) -> anyhow::Result<Box<dyn AudioEncoder>> {
    Ok(match codec {
        AudioCodec::Opus => Box::new(OpusEncoder::new(bitrate_kbps)?),
        AudioCodec::Pcmu => Box::new(G711Encoder::new(G711Law::Mu)?),
        AudioCodec::Pcma => Box::new(G711Encoder::new(G711Law::A)?),
    })
}

/// A decoder for `codec`.
pub fn decoder(codec: AudioCodec) -> anyhow::Result<Box<dyn AudioDecoder>> {
    Ok(match codec {
        AudioCodec::Opus => Box::new(OpusDecoder::new()?),
        AudioCodec::Pcmu => Box::new(G711Decoder::new(G711Law::Mu)?),
        AudioCodec::Pcma => Box::new(G711Decoder::new(G711Law::A)?),
    })
}

/// How long a payload plays, in samples at 48 kHz; an error in words if it is none of the codec's.
pub fn packet_samples(codec: AudioCodec, payload: &[u8]) -> anyhow::Result<usize> {
    anyhow::ensure!(
        (1..=MAX_PAYLOAD).contains(&payload.len()),
        "{codec:?} packet of {} bytes: expected 1 to {MAX_PAYLOAD}",
        payload.len()
    );
    let samples = match codec {
        AudioCodec::Opus => ::opus::packet::get_nb_samples(payload, 48_000)?,
        AudioCodec::Pcmu | AudioCodec::Pcma => payload.len() * g711::UP,
    };
    anyhow::ensure!(
        (1..=MAX_PACKET_SAMPLES).contains(&samples),
        "{codec:?} packet of {} ms: expected at most 120 ms",
        samples / 48
    );
    Ok(samples)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::BLOCK;
    use crate::media::audio::dsp::{level::rms_dbov, level::tests::sine, pitch::DominantFrequency};

    #[test]
    fn a_tone_survives_every_codec() {
        for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
            let (mut encoder, mut decoder) = (encoder(codec, 32).unwrap(), decoder(codec).unwrap());
            let (tone, mut heard) = (sine(440.0, 8000.0, 1.0), vec![]);
            for block in tone.chunks(BLOCK) {
                let payload = encoder.encode(block).unwrap();
                assert_eq!(packet_samples(codec, &payload).unwrap(), BLOCK);
                decoder.decode(&payload, &mut heard).unwrap();
            }
            assert_eq!(heard.len(), tone.len());
            let mut pitch = DominantFrequency::new().unwrap();
            pitch.push(&heard[24_000..]);
            assert!((pitch.estimate().unwrap() - 440.0).abs() < 2.0, "{codec:?}");
            let change = rms_dbov(&heard[24_000..]) - rms_dbov(&tone);
            assert!(change.abs() < 1.0, "{codec:?}: {change} dB");
        }
    }

    #[test]
    fn concealment_gives_the_samples_asked_for_and_fades_out() {
        for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
            let (mut encoder, mut decoder) = (encoder(codec, 32).unwrap(), decoder(codec).unwrap());
            let mut out = vec![];
            decoder.conceal(BLOCK, None, &mut out);
            assert!(rms_dbov(&out) < -80.0, "{codec:?}: something out of nothing");
            for block in sine(200.0, 8000.0, 0.4).chunks(BLOCK) {
                decoder.decode(&encoder.encode(block).unwrap(), &mut out).unwrap();
            }
            for samples in [1, 17, 120, 960, 959, 5760] {
                let before = out.len();
                decoder.conceal(samples, None, &mut out);
                assert_eq!(out.len() - before, samples, "{codec:?}");
            }
            let mut bridge = vec![];
            (0..30).for_each(|_| decoder.conceal(BLOCK, None, &mut bridge));
            assert!(rms_dbov(&bridge[28 * BLOCK..]) < -60.0, "{codec:?} does not fade");
        }
    }

    #[test]
    fn bad_packets_are_errors() {
        for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
            assert!(packet_samples(codec, &[]).is_err());
            assert!(packet_samples(codec, &[0xff; 1501]).is_err());
        }
        // A code 3 packet that promises 49 frames of 20 ms.
        assert!(packet_samples(AudioCodec::Opus, &[0x0b, 49, 0, 0]).is_err());
    }
}
