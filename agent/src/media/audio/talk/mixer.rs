//! Sums up what all talkers say.

use crate::media::audio::{BLOCK, dsp::limiter::Limiter};

/// One block of the mix at a time.
pub struct Mixer {
    limiter: Limiter,
    sum: Vec<f32>,
    mix: Vec<i16>,
}

impl Mixer {
    /// Silence so far.
    pub fn new() -> Self {
        Self { limiter: Limiter::new(), sum: vec![0.0; BLOCK], mix: vec![0; BLOCK] }
    }

    /// Begins a new block.
    pub fn clear(&mut self) {
        self.sum.fill(0.0);
    }

    /// Adds one talker's block.
    pub fn add(&mut self, samples: &[i16]) {
        for (sum, &sample) in self.sum.iter_mut().zip(samples) {
            *sum += f32::from(sample) / f32::from(i16::MAX);
        }
    }

    /// The block, within full scale.
    pub fn finish(&mut self) -> &[i16] {
        self.limiter.process(&self.sum, &mut self.mix);
        &self.mix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::audio::dsp::level::tests::sine;

    #[test]
    fn two_talkers_are_both_in_the_mix_and_loud_ones_do_not_wrap_around() {
        let mut mixer = Mixer::new();
        let (one, other) = (sine(400.0, 8000.0, 0.02), sine(900.0, 8000.0, 0.02));
        mixer.add(&one);
        mixer.add(&other);
        let mix = mixer.finish();
        assert!(mix.iter().zip(one.iter().zip(&other)).all(|(m, (a, b))| (m - a - b).abs() <= 1));
        mixer.clear();
        for _ in 0..8 {
            mixer.add(&sine(400.0, 32_000.0, 0.02));
        }
        let loud = mixer.finish();
        assert!(loud.iter().zip(&one).all(|(m, a)| i32::from(*m) * i32::from(*a) >= 0));
    }
}
