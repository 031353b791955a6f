//! Changes the sample rate by a windowed-sinc polyphase filter, block by block.

use anyhow::ensure;

use super::kaiser::windowed_sinc;

/// Taps per phase at the lower of both rates: with the window below, the band from 0.41 to 0.5 of that rate is
/// the transition, so 8 kHz sound keeps all of the telephone band (up to 3.3 kHz).
const TAPS: usize = 48;
/// Middle of the transition band as a part of the lower rate.
const CUTOFF: f64 = 0.455;
/// Bounds the table of coefficients (1 MB); every rate of a real card fits by far.
const MAX_COEFFICIENTS: usize = 256 * 1024;

/// A streaming converter between two rates.
#[derive(Debug)]
pub struct Resampler {
    up: usize,
    down: usize,
    taps: usize,
    /// Phase after phase, each already in the order of the input.
    coefficients: Vec<f32>,
    input: Vec<f32>,
    /// Place of the next output sample, in units of 1/up of an input sample.
    position: usize,
}

impl Resampler {
    /// Rates in hertz. Fails for a pair with no small common measure, as 48000 and 47999.
    pub fn new(from: u32, to: u32) -> anyhow::Result<Self> {
        ensure!(from > 0 && to > 0, "a sample rate of 0 Hz cannot be converted");
        let measure = gcd(from, to);
        let (up, down) = ((to / measure) as usize, (from / measure) as usize);
        // A filter for a falling rate is stretched, so that it cuts at the lower rate.
        let taps = if down > up { (TAPS * down).div_ceil(up) } else { TAPS };
        ensure!(
            up.saturating_mul(taps) <= MAX_COEFFICIENTS,
            "sample rates {from} Hz and {to} Hz have no small common measure: set the card to 48000 or 44100 Hz"
        );
        Ok(Self {
            up,
            down,
            taps,
            coefficients: design(up, taps, CUTOFF * f64::from(to.min(from)) / f64::from(from)),
            input: vec![0.0; taps - 1],
            position: 0,
        })
    }

    /// Converts `samples` and appends the result to `out`.
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.input.extend(samples.iter().map(|&s| f32::from(s)));
        while self.position / self.up + self.taps <= self.input.len() {
            let (first, phase) = (self.position / self.up, self.position % self.up);
            let window = &self.input[first..first + self.taps];
            let coefficients = &self.coefficients[phase * self.taps..(phase + 1) * self.taps];
            let sum: f32 = window.iter().zip(coefficients).map(|(s, c)| s * c).sum();
            // `as` saturates, so an overshoot of the filter stays at full scale.
            out.push(sum.round() as i16);
            self.position += self.down;
        }
        let used = (self.position / self.up).min(self.input.len());
        self.input.drain(..used);
        self.position -= used * self.up;
    }
}

/// The polyphase table of a low-pass; `cutoff` in cycles per input sample.
fn design(up: usize, taps: usize, cutoff: f64) -> Vec<f32> {
    let centre = (up * taps) as f64 / 2.0;
    // Half a step aside, so that the table is symmetric.
    let prototype =
        |n: usize| windowed_sinc((n as f64 + 0.5 - centre) / up as f64, cutoff, taps as f64 / 2.0);
    let mut table = Vec::with_capacity(up * taps);
    for phase in 0..up {
        let row: Vec<f64> = (0..taps).map(|k| prototype((taps - 1 - k) * up + phase)).collect();
        // Every phase passes the same constant, else a constant would come out as a hum.
        let sum: f64 = row.iter().sum();
        table.extend(row.iter().map(|c| (c / sum) as f32));
    }
    table
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::rms_dbov;

    fn sine(hz: f64, rate: u32) -> Vec<i16> {
        (0..rate)
            .map(|n| (16_384.0 * (f64::from(n) * hz * std::f64::consts::TAU / f64::from(rate)).sin()) as i16)
            .collect()
    }

    /// Level change in dB of a sine on its way from one rate to another.
    fn gain(hz: f64, from: u32, to: u32) -> f64 {
        let (input, mut out) = (sine(hz, from), vec![]);
        let mut resampler = Resampler::new(from, to).unwrap();
        for block in input.chunks(from as usize / 50) {
            resampler.process(block, &mut out);
        }
        rms_dbov(&out[out.len() / 4..out.len() * 3 / 4]) - rms_dbov(&input)
    }

    #[test]
    fn the_telephone_band_passes_and_what_would_alias_does_not() {
        for hz in [100.0, 440.0, 1000.0, 2000.0, 3200.0] {
            let db = gain(hz, 48_000, 8_000);
            assert!(db.abs() < 0.5, "{hz} Hz: {db} dB");
        }
        for hz in [4400.0, 5000.0, 7600.0, 12_000.0, 20_000.0] {
            let db = gain(hz, 48_000, 8_000);
            assert!(db < -60.0, "{hz} Hz: {db} dB");
        }
    }

    #[test]
    fn going_up_adds_no_image() {
        assert!(gain(1000.0, 8_000, 48_000).abs() < 0.2);
        // Whatever remains after the tone itself is taken away again is image and noise.
        let mut up = vec![];
        Resampler::new(8_000, 48_000).unwrap().process(&sine(1000.0, 8_000), &mut up);
        let rest: Vec<i16> = up[4800..].iter().zip(&up[4800 - 48..]).map(|(a, b)| a - b).collect();
        assert!(rms_dbov(&rest[..40_000]) < -70.0, "{}", rms_dbov(&rest[..40_000]));
    }

    #[test]
    fn rates_of_real_cards_come_out_in_the_right_number() {
        for rate in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000] {
            let (mut resampler, mut out) = (Resampler::new(rate, 48_000).unwrap(), vec![]);
            for block in sine(440.0, rate).chunks(441) {
                resampler.process(block, &mut out);
            }
            assert!((47_990..=48_010).contains(&out.len()), "{rate} Hz: {}", out.len());
            let db = gain(440.0, rate, 48_000);
            assert!(db.abs() < 0.1, "{rate} Hz: {db} dB");
        }
    }

    #[test]
    fn a_block_of_20_ms_stays_a_block() {
        let mut down = Resampler::new(48_000, 8_000).unwrap();
        let mut up = Resampler::new(8_000, 48_000).unwrap();
        for _ in 0..10 {
            let (mut narrow, mut wide) = (vec![], vec![]);
            down.process(&[100; 960], &mut narrow);
            up.process(&narrow, &mut wide);
            assert_eq!((narrow.len(), wide.len()), (160, 960));
        }
    }

    #[test]
    fn a_rate_without_a_common_measure_is_refused_in_words() {
        let error = Resampler::new(47_999, 48_000).unwrap_err().to_string();
        assert!(error.contains("47999"), "{error}");
    }
}
