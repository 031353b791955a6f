//! How long packets wait at the bottleneck, and how much of that our own bursts explain.

/// The least delay is looked for in this many buckets ...
const BUCKETS: usize = 10;
/// ... of this length, microseconds: ten seconds follow a changed route and the drift of two clocks (50 ppm: 0.5 ms).
const BUCKET: i64 = 1_000_000;
/// Our bursts explain no more than this, microseconds: a key frame; a longer queue is too long whatever made it.
const MAX_EXPLAINED: f64 = 150_000.0;
/// The explaining bucket drains this much faster than the target, or an encoder that always sends a little more than
/// asked would explain any queue.
const DRAIN: f64 = 1.05;

/// The queue that our sending would make at a bottleneck as wide as the target: a picture leaves in bursts, a key
/// frame in a large one, and neither shows that the path has become narrower.
#[derive(Debug, Default)]
pub struct Explained {
    bits: f64,
    at: i64,
}

impl Explained {
    /// A packet leaves: the delay it may have, itself included, microseconds.
    pub fn sent(&mut self, now: i64, bytes: u32, target: f64) -> u32 {
        let rate = target * DRAIN / 1e6;
        let drained = (now - self.at).max(0) as f64 * rate;
        self.at = self.at.max(now);
        self.bits = ((self.bits - drained).max(0.0) + f64::from(bytes) * 8.0).min(MAX_EXPLAINED * rate);
        (self.bits / rate) as u32
    }

    /// From here on nothing is explained by what went before.
    pub fn clear(&mut self) {
        self.bits = 0.0;
    }
}

/// The least one-way delay of late, in the difference of two clocks: what remains above it is queue.
#[derive(Debug)]
pub struct Base {
    buckets: [i64; BUCKETS],
    current: i64,
    /// Added by hand when the delay rose and no slowing down helped.
    pub floor: i64,
}

impl Base {
    /// Knows nothing.
    pub fn new() -> Self {
        Self { buckets: [i64::MAX; BUCKETS], current: 0, floor: i64::MIN }
    }

    /// The delay of a packet (arrival minus departure): gives the part that is queue, microseconds.
    pub fn queue(&mut self, now: i64, delay: i64) -> i64 {
        let bucket = now.div_euclid(BUCKET);
        let behind = bucket - self.current;
        if behind > 0 {
            for i in 0..behind.min(BUCKETS as i64) {
                self.buckets[(bucket - i).rem_euclid(BUCKETS as i64) as usize] = i64::MAX;
            }
            self.current = bucket;
        }
        let here = &mut self.buckets[self.current.rem_euclid(BUCKETS as i64) as usize];
        *here = (*here).min(delay);
        if delay < self.floor {
            self.floor = i64::MIN;
        }
        let least = self.buckets.iter().copied().min().unwrap_or(delay).max(self.floor);
        delay.saturating_sub(least).max(0)
    }

    /// Takes the present queue for the path's own delay: a route that became longer, or others' traffic that stays.
    pub fn accept(&mut self, queue: i64) {
        let least = self.buckets.iter().copied().min().unwrap_or(i64::MAX);
        if least < i64::MAX {
            self.floor = least.max(self.floor).saturating_add(queue);
        }
    }

    /// Forgets: the viewer's clock jumped.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_explains_its_own_queue_and_the_target_drains_it() {
        let mut explained = Explained::default();
        let mut last = 0;
        for _ in 0..5 {
            last = explained.sent(0, 1250, 1e6);
        }
        assert!((46_000..50_000).contains(&last), "{last}");
        let later = explained.sent(100_000, 1250, 1e6);
        assert!((9_000..10_000).contains(&later), "{later}");
        for _ in 0..1000 {
            last = explained.sent(100_000, 1250, 1e6);
        }
        assert_eq!(last, 150_000);
    }

    #[test]
    fn the_least_delay_of_ten_seconds_is_the_base() {
        let mut base = Base::new();
        assert_eq!(base.queue(0, -500_000), 0);
        assert_eq!(base.queue(1_000, -480_000), 20_000);
        // A longer route: after ten seconds it is the base.
        assert_eq!(base.queue(5_000_000, -400_000), 100_000);
        assert_eq!(base.queue(12_000_000, -400_000), 0);
        assert_eq!(base.queue(9_000_000_000, i64::MAX / 2), 0);
    }

    #[test]
    fn an_accepted_queue_holds_until_a_shorter_delay_is_seen() {
        let mut base = Base::new();
        base.queue(0, 0);
        base.accept(80_000);
        assert_eq!(base.queue(1_000, 90_000), 10_000);
        assert_eq!(base.queue(2_000, 10_000), 10_000);
        assert_eq!(base.queue(3_000, 90_000), 90_000);
    }
}
