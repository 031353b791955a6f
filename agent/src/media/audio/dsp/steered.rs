//! Changes the sample rate by a ratio that may be trimmed at any time: this is how a sound card's clock is followed.

use super::kaiser::windowed_sinc;

/// Steps between two input samples at which the filter is tabulated. The nearest one is taken: at most 1/1920 of a
/// sample aside, which is noise 80 dB below a voice. A multiple of what the usual rates need (44.1 kHz: 160 steps,
/// 8 kHz: 6), so that those are met exactly.
const STEPS: usize = 960;
/// Taps where the rates differ, at the lower of both: as the fixed resampler, keeps 8 kHz sound up to 3.3 kHz.
const TAPS: usize = 48;
/// Taps where only the drift is taken out: nothing has to be cut off, so fewer do.
const TAPS_AT_UNITY: usize = 32;
/// Middle of the transition band as a part of the lower rate.
const CUTOFF: f64 = 0.455;

/// A streaming converter between two rates of which one is only nearly known.
#[derive(Debug)]
pub struct Steered {
    taps: usize,
    steps: usize,
    /// Input samples for one output sample if both clocks were exact.
    nominal: f64,
    /// `steps` filters, each in the order of the input.
    filters: Vec<f32>,
    /// From `taps / 2 - 1` samples before the input sample number `consumed`.
    input: Vec<f32>,
    consumed: u64,
    /// Where the next output sample lies, in input samples after `consumed`.
    position: f64,
}

impl Steered {
    /// Nominal rates in hertz, at least 1.
    ///
    /// Equal rates and no trim give the input sample by sample.
    pub fn new(from: u32, to: u32) -> Self {
        let nominal = f64::from(from.max(1)) / f64::from(to.max(1));
        let unity = from == to;
        // A filter for a falling rate is stretched, so that it cuts at the lower rate; its slower slopes need
        // fewer steps.
        let stretch = nominal.max(1.0);
        let taps = if unity { TAPS_AT_UNITY } else { ((TAPS as f64 * stretch / 2.0).ceil() * 2.0) as usize };
        let steps = (STEPS as f64 / stretch).ceil() as usize;
        let cutoff = if unity { 0.5 } else { CUTOFF / stretch };
        let mut resampler = Self {
            taps,
            steps,
            nominal,
            filters: design(steps, taps, cutoff),
            input: Vec::new(),
            consumed: 0,
            position: 0.0,
        };
        resampler.restart();
        resampler
    }

    /// Forgets all input; the next input sample has the number 0.
    pub fn restart(&mut self) {
        self.input.clear();
        self.input.resize(self.taps / 2 - 1, 0.0);
        self.consumed = 0;
        self.position = 0.0;
    }

    /// The place of the next output sample among the input samples, counted from the start.
    pub fn position(&self) -> f64 {
        self.consumed as f64 + self.position
    }

    /// Leaves out input: the next output sample lies `frames` later.
    pub fn skip(&mut self, frames: f64) {
        self.position += frames.max(0.0);
    }

    /// Converts `samples` and appends the result to `out`; the input is taken `1 + trim` times as fast as the nominal
    /// rates say. Half a filter of input stays behind for the next call.
    pub fn process(&mut self, samples: &[i16], trim: f64, out: &mut Vec<i16>) {
        self.input.extend(samples.iter().map(|&s| f32::from(s)));
        let step = self.nominal * (1.0 + trim);
        loop {
            let place = (self.position * self.steps as f64).round() as usize;
            let (first, phase) = (place / self.steps, place % self.steps);
            let Some(window) = self.input.get(first..first + self.taps) else { break };
            let filter = &self.filters[phase * self.taps..(phase + 1) * self.taps];
            let sum: f32 = window.iter().zip(filter).map(|(s, c)| s * c).sum();
            // `as` saturates, so an overshoot of the filter stays at full scale.
            out.push(sum.round() as i16);
            self.position += step;
        }
        let used = (self.position as usize).min(self.input.len());
        self.input.drain(..used);
        self.consumed += used as u64;
        self.position -= used as f64;
    }
}

