//! The strongest frequency of the last 200 ms: proves in tests and on a bench that a known tone arrived.

use std::collections::VecDeque;

use super::{level::rms_dbov, resample::Resampler};
use crate::media::audio::SAMPLE_RATE;

/// The search runs on 8 kHz sound: a sixth of the work, and all of the voice band.
const RATE: u32 = 8_000;
/// 200 ms.
const WINDOW: usize = RATE as usize / 5;
/// Below this a level is noise of the codec, not a tone.
const QUIET_DBOV: f64 = -60.0;
/// Where tones are looked for, in hertz.
const LOWEST: f64 = 50.0;
const HIGHEST: f64 = 3_500.0;
/// Half the width of the window's main lobe in hertz: a peak between two steps loses 1.5 dB at most.
const COARSE: f64 = 10.0;
/// Frequencies that are looked at together: each waits for its own last step, so eight take little more than one.
const LANES: usize = 8;
/// The precision of the answer, in hertz.
const FINE: f64 = 0.5;

/// Finds the dominant frequency of a stream of 48 kHz samples.
#[derive(Debug)]
pub struct DominantFrequency {
    down: Resampler,
    recent: VecDeque<i16>,
    narrow: Vec<i16>,
}

impl DominantFrequency {
    /// Nothing heard yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            down: Resampler::new(SAMPLE_RATE, RATE)?,
            recent: VecDeque::with_capacity(WINDOW * 2),
            narrow: Vec::new(),
        })
    }

    /// Takes in samples at 48 kHz; the oldest beyond 200 ms are forgotten.
    pub fn push(&mut self, samples: &[i16]) {
        self.narrow.clear();
        self.down.process(samples, &mut self.narrow);
        self.recent.extend(&self.narrow);
        let excess = self.recent.len().saturating_sub(WINDOW);
        self.recent.drain(..excess);
    }

    /// The strongest frequency between 50 and 3500 Hz; None while less than 200 ms or only silence was heard.
    pub fn estimate(&mut self) -> Option<f64> {
        let samples: &[i16] = self.recent.make_contiguous();
        if samples.len() < WINDOW || rms_dbov(samples) < QUIET_DBOV {
            return None;
        }
        let windowed: Vec<f64> = samples
            .iter()
            .enumerate()
            .map(|(n, &s)| {
                let hann = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / (WINDOW - 1) as f64).cos();
                f64::from(s) * hann
            })
            .collect();
        let coarse = strongest(&windowed, LOWEST, HIGHEST, COARSE)?;
        strongest(&windowed, coarse - COARSE, coarse + COARSE, FINE)
    }
}

fn strongest(samples: &[f64], from: f64, to: f64, step: f64) -> Option<f64> {
    let steps = ((to - from) / step).round() as usize;
    let frequencies: Vec<f64> = (0..=steps).map(|n| from + n as f64 * step).collect();
    frequencies
        .chunks(LANES)
        .flat_map(|chunk| {
            // The last chunk is filled up with its last frequency.
            let lanes = std::array::from_fn(|n| chunk[n.min(chunk.len() - 1)]);
            powers(samples, lanes).into_iter().zip(lanes)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, hz)| hz)
}

/// The power of some frequencies, by Goertzel's recurrence.
fn powers(samples: &[f64], hz: [f64; LANES]) -> [f64; LANES] {
    let k = hz.map(|hz| 2.0 * (std::f64::consts::TAU * hz / f64::from(RATE)).cos());
    let (mut s1, mut s2) = ([0.0; LANES], [0.0; LANES]);
    for x in samples {
        for n in 0..LANES {
            (s1[n], s2[n]) = (x + k[n] * s1[n] - s2[n], s1[n]);
        }
    }
    std::array::from_fn(|n| s1[n] * s1[n] + s2[n] * s2[n] - k[n] * s1[n] * s2[n])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::tests::sine;

    fn heard(samples: &[i16]) -> Option<f64> {
        let mut pitch = DominantFrequency::new().unwrap();
        samples.chunks(960).for_each(|block| pitch.push(block));
        pitch.estimate()
    }

    #[test]
    fn a_tone_is_found_within_two_hertz() {
        for hz in [60.0, 100.0, 400.0, 440.0, 997.0, 1000.0, 2500.0, 3300.0] {
            let found = heard(&sine(hz, 3000.0, 0.4)).unwrap();
            assert!((found - hz).abs() <= 2.0, "{hz} Hz was found as {found}");
        }
    }

    #[test]
    fn a_beep_of_20_ms_is_found_within_silence() {
        let mut samples = vec![0; 9600];
        // A square wave, as browsers' fake microphones beep.
        for (n, s) in samples[4000..4960].iter_mut().enumerate() {
            *s = if (n / 60) % 2 == 0 { 12_000 } else { -12_000 };
        }
        let found = heard(&samples).unwrap();
        assert!((found - 400.0).abs() < 10.0, "{found}");
    }

    #[test]
    fn silence_has_no_pitch() {
        assert_eq!(heard(&[0; 19_200]), None);
        assert_eq!(heard(&[]), None);
        assert_eq!(heard(&sine(440.0, 20.0, 0.4)), None);
    }
}
