//! A soft limiter: what several talkers sum up to fits into 16 bits without wrap-around or hard edges.

/// Peaks above this part of full scale turn the gain down.
const THRESHOLD: f32 = 0.9;
/// The gain falls within this many samples (1 ms at 48 kHz): short for the ear, without a step.
const ATTACK: usize = 48;
/// Part of the missing gain that comes back per block of 20 ms: about 0.4 s to full.
const RELEASE: f32 = 0.05;

/// Keeps a sum of signals within full scale.
#[derive(Debug)]
pub struct Limiter {
    gain: f32,
}

impl Limiter {
    /// Full gain.
    pub fn new() -> Self {
        Self { gain: 1.0 }
    }

    /// Limits `sum` (1.0 is full scale) into `out`; both have the same length.
    pub fn process(&mut self, sum: &[f32], out: &mut [i16]) {
        debug_assert_eq!(sum.len(), out.len());
        let peak = sum.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
        let wanted = if peak > THRESHOLD { THRESHOLD / peak } else { 1.0 };
        let (from, to, ramp) = if wanted < self.gain {
            (self.gain, wanted, ATTACK.min(sum.len()))
        } else {
            (self.gain, self.gain + (wanted - self.gain) * RELEASE, sum.len())
        };
        for (n, (s, o)) in sum.iter().zip(out).enumerate() {
            let gain = if n < ramp { from + (to - from) * (n + 1) as f32 / ramp as f32 } else { to };
            *o = (knee(s * gain) * f32::from(i16::MAX)).round() as i16;
        }
        self.gain = to;
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

/// Straight up to the threshold, then bent so that full scale is never passed.
fn knee(x: f32) -> f32 {
    let room = 1.0 - THRESHOLD;
    if x.abs() <= THRESHOLD {
        x
    } else {
        x.signum() * (THRESHOLD + room * ((x.abs() - THRESHOLD) / room).tanh())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_talker_passes_untouched() {
        let mut limiter = Limiter::new();
        let sum: Vec<f32> = (0..960).map(|n| (n as f32 * 0.05).sin() * 0.8).collect();
        let mut out = vec![0; 960];
        limiter.process(&sum, &mut out);
        assert!(sum.iter().zip(&out).all(|(s, o)| (s * 32767.0 - f32::from(*o)).abs() <= 0.51));
    }

    #[test]
    fn eight_loud_talkers_keep_their_sign_and_their_shape() {
        let mut limiter = Limiter::new();
        let sum: Vec<f32> = (0..960).map(|n| (n as f32 * 0.05).sin() * 8.0).collect();
        let mut out = vec![0; 960];
        for _ in 0..3 {
            limiter.process(&sum, &mut out);
            assert!(sum.iter().zip(&out).all(|(s, o)| s.abs() < 0.1 || (*s > 0.0) == (*o > 0)));
        }
        let peak = out.iter().map(|o| o.unsigned_abs()).max();
        assert!(peak.is_some_and(|p| (28_000..=32_767).contains(&p)), "{peak:?}");
        assert!(out.windows(2).all(|w| (i32::from(w[0]) - i32::from(w[1])).abs() < 2500), "a step");
    }

    #[test]
    fn the_gain_comes_back_after_a_loud_moment() {
        let mut limiter = Limiter::new();
        let mut out = vec![0; 960];
        limiter.process(&[4.0; 960], &mut out);
        for _ in 0..100 {
            limiter.process(&[0.5; 960], &mut out);
        }
        assert!(out[959] > 16_000, "{}", out[959]);
    }
}
