//! Whether a router lost its mappings, by the seconds that it counts since (RFC 6887 section 8.5, RFC 6886 section 3.6).

use std::time::{Duration, Instant};

/// What a router may be behind or ahead: answers take time, and seconds are rounded (RFC 6887 section 8.5).
const SLACK: Duration = Duration::from_secs(2);
/// How well a router's clock must run: NAT-PMP's 7/8 (RFC 6886 section 3.6), for PCP's 15/16 would make a poor clock a
/// restart every ten minutes.
const DRIFT: u32 = 8;

/// The last epoch that a router told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epoch(Option<(Instant, u32)>);

impl Epoch {
    /// Takes the next one; whether the router lost its mappings in between.
    pub fn restarted(&mut self, now: Instant, seconds: u32) -> bool {
        let Some((then, before)) = self.0.replace((now, seconds)) else { return false };
        if seconds.saturating_add(1) < before {
            return true;
        }
        let here = now.saturating_duration_since(then);
        let there = Duration::from_secs(seconds.saturating_sub(before).into());
        here + SLACK < there - there / DRIFT || there + SLACK < here - here / DRIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether 600 s after 1000 s the router seems to have restarted.
    fn after_ten_minutes(seconds: u32) -> bool {
        let now = Instant::now();
        let mut epoch = Epoch::default();
        assert!(!epoch.restarted(now, 1000));
        epoch.restarted(now + Duration::from_secs(600), seconds)
    }

    #[test]
    fn a_router_that_counts_on_did_not_restart() {
        for seconds in [1600, 1599, 1602, 1550, 1650] {
            assert!(!after_ten_minutes(seconds), "{seconds}");
        }
    }

    #[test]
    fn a_router_that_begins_anew_restarted() {
        for seconds in [0, 30, 998, 1000, 1500, 3000, u32::MAX] {
            assert!(after_ten_minutes(seconds), "{seconds}");
        }
    }
}
