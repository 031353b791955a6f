//! Bridges gaps in a stream that carries no means for it (G.711) by repeating the last pitch period while fading.
//!
//! The idea is that of ITU-T G.711, appendix I, in a shorter form.

/// Samples at 8 kHz that are remembered: twice the longest period.
const HISTORY: usize = 240;
/// Shortest and longest period: 2.5 to 15 ms.
const MIN_LAG: usize = 20;
const MAX_LAG: usize = 120;
/// Full level for the first 10 ms, then down to silence by 60 ms, as in appendix I.
const HOLD: usize = 80;
const FADE: usize = 400;
/// Overlap into the first real samples after a gap: 4 ms.
const MERGE: usize = 32;

/// The last sound heard, at 8 kHz, and how far into a gap we are.
#[derive(Debug, Default)]
pub struct Repeater {
    history: Vec<i16>,
    period: Vec<i16>,
    missing: usize,
}

impl Repeater {
    /// Real samples came; the first of them are blended with the made-up ones if there was a gap.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.missing > 0 {
            let length = MERGE.min(samples.len());
            for (n, sample) in samples[..length].iter_mut().enumerate() {
                let made_up = i32::from(self.next());
                *sample =
                    ((made_up * (length - n) as i32 + i32::from(*sample) * n as i32) / length as i32) as i16;
            }
            self.missing = 0;
        }
        self.history.extend_from_slice(samples);
        let excess = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..excess);
    }

    /// The next made-up sample.
    pub fn next(&mut self) -> i16 {
        if self.missing == 0 {
            self.period = self.last_period();
        }
        let n = self.missing;
        // Past the fade all is silence; the count only has to stay beyond it.
        self.missing = (n + 1).min(HOLD + FADE + 1);
        if self.period.is_empty() {
            return 0;
        }
        let level = FADE - n.saturating_sub(HOLD).min(FADE);
        (i32::from(self.period[n % self.period.len()]) * level as i32 / FADE as i32) as i16
    }

    /// The last pitch period, its end bent so that it joins its own beginning.
    fn last_period(&self) -> Vec<i16> {
        let end = self.history.len();
        if end < HISTORY {
            return Vec::new();
        }
        let recent = &self.history[end - MAX_LAG..];
        let lag = (MIN_LAG..=MAX_LAG)
            .map(|lag| {
                let earlier = &self.history[end - MAX_LAG - lag..end - lag];
                let (mut cross, mut energy) = (0.0_f64, 1.0_f64);
                for (a, b) in recent.iter().zip(earlier) {
                    cross += f64::from(*a) * f64::from(*b);
                    energy += f64::from(*b).powi(2);
                }
                (lag, cross / energy.sqrt())
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(MAX_LAG, |(lag, _)| lag);
        let mut period = self.history[end - lag..].to_vec();
        let overlap = lag / 4;
        for n in 0..overlap {
            let before = i32::from(self.history[end - lag - overlap + n]);
            let at = lag - overlap + n;
            period[at] =
                ((i32::from(period[at]) * (overlap - n) as i32 + before * n as i32) / overlap as i32) as i16;
        }
        period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (8000.0 * (n as f64 * hz * std::f64::consts::TAU / 8000.0).sin()) as i16)
            .collect()
    }

    #[test]
    fn a_gap_in_a_tone_sounds_on_and_joins_without_a_click() {
        let mut whole = tone(200.0, 800);
        let mut repeater = Repeater::default();
        repeater.heard(&mut whole[..400]);
        for sample in &mut whole[400..480] {
            *sample = repeater.next();
        }
        repeater.heard(&mut whole[480..]);
        let steepest = |s: &[i16]| s.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max();
        assert!(steepest(&whole) <= steepest(&tone(200.0, 800)).map(|s| s * 3 / 2), "{:?}", steepest(&whole));
        let kept: f64 = whole[400..480].iter().map(|s| f64::from(*s).powi(2)).sum();
        let real: f64 = tone(200.0, 800)[400..480].iter().map(|s| f64::from(*s).powi(2)).sum();
        assert!((0.8..1.2).contains(&(kept / real)), "{}", kept / real);
    }

    #[test]
    fn a_long_gap_ends_in_silence() {
        let mut repeater = Repeater::default();
        repeater.heard(&mut tone(200.0, 400));
        let made_up: Vec<i16> = (0..2000).map(|_| repeater.next()).collect();
        assert!(made_up[480..].iter().all(|s| *s == 0));
        assert!(made_up[..80].iter().any(|s| s.abs() > 7000));
    }
}