/// One low-pass for each step between two input samples; `cutoff` in cycles per input sample.
fn design(steps: usize, taps: usize, cutoff: f64) -> Vec<f32> {
    let half = taps as f64 / 2.0;
    let mut table = Vec::with_capacity(steps * taps);
    for step in 0..steps {
        let centre = half - 1.0 + step as f64 / steps as f64;
        let row: Vec<f64> = (0..taps).map(|k| windowed_sinc(k as f64 - centre, cutoff, half)).collect();
        // Every filter passes the same constant, else a constant would come out as a hum.
        let sum: f64 = row.iter().sum();
        table.extend(row.iter().map(|c| (c / sum) as f32));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::rms_dbov;

    fn sine(hz: f64, rate: f64, count: usize) -> Vec<i16> {
        (0..count)
            .map(|n| (16_384.0 * (n as f64 * hz * std::f64::consts::TAU / rate).sin()).round() as i16)
            .collect()
    }

    /// What is left of `got` when the sine that it should be is taken away, in dB of full scale.
    fn error_dbov(got: &[i16], hz: f64) -> f64 {
        let ideal = sine(hz, 48_000.0, got.len());
        let rest: Vec<i16> = got.iter().zip(&ideal).map(|(a, b)| a.saturating_sub(*b)).collect();
        rms_dbov(&rest[2000..])
    }

    #[test]
    fn equal_rates_without_trim_change_nothing() {
        let (mut resampler, input, mut out) =
            (Steered::new(48_000, 48_000), sine(997.0, 48_000.0, 5000), vec![]);
        for block in input.chunks(333) {
            resampler.process(block, 0.0, &mut out);
        }
        assert_eq!(out, input[..out.len()]);
        assert!(out.len() + TAPS_AT_UNITY / 2 >= input.len());
    }

    #[test]
    fn the_rates_of_real_cards_keep_a_tone_what_it_is() {
        for rate in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000] {
            let (mut resampler, mut out) = (Steered::new(rate, 48_000), vec![]);
            for block in sine(1000.0, f64::from(rate), rate as usize).chunks(441) {
                resampler.process(block, 0.0, &mut out);
            }
            assert!((47_800..=48_000).contains(&out.len()), "{rate} Hz: {}", out.len());
            let error = error_dbov(&out, 1000.0);
            assert!(error < -60.0, "{rate} Hz: {error} dBov beside the tone");
        }
    }

    #[test]
    fn a_card_that_is_off_by_half_a_percent_is_brought_to_the_right_pitch() {
        for drift in [-0.005, -20e-6, 0.001, 0.005] {
            let (mut resampler, mut out) = (Steered::new(48_000, 48_000), vec![]);
            for block in sine(1000.0, 48_000.0 * (1.0 + drift), 48_000).chunks(480) {
                resampler.process(block, drift, &mut out);
            }
            let error = error_dbov(&out, 1000.0);
            assert!(error < -70.0, "{drift}: {error} dBov beside the tone");
        }
    }

    #[test]
    fn what_would_alias_is_cut_off() {
        let (mut resampler, mut out) = (Steered::new(96_000, 48_000), vec![]);
        resampler.process(&sine(30_000.0, 96_000.0, 96_000), 0.0, &mut out);
        assert!(rms_dbov(&out[2000..]) < -65.0, "{}", rms_dbov(&out[2000..]));
    }

    #[test]
    fn the_position_counts_input_and_a_skip_leaves_some_out() {
        let (mut resampler, mut out) = (Steered::new(16_000, 48_000), vec![]);
        resampler.process(&vec![0; 1600], 0.0, &mut out);
        assert!((resampler.position() - out.len() as f64 / 3.0).abs() < 1e-6);
        let before = resampler.position();
        resampler.skip(500.0);
        assert!((resampler.position() - before - 500.0).abs() < 1e-9);
        out.clear();
        resampler.process(&vec![0; 1600], 0.0, &mut out);
        assert!((3290..=3310).contains(&out.len()), "{}", out.len());
        resampler.restart();
        assert_eq!(resampler.position(), 0.0);
    }
}
