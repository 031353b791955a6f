//! Loss: what of it the path has anyway, and what we make ourselves.

use std::collections::VecDeque;

/// A window ends when it is this old (microseconds) and holds this many packets ...
const WINDOW: i64 = 1_000_000;
const ENOUGH: u32 = 100;
/// ... or, with fewer packets, when it is this old.
const LONGEST: i64 = 4_000_000;
/// The loss that the path has anyway is the least of this many windows.
const REMEMBERED: usize = 10;
/// Loss above that of the path by this much is our doing, even with a flat delay: a policer or a very short queue.
/// Four standard deviations of 5 % loss in a window of 100 packets are 9 %.
const MARGIN: f64 = 0.08;
/// Weight of a packet in the quick average: some thirty packets, two or three pictures.
const QUICK: f64 = 1.0 / 32.0;
/// Quick loss above that of the path by this much, with a full link, is a queue that runs over.
const OVERFLOW: f64 = 0.12;
/// No path is taken to lose more than this by itself.
const MOST_INHERENT: f64 = 0.15;

/// Counts packets that came and did not.
#[derive(Debug)]
pub struct Loss {
    arrived: u32,
    lost: u32,
    began: Option<i64>,
    windows: VecDeque<f64>,
    smoothed: f64,
    quick: f64,
}

impl Loss {
    /// Nothing was lost yet.
    pub fn new() -> Self {
        Self {
            arrived: 0,
            lost: 0,
            began: None,
            windows: VecDeque::with_capacity(REMEMBERED),
            smoothed: 0.0,
            quick: 0.0,
        }
    }

    /// A packet came.
    pub fn arrived(&mut self) {
        self.arrived = self.arrived.saturating_add(1);
        self.quick -= QUICK * self.quick;
    }

    /// A packet did not come.
    pub fn lost(&mut self) {
        self.lost = self.lost.saturating_add(1);
        self.quick += QUICK * (1.0 - self.quick);
    }

    /// A packet that was called lost came after all.
    pub fn late(&mut self) {
        self.arrived = self.arrived.saturating_add(1);
        self.lost = self.lost.saturating_sub(1);
    }

    /// At the end of a report. Some: so much is lost, more than the path loses anyway.
    pub fn judge(&mut self, now: i64) -> Option<f64> {
        let count = self.arrived + self.lost;
        let age = now - *self.began.get_or_insert(now);
        if count == 0 || age < WINDOW || (count < ENOUGH && age < LONGEST) {
            return None;
        }
        let loss = f64::from(self.lost) / f64::from(count);
        (self.arrived, self.lost, self.began) = (0, 0, Some(now));
        self.smoothed += 0.5 * (loss - self.smoothed);
        let inherent = self.inherent().min(loss);
        if self.windows.len() == REMEMBERED {
            self.windows.pop_front();
        }
        self.windows.push_back(loss);
        (loss > inherent + MARGIN).then_some(loss)
    }

    /// So much is lost right now that, if the link is full, its queue runs over.
    pub fn overflows(&self) -> bool {
        let inherent = if self.windows.is_empty() { 0.0 } else { self.inherent() };
        self.quick > inherent + OVERFLOW
    }

    /// The link was full and is being relieved: what was lost meanwhile was dealt with.
    pub fn excuse(&mut self, now: i64) {
        (self.arrived, self.lost, self.began, self.quick) = (0, 0, Some(now), 0.0);
    }

    fn inherent(&self) -> f64 {
        self.windows.iter().copied().fold(MOST_INHERENT, f64::min)
    }

    /// The share of packets lost of late, 0 to 1.
    pub fn fraction(&self) -> f64 {
        self.smoothed
    }

    /// Told by a receiver report instead.
    pub fn told(&mut self, fraction: f64) {
        self.smoothed += 0.5 * (fraction - self.smoothed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(loss: &mut Loss, at: i64, lost: u32) -> Option<f64> {
        for i in 0..300 {
            if i < lost { loss.lost() } else { loss.arrived() }
        }
        loss.judge(at * 1_000_001)
    }

    #[test]
    fn even_loss_is_the_paths_own() {
        let mut loss = Loss::new();
        loss.judge(0);
        for at in 1..30 {
            assert_eq!(second(&mut loss, at, 15 + (at % 3) as u32 * 5), None);
        }
        assert!((0.04..0.1).contains(&loss.fraction()));
    }

    #[test]
    fn loss_that_comes_with_our_rate_is_ours() {
        let mut loss = Loss::new();
        loss.judge(0);
        assert_eq!(second(&mut loss, 1, 0), None);
        assert_eq!(second(&mut loss, 2, 60), Some(0.2));
        // From the first window on, if there is very much of it.
        let mut loss = Loss::new();
        loss.judge(0);
        assert!(second(&mut loss, 1, 150).is_some());
    }

    #[test]
    fn a_queue_that_runs_over_is_seen_within_ten_packets() {
        let mut loss = Loss::new();
        for i in 0..1000 {
            if i % 20 == 7 {
                loss.lost()
            } else {
                loss.arrived()
            }
            assert!(!loss.overflows(), "{i}");
        }
        for i in 0..10 {
            if i % 2 == 0 { loss.lost() } else { loss.arrived() }
        }
        assert!(loss.overflows());
        loss.excuse(0);
        assert!(!loss.overflows());
    }

    #[test]
    fn a_late_packet_is_not_lost() {
        let mut loss = Loss::new();
        loss.judge(0);
        for _ in 0..150 {
            loss.lost();
            loss.late();
        }
        assert_eq!(loss.judge(2_000_000), None);
        assert_eq!(loss.fraction(), 0.0);
    }
}
