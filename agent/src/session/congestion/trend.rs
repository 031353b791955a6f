//! Whether the queue at the bottleneck grows beyond what our own bursts explain.

use std::collections::VecDeque;

/// Packets sent within this time are one slice, of which the least delay counts: jitter and the serialisation of a
/// train only add to it. Microseconds; about a picture at 30 a second.
const SLICE: i64 = 25_000;
/// A slice ends only at a pause in sending of at least this: it shall begin with a picture, not in its middle.
const PAUSE: i64 = 4_000;
/// ... or when it is this old, as while a key frame leaves.
const LONGEST_SLICE: i64 = 60_000;
/// The line is fitted through this many slices, a third of a second of pictures.
const FITTED: usize = 10;
const LEAST_FITTED: usize = 5;
/// Growth over the fitted slices that counts as overuse, milliseconds (the threshold draft-ietf-rmcat-gcc-02 begins
/// with), if the scatter of the slices does not ask for more.
const GROWTH: f64 = 12.5;
/// The growth must be this many times its own standard error: jitter makes no trend.
const SIGNIFICANT: f64 = 3.0;
/// A queue this long in two slices, and not shrinking, is overuse whatever the line says, milliseconds.
const HIGH: f64 = 30.0;
/// Below this the queue is no reason not to go faster, milliseconds.
const FLAT: f64 = 12.0;

/// What the delays say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// More is sent than passes.
    pub over: bool,
    /// Nothing waits.
    pub flat: bool,
    /// Unexplained queue of the last slice, milliseconds.
    pub level: f64,
}

/// The unexplained queue over the time of sending.
#[derive(Debug)]
pub struct Trend {
    slices: VecDeque<(f64, f64)>,
    open: Option<Slice>,
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    began: i64,
    last: i64,
    least: i64,
}

impl Trend {
    /// Knows nothing.
    pub fn new() -> Self {
        Self { slices: VecDeque::with_capacity(FITTED), open: None }
    }

    /// A packet came: when it left, and how much of its queue is unexplained; microseconds.
    pub fn arrived(&mut self, sent: i64, excess: i64) {
        match &mut self.open {
            Some(open) if !open.ends_before(sent) => {
                open.last = open.last.max(sent);
                open.least = open.least.min(excess);
            }
            _ => {
                if let Some(done) = self.open.replace(Slice { began: sent, last: sent, least: excess }) {
                    if self.slices.len() == FITTED {
                        self.slices.pop_front();
                    }
                    self.slices.push_back(done.point());
                }
            }
        }
    }

    /// What is known now.
    pub fn usage(&self) -> Usage {
        let Some(open) = self.open else { return Usage { flat: true, ..Usage::default() } };
        let (_, level) = open.point();
        let before = self.slices.back().map_or(0.0, |&(_, level)| level);
        let high = level > HIGH && before > HIGH && level >= before;
        Usage { over: high || self.grows(level), flat: level < FLAT, level }
    }

    /// Begins anew: what was seen was acted upon.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.open = None;
    }

    /// A line through the slices rises, and not by chance.
    fn grows(&self, level: f64) -> bool {
        let points = || self.slices.iter().copied().chain(self.open.map(|open| open.point()));
        let n = (self.slices.len() + 1) as f64;
        if self.slices.len() + 1 < LEAST_FITTED || level < FLAT * 0.7 {
            return false;
        }
        let (mean_t, mean_q) = points().fold((0.0, 0.0), |(a, b), (t, q)| (a + t / n, b + q / n));
        let (mut tt, mut tq, mut qq) = (0.0, 0.0, 0.0);
        for (t, q) in points() {
            let (t, q) = (t - mean_t, q - mean_q);
            (tt, tq, qq) = (tt + t * t, tq + t * q, qq + q * q);
        }
        if tt <= 0.0 {
            return false;
        }
        let slope = tq / tt;
        let scatter = ((qq - slope * tq).max(0.0) / (n - 2.0) / tt).sqrt();
        let span = points().last().map_or(0.0, |(t, _)| t) - points().next().map_or(0.0, |(t, _)| t);
        slope * span > GROWTH && slope > SIGNIFICANT * scatter
    }
}

impl Slice {
    fn ends_before(&self, sent: i64) -> bool {
        let age = sent - self.began;
        age >= LONGEST_SLICE || (age >= SLICE && sent - self.last >= PAUSE)
    }

    /// Milliseconds of sending, milliseconds of queue.
    fn point(&self) -> (f64, f64) {
        (self.began as f64 / 1e3, self.least as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of three packets each 33 ms, its first with the queue that `queue` says (ms), the next ones more.
    fn pictures(count: i64, queue: impl Fn(i64) -> f64) -> Vec<Usage> {
        let mut trend = Trend::new();
        (0..count)
            .map(|i| {
                for packet in 0..3 {
                    let excess = (queue(i) * 1e3) as i64 + packet * 4_000;
                    trend.arrived(i * 33_000, excess);
                }
                trend.usage()
            })
            .collect()
    }

    #[test]
    fn the_spread_of_a_train_is_no_queue() {
        assert!(pictures(60, |_| 0.0).iter().all(|usage| usage.flat && !usage.over));
    }

    #[test]
    fn a_queue_that_grows_is_seen_within_five_pictures() {
        // From 3 to 0.5 Mbit/s: each picture takes five times its time.
        let seen = pictures(60, |i| (i - 30).max(0) as f64 * 27.0);
        assert!(seen[..31].iter().all(|usage| !usage.over));
        assert!(seen[34].over);
    }

    #[test]
    fn a_slow_growth_is_seen_before_it_hurts() {
        // Ten per cent too much.
        let seen = pictures(90, |i| (i - 30).max(0) as f64 * 3.3);
        let first = seen.iter().position(|usage| usage.over).expect("overuse");
        assert!((32..45).contains(&first), "{first}");
    }

    #[test]
    fn jitter_alone_is_no_overuse() {
        let seen = pictures(900, |i| (i * 7919 % 1009) as f64 / 1009.0 * 10.0);
        let over = seen.iter().filter(|usage| usage.over).count();
        assert!(over <= 4, "{over} of 900");
    }

    #[test]
    fn a_queue_that_shrinks_is_no_overuse() {
        let seen = pictures(60, |i| (200.0 - i as f64 * 5.0).max(0.0));
        assert!(seen[2..].iter().all(|usage| !usage.over));
    }
}
