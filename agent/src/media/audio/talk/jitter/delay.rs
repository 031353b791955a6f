//! How long sound has to wait so that nearly all packets come in time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What is remembered: long enough for a percentile, short enough to follow a route change or a phone that moves.
const WINDOW: Duration = Duration::from_secs(10);
/// Bounds the memory; 10 s of 20 ms packets.
const MAX_ENTRIES: usize = 512;
/// This part of the packets shall come in time; the rest is cheaper to conceal than to wait for.
const IN_TIME: f64 = 0.97;
/// Added to what was measured: the mixer's own unsteadiness.
const MARGIN_US: i64 = 10_000;
/// The smallest target: one packet.
pub const MIN_TARGET_US: i64 = 20_000;
/// The largest target: beyond it a talk is no talk any more.
pub const MAX_TARGET_US: i64 = 500_000;
/// The target while fewer than [`FEW`] packets are known.
const START_US: i64 = 60_000;
const FEW: usize = 20;

/// Measures the jitter of arrivals; all times in microseconds.
#[derive(Debug)]
pub struct DelayEstimator {
    /// Arrival, and transit: arrival minus media time, from an arbitrary zero.
    window: VecDeque<(Instant, i64)>,
    base: i64,
    target: i64,
    start: i64,
    extra: i64,
    scratch: Vec<i64>,
}

impl DelayEstimator {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self {
            window: VecDeque::new(),
            base: 0,
            target: START_US,
            start: START_US,
            extra: 0,
            scratch: Vec::new(),
        }
    }

    /// A packet came.
    pub fn insert(&mut self, arrival: Instant, transit: i64) {
        self.window.push_back((arrival, transit));
        while self.window.len() > MAX_ENTRIES
            || self.window.front().is_some_and(|(at, _)| arrival.saturating_duration_since(*at) > WINDOW)
        {
            self.window.pop_front();
        }
        self.base = self.window.iter().map(|(_, t)| *t).min().unwrap_or(transit);
        self.scratch.clear();
        self.scratch.extend(self.window.iter().map(|(_, t)| t.saturating_sub(self.base)));
        let rank = (((self.scratch.len() - 1) as f64) * IN_TIME).ceil() as usize;
        let (_, jitter, _) = self.scratch.select_nth_unstable(rank);
        let steady = jitter.saturating_add(MARGIN_US).max(MIN_TARGET_US);
        self.target = steady.saturating_add(self.extra).min(MAX_TARGET_US);
        if self.window.len() < FEW {
            self.target = self.target.max(self.start);
        }
    }

    /// The stream paused: what is known of the path is old, but a path that was bad is not believed to be good.
    pub fn restart(&mut self) {
        self.window.clear();
        self.start = self.target.max(START_US);
    }

    /// Waits longer than jitter alone asks for: with loss, so long that the packet after a lost one is there.
    pub fn wait_longer(&mut self, extra: i64) {
        self.extra = extra;
    }

    /// The transit of the fastest packet: a sample played at this plus the target is played on time.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// The delay to aim for.
    pub fn target(&self) -> i64 {
        self.target
    }

    /// Whether anything is known.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The target after `n` packets of 20 ms whose delay is given by their number, in milliseconds.
    fn target_after(n: u64, delay_ms: impl Fn(u64) -> u64) -> i64 {
        let (mut estimator, start) = (DelayEstimator::new(), Instant::now());
        for i in 0..n {
            let arrival = start + Duration::from_millis(i * 20 + delay_ms(i));
            estimator.insert(arrival, delay_ms(i) as i64 * 1000);
        }
        estimator.target() / 1000
    }

    #[test]
    fn a_steady_path_needs_the_minimum() {
        assert_eq!(target_after(10, |_| 80), 60);
        assert_eq!(target_after(100, |_| 80), 20);
    }

    #[test]
    fn the_target_covers_the_jitter_but_not_a_single_straggler() {
        assert!((50..=70).contains(&target_after(500, |i| i * 7919 % 50)));
        assert_eq!(target_after(500, |i| if i == 250 { 400 } else { 30 }), 20);
    }

    #[test]
    fn the_target_has_a_cap_and_falls_after_a_bad_time() {
        assert_eq!(target_after(500, |i| if i % 4 == 0 { 2000 } else { 0 }), 500);
        assert_eq!(target_after(1200, |i| if i < 500 { i * 7919 % 200 } else { 10 }), 20);
    }
}
