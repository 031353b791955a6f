//! The rate at which packets leave, over the last second.

/// Length of a bucket, microseconds, and how many make the window.
const BUCKET: i64 = 100_000;
const BUCKETS: i64 = 10;

/// Bytes sent by tenths of a second.
#[derive(Debug, Default)]
pub struct Sending {
    buckets: [u64; BUCKETS as usize],
    current: i64,
    first: Option<i64>,
}

impl Sending {
    /// A packet leaves.
    pub fn sent(&mut self, now: i64, bytes: u32) {
        let bucket = now.div_euclid(BUCKET);
        self.first.get_or_insert(bucket);
        for i in 0..(bucket - self.current).clamp(0, BUCKETS) {
            self.buckets[(bucket - i).rem_euclid(BUCKETS) as usize] = 0;
        }
        self.current = self.current.max(bucket);
        self.buckets[self.current.rem_euclid(BUCKETS) as usize] += u64::from(bytes);
    }

    /// Bits a second over the last full tenths; none: too early to say.
    pub fn rate(&self, now: i64) -> Option<f64> {
        let bucket = now.div_euclid(BUCKET);
        if bucket - self.first? < BUCKETS {
            return None;
        }
        let full =
            (1..BUCKETS).map(|i| bucket - i).filter(|&b| b <= self.current && b > self.current - BUCKETS);
        let bytes: u64 = full.map(|b| self.buckets[b.rem_euclid(BUCKETS) as usize]).sum();
        Some(bytes as f64 * 8e6 / ((BUCKETS - 1) * BUCKET) as f64)
    }

    /// Anything was sent yet.
    pub fn any(&self) -> bool {
        self.first.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_counts_and_a_pause_brings_it_to_nothing() {
        let mut sending = Sending::default();
        assert_eq!(sending.rate(5_000_000), None);
        for i in 0..300 {
            sending.sent(i * 10_000, 1250);
        }
        assert_eq!(sending.rate(3_000_000), Some(1e6));
        assert_eq!(sending.rate(3_500_000).map(|rate| rate < 0.6e6), Some(true));
        assert_eq!(sending.rate(9_000_000), Some(0.0));
        sending.sent(9_000_000, 1250);
        assert_eq!(sending.rate(9_100_000).map(f64::round), Some(11_111.0));
    }
}
