//! Makes buffered speech a little shorter or longer without changing its pitch, by overlapping one pitch period.

use super::level::rms_dbov;

/// Shortest period looked for: 400 Hz at 48 kHz; higher voices repeat within a multiple.
const MIN_LAG: usize = 120;
/// Longest period looked for: 15 ms, the pitch of a deep voice (67 Hz).
const MAX_LAG: usize = 720;
/// The coarse search takes the mean of this many samples as one.
const COARSE: usize = 6;
/// Below this nobody hears a cut.
const QUIET_DBOV: f64 = -50.0;
/// From this likeness on, two periods may be overlapped unheard.
const ALIKE: f64 = 0.6;

/// How much [`find_period`] may spoil the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Only where it is not heard: in silence and in voiced sound.
    Gentle,
    /// Anywhere: the delay is far off.
    Urgent,
}

/// Samples needed for the longest period.
pub const ENOUGH: usize = 2 * MAX_LAG;

/// Takes one period out of the front of `samples`; returns how many samples are gone, 0 if it would be heard.
pub fn shorten(samples: &mut Vec<i16>, haste: Haste) -> usize {
    let Some(lag) = find_period(samples, haste) else { return 0 };
    for n in 0..lag {
        samples[n] = blend(samples[n], samples[n + lag], n, lag);
    }
    samples.drain(lag..2 * lag);
    lag
}

/// Repeats one period at the front of `samples`; returns how many samples are new, 0 if it would be heard.
pub fn lengthen(samples: &mut Vec<i16>, haste: Haste) -> usize {
    let Some(lag) = find_period(samples, haste) else { return 0 };
    let bridge: Vec<i16> = (0..lag).map(|n| blend(samples[lag + n], samples[n], n, lag)).collect();
    samples.splice(lag..lag, bridge);
    lag
}

/// From `a` to `b` over `len` samples.
fn blend(a: i16, b: i16, n: usize, len: usize) -> i16 {
    let (n, len) = (n as i32 + 1, len as i32 + 1);
    ((i32::from(a) * (len - n) + i32::from(b) * n) / len) as i16
}

/// The distance at which the front of `samples` repeats itself, in samples: 2.5 to 15 ms.
pub fn find_period(samples: &[i16], haste: Haste) -> Option<usize> {
    let max_lag = MAX_LAG.min(samples.len() / 2);
    if max_lag < MIN_LAG {
        return None;
    }
    let window = &samples[..2 * max_lag];
    if rms_dbov(window) < QUIET_DBOV {
        return Some(max_lag);
    }
    let coarse: Vec<f32> =
        window.chunks_exact(COARSE).map(|c| c.iter().map(|&s| f32::from(s)).sum::<f32>()).collect();
    let about = best_lag(&coarse, MIN_LAG / COARSE, max_lag / COARSE)?.0 * COARSE;
    let fine: Vec<f32> = window.iter().map(|&s| f32::from(s)).collect();
    let (lag, likeness) =
        best_lag(&fine, about.saturating_sub(COARSE).max(MIN_LAG), (about + COARSE).min(max_lag))?;
    (likeness >= ALIKE || haste == Haste::Urgent).then_some(lag)
}

/// The lag with the highest normalised correlation, and that correlation (-1 to 1).
fn best_lag(samples: &[f32], from: usize, to: usize) -> Option<(usize, f64)> {
    let length = samples.len() / 2;
    let front = &samples[..length];
    (from..=to)
        .filter(|lag| lag + length <= samples.len())
        .map(|lag| {
            let back = &samples[lag..lag + length];
            let (mut cross, mut a2, mut b2) = (0.0_f32, 1.0_f32, 1.0_f32);
            for (a, b) in front.iter().zip(back) {
                cross += a * b;
                a2 += a * a;
                b2 += b * b;
            }
            (lag, f64::from(cross) / (f64::from(a2) * f64::from(b2)).sqrt())
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::tests::sine;

    /// The largest step between neighbours: a click shows as a step that the sine itself does not have.
    fn steepest(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_voice_like_tone_is_shortened_and_lengthened_without_a_click() {
        for hz in [90.0, 150.0, 220.0, 440.0, 1000.0] {
            let original = sine(hz, 8000.0, 0.04);
            let limit = steepest(&original) * 5 / 4 + 2;
            let mut shorter = original.clone();
            let gone = shorten(&mut shorter, Haste::Gentle);
            assert!(gone >= MIN_LAG && shorter.len() == original.len() - gone, "{hz} Hz: {gone}");
            assert!(steepest(&shorter) <= limit, "{hz} Hz: {} > {limit}", steepest(&shorter));
            let mut longer = original.clone();
            let new = lengthen(&mut longer, Haste::Gentle);
            assert!(new >= MIN_LAG && longer.len() == original.len() + new, "{hz} Hz: {new}");
            assert!(steepest(&longer) <= limit, "{hz} Hz: {} > {limit}", steepest(&longer));
        }
    }

    #[test]
    fn noise_is_left_alone_unless_it_is_urgent() {
        let mut seed = 1_u32;
        let noise: Vec<i16> = (0..2000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 18) as i16 - 8192
            })
            .collect();
        assert_eq!(shorten(&mut noise.clone(), Haste::Gentle), 0);
        assert!(shorten(&mut noise.clone(), Haste::Urgent) > 0);
    }

    #[test]
    fn silence_gives_the_most_and_too_little_sound_gives_nothing() {
        assert_eq!(shorten(&mut vec![0; 2000], Haste::Gentle), MAX_LAG);
        assert_eq!(lengthen(&mut vec![0; 960], Haste::Gentle), 480);
        assert_eq!(shorten(&mut vec![0; 100], Haste::Urgent), 0);
        assert_eq!(shorten(&mut vec![], Haste::Urgent), 0);
    }
}
