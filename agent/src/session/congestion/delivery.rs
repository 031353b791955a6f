//! The rate that really comes out of the path.

use std::collections::VecDeque;

/// Points kept; with [`MERGE`] more than half a second.
const POINTS: usize = 160;
/// Arrivals closer than this are one point, microseconds.
const MERGE: i64 = 4_000;

/// A packet that waited less than this found the link free, microseconds: more than most jitter.
const WAITED: i64 = 12_000;
/// The rate of a full link is read over this at least, microseconds ...
const LEAST_FULL: i64 = 35_000;
/// ... and over this at most.
const MOST_FULL: i64 = 500_000;

/// A look over this that shows less than [`CHANGED`] of the long one shows that the link has changed.
const SHORT_FULL: i64 = 150_000;
const CHANGED: f64 = 0.75;

/// Bytes that passed the path over the viewer's time.
pub struct Delivery {
    points: VecDeque<Point>,
    lost: u64,
    /// Since when (arrival) all packets have waited: the link is full.
    full_since: Option<i64>,
}

#[derive(Clone, Copy)]
struct Point {
    began: i64,
    arrival: i64,
    passed: u64,
}

impl Delivery {
    /// Nothing came yet.
    pub fn new() -> Self {
        Self { points: VecDeque::with_capacity(POINTS), lost: 0, full_since: None }
    }

    /// A packet came after it waited so long. `end`: all bytes sent up to its end. What no report told of counts as passed, so that a lost
    /// report does not look like a slow path.
    pub fn arrived(&mut self, arrival: i64, end: u64, waited: i64) {
        self.full_since = (waited >= WAITED).then(|| self.full_since.unwrap_or(arrival));
        let passed = end.saturating_sub(self.lost);
        match self.points.back_mut() {
            // A reordered packet adds nothing: the one behind it counted its bytes.
            Some(last) if arrival < last.arrival || passed < last.passed => return,
            Some(last) if arrival - last.began < MERGE => {
                (last.arrival, last.passed) = (arrival, passed);
                return;
            }
            _ => {}
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(Point { began: arrival, arrival, passed });
    }

    /// A packet did not come.
    pub fn lost(&mut self, bytes: u32) {
        self.lost += u64::from(bytes);
    }

    /// Bits a second over the last `window` microseconds of arrivals; none: less than half of it is known.
    pub fn rate(&self, window: i64) -> Option<f64> {
        let last = self.points.back()?;
        let from = last.arrival - window;
        let first = self.points.iter().find(|point| point.arrival >= from)?;
        let time = last.arrival - first.arrival;
        if time * 2 < window {
            return None;
        }
        Some(last.passed.saturating_sub(first.passed) as f64 * 8e6 / time as f64)
    }

    /// The rate over the time that the link has been full; none: it is not, or not for long enough to tell.
    pub fn full(&self) -> Option<f64> {
        let time = self.points.back()?.arrival - self.full_since?;
        if time < LEAST_FULL {
            return None;
        }
        let long = self.rate(time.min(MOST_FULL));
        // Arrivals from a full link are even, so that a short look shows a change well before the long one.
        let short = self.rate(time.min(SHORT_FULL));
        if short? < long? * CHANGED { short } else { long }
    }

    /// Forgets: the viewer's clock jumped.
    pub fn clear(&mut self) {
        self.points.clear();
        self.full_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut delivery = Delivery::new();
        assert_eq!(delivery.rate(100_000), None);
        for i in 0..200u32 {
            delivery.arrived(i64::from(i) * 10_000, u64::from(i + 1) * 1250, 0);
        }
        assert_eq!(delivery.rate(500_000).map(f64::round), Some(1e6));
        assert!(delivery.points.len() <= POINTS);
    }

    #[test]
    fn a_link_is_full_from_the_first_packet_that_waited_to_the_first_that_did_not() {
        let mut delivery = Delivery::new();
        let mut end = 0;
        for i in 0..50i64 {
            // Each 20 ms a packet from the tenth on, each 10 ms before.
            let at = if i < 10 { i * 10_000 } else { i * 20_000 - 100_000 };
            end += 1250;
            delivery.arrived(at, end, if i < 10 { 0 } else { 30_000 });
            assert_eq!(delivery.full().is_some(), i >= 12, "{i}");
        }
        assert_eq!(delivery.full().map(f64::round), Some(0.5e6));
        delivery.arrived(1_000_000, end + 1250, 0);
        assert_eq!(delivery.full(), None);
    }

    #[test]
    fn lost_packets_do_not_count_and_lost_reports_do_not_matter() {
        let mut delivery = Delivery::new();
        for i in 0..200u32 {
            let end = u64::from(i + 1) * 1250;
            match i % 10 {
                4 => delivery.lost(1250),
                // Its report was lost.
                5..=8 => {}
                _ => delivery.arrived(i64::from(i) * 10_000, end, 0),
            }
        }
        let rate = delivery.rate(500_000).expect("a rate");
        assert!((rate - 0.9e6).abs() < 0.05e6, "{rate}");
    }
}
