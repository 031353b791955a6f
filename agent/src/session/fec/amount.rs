//! How much protection a path asks for.

use std::time::Duration;

/// Repair packets are at most this share of the packets that they protect. What needs more is no path for pictures, and
/// what is taken from the pictures costs more than it saves.
pub const MAX_SHARE: f32 = 0.25;
/// The least that is begun with: a repair packet for twenty.
const MIN_SHARE: f32 = 0.05;
/// Repair packets for each lost one. A row of `n` packets survives one loss; with `n = 1 / (5 loss)` a second one falls
/// into the same row in less than one of five cases.
const SHARE_PER_LOSS: f32 = 5.0;
/// Protection begins above the first and ends below the second, as the figures of the path waver.
const LOSS: (f32, f32) = (0.01, 0.005);
/// Below this a retransmission is there after a hardly visible pause, and costs only what was really lost. Begins above
/// the first, ends below the second.
const ROUND_TRIP: (Duration, Duration) = (Duration::from_millis(120), Duration::from_millis(100));
/// A repair packet later than this would make pictures wait that nobody waits for.
const MAX_WINDOW: Duration = Duration::from_millis(250);

/// How much protection there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// Repair packets per packet, 0 (none) to [`MAX_SHARE`].
    pub share: f32,
    /// How much time of the stream one repair packet may cover.
    pub window: Duration,
}

impl Amount {
    /// What a path of that `loss` (0 to 1) and round trip asks for, if it had `self` before. Loss is that of media
    /// before any repair.
    pub fn next(self, loss: f32, round_trip: Duration) -> Self {
        let begun = self.share > 0.0;
        let (least_loss, least_round_trip) =
            if begun { (LOSS.1, ROUND_TRIP.1) } else { (LOSS.0, ROUND_TRIP.0) };
        // Also where the loss is not a number.
        if !(loss > least_loss && round_trip > least_round_trip) {
            return Self::default();
        }
        let share = (loss * SHARE_PER_LOSS).clamp(MIN_SHARE, MAX_SHARE);
        // A repair packet that comes later than a retransmission would is worth nothing.
        Self { share, window: round_trip.min(MAX_WINDOW) }
    }

    /// What is left for the pictures of so many bits a second for both.
    pub fn without(self, bits: u64) -> u64 {
        (bits as f64 / (1.0 + f64::from(self.share.clamp(0.0, MAX_SHARE)))) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(before: Amount, loss: f32, ms: u64) -> Amount {
        before.next(loss, Duration::from_millis(ms))
    }

    #[test]
    fn near_viewers_and_clean_paths_are_not_protected() {
        for (loss, ms) in [(0.10, 40), (0.009, 300), (0.0, 0), (f32::NAN, 300)] {
            assert_eq!(next(Amount::default(), loss, ms), Amount::default(), "{loss} {ms}");
        }
    }

    #[test]
    fn protection_follows_the_loss_up_to_a_quarter() {
        let share = |loss| next(Amount::default(), loss, 200).share;
        assert!((share(0.011) - 0.055).abs() < 1e-6);
        assert!((share(0.03) - 0.15).abs() < 1e-6);
        assert_eq!((share(0.05), share(0.9)), (MAX_SHARE, MAX_SHARE));
        assert_eq!(next(Amount::default(), 0.02, 200).window, Duration::from_millis(200));
        assert_eq!(next(Amount::default(), 0.02, 900).window, MAX_WINDOW);
    }

    #[test]
    fn figures_that_waver_do_not_switch_it() {
        let begun = next(Amount::default(), 0.02, 130);
        let still = next(begun, 0.008, 110);
        assert_eq!(still.share, MIN_SHARE);
        assert_eq!(next(Amount::default(), 0.008, 110).share, 0.0);
        assert_eq!(next(still, 0.004, 110).share, 0.0);
        assert_eq!(next(still, 0.008, 90).share, 0.0);
    }

    #[test]
    fn protection_is_paid_by_the_pictures() {
        let amount = Amount { share: 0.25, ..Amount::default() };
        assert_eq!(amount.without(1_250_000), 1_000_000);
        assert_eq!(Amount::default().without(1_250_000), 1_250_000);
    }
}
