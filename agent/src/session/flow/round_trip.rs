//! The path's round trip without what reports wait on this machine before they are read.

use std::time::Duration;

/// Receiver reports come about once a second: a path that has become longer is known after so many of them.
const SAMPLES: usize = 4;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    samples: [Option<Duration>; SAMPLES],
    next: usize,
}

impl RoundTrip {
    /// A report said `sample`; the least of the last ones, as collected reports are read up to 55 ms late.
    pub fn measured(&mut self, sample: Duration) -> Duration {
        self.samples[self.next] = Some(sample);
        self.next = (self.next + 1) % SAMPLES;
        self.samples.iter().flatten().copied().min().unwrap_or(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_readings_do_not_count_and_a_longer_path_does_soon() {
        let mut path = RoundTrip::default();
        let ms = Duration::from_millis;
        assert_eq!([60, 45, 95, 50].map(|sample| path.measured(ms(sample))), [60, 45, 45, 45].map(ms));
        assert_eq!([200, 240, 210, 205].map(|sample| path.measured(ms(sample))), [45, 50, 50, 200].map(ms));
    }
}
