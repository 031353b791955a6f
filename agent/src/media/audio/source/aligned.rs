//! Captured sound brought to 48 kHz of the monotonic clock, in blocks that say when they were captured.

use std::time::Instant;

use super::steering::{Plan, Steering};
use crate::media::audio::{BLOCK, PcmBlock, SAMPLE_RATE, clock::CardClock, dsp::steered::Steered};

/// A plan is made anew this often before sound is converted; more would only be a plan that contradicts itself.
const MAX_PLANS: usize = 3;

/// Takes a card's frames and its stamps, gives blocks.
#[derive(Debug)]
pub struct Aligned {
    clock: CardClock,
    resampler: Steered,
    steering: Steering,
    ready: Vec<i16>,
}

impl Aligned {
    /// `rate` of the card in hertz.
    pub fn new(rate: u32) -> Self {
        Self {
            clock: CardClock::new(rate),
            resampler: Steered::new(rate, SAMPLE_RATE),
            steering: Steering::default(),
            ready: Vec::with_capacity(2 * BLOCK),
        }
    }

    /// The card captures frame number `frame` at `at`, counted from its start.
    pub fn observe(&mut self, frame: u64, at: Instant) {
        self.clock.observe(frame, at);
    }

    /// The next samples of the card, one channel.
    pub fn push(&mut self, samples: &[i16]) {
        let mut trim = 0.0;
        for _ in 0..MAX_PLANS {
            match self.steering.plan(&self.clock, self.resampler.position(), self.ready.len()) {
                Plan::Convert(by) => {
                    trim = by;
                    break;
                }
                Plan::Begin => self.ready.clear(),
                Plan::Skip(frames) => self.resampler.skip(frames),
            }
        }
        self.resampler.process(samples, trim, &mut self.ready);
    }

    /// The next 20 ms, once they are complete. The first after a gap waits until it is sure when they were.
    pub fn block(&mut self) -> Option<PcmBlock> {
        if self.ready.len() < BLOCK || !self.clock.is_confirmed() {
            return None;
        }
        let captured = self.steering.take(BLOCK)?;
        Some(PcmBlock { samples: self.ready.drain(..BLOCK).collect(), captured })
    }

    /// The card lost sound and counts its frames from 0 again.
    pub fn gap(&mut self) {
        self.clock.restart();
        self.resampler.restart();
        self.steering.gap();
        self.ready.clear();
    }

    /// How much faster than the monotonic clock the card runs, in parts per million; None until that is known.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.clock.drift_ppm()
    }

    /// By how many seconds the sound differs from the times written on it, as far as the card's clock tells.
    pub fn error(&self) -> f64 {
        self.steering.error()
    }
}

#[cfg(test)]
#[path = "aligned_tests.rs"]
mod tests;
