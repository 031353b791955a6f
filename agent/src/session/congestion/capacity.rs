//! What the bottleneck carried when it was last full: an average and its spread.

/// Weight of a new sample.
const WEIGHT: f64 = 0.1;
/// Least and greatest normalised variance, kbit/s: never sure to the bit, never without any idea.
const SPREAD: (f64, f64) = (0.4, 2.5);

/// The rate of the link as the queue showed it, bits a second.
#[derive(Debug, Default)]
pub struct Capacity {
    /// (average, normalised variance), kbit/s.
    known: Option<(f64, f64)>,
}

impl Capacity {
    /// The link was full, and this came through.
    pub fn sample(&mut self, bits: f64) {
        let sample = (bits / 1e3).max(1.0);
        let (average, variance) = match self.known {
            Some(_) if !self.near(bits) => (sample, SPREAD.0),
            Some((average, variance)) => {
                let new = average + WEIGHT * (sample - average);
                let error = new - sample;
                (new, variance + WEIGHT * (error * error / new.max(1.0) - variance))
            }
            None => (sample, SPREAD.0),
        };
        self.known = Some((average, variance.clamp(SPREAD.0, SPREAD.1)));
    }

    /// The rate is within three standard deviations of the capacity.
    pub fn near(&self, bits: f64) -> bool {
        self.deviation().is_some_and(|(average, deviation)| (bits - average).abs() <= 3.0 * deviation)
    }

    /// The rate is more than the link ever carried when it was full: it has changed.
    pub fn exceeded_by(&self, bits: f64) -> bool {
        self.deviation().is_some_and(|(average, deviation)| bits > average + 3.0 * deviation)
    }

    /// The average, bits a second.
    pub fn average(&self) -> Option<f64> {
        self.known.map(|(average, _)| average * 1e3)
    }

    /// The link has changed.
    pub fn forget(&mut self) {
        self.known = None;
    }

    fn deviation(&self) -> Option<(f64, f64)> {
        self.known.map(|(average, variance)| (average * 1e3, (average * variance).sqrt() * 1e3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_agree_narrow_and_one_far_away_begins_anew() {
        let mut capacity = Capacity::default();
        assert!(!capacity.near(3e6) && !capacity.exceeded_by(3e6));
        for bits in [3.0e6, 2.95e6, 3.05e6, 3.0e6] {
            capacity.sample(bits);
        }
        assert!(capacity.near(3.05e6) && !capacity.near(3.5e6) && capacity.exceeded_by(3.5e6));
        capacity.sample(0.5e6);
        assert_eq!(capacity.average(), Some(0.5e6));
        capacity.forget();
        assert_eq!(capacity.average(), None);
    }
}
