//! Viewers without transport-wide feedback: what they say of their bandwidth (REMB), and the loss in their reports.

/// Loss up to this lets the rate grow, above [`MUCH`] it falls (draft-ietf-rmcat-gcc-02, section 6).
const LITTLE: f64 = 0.02;
const MUCH: f64 = 0.10;
/// Growth a second without loss (same section: 5 % a report).
const GROWTH: f64 = 1.08;
/// A REMB speaks for this long, microseconds: browsers send one a second or when it changes.
const REMB_HOLDS: i64 = 10_000_000;
/// The rate grows no further than this over what is really sent: more was not tried.
const OVER_SENT: f64 = 1.5;

/// The rate as receiver reports and REMB have it.
#[derive(Debug, Default)]
pub struct Fallback {
    remb: Option<(i64, f64)>,
    reported: Option<i64>,
}

impl Fallback {
    /// The viewer's own estimate: gives the new target.
    pub fn remb(&mut self, now: i64, bits: f64, target: f64) -> f64 {
        let first = self.remb.replace((now, bits)).is_none();
        // The viewer measures what is sent: its word may lift the rate, though not at once to where nothing was tried.
        if bits < target || first { bits.min(target.max(1.0) * OVER_SENT) } else { target }
    }

    /// A receiver report (loss 0 to 1), with what was really sent of late: gives the new target.
    pub fn report(&mut self, now: i64, loss: f64, sending: f64, target: f64) -> f64 {
        let passed =
            self.reported.replace(now).map_or(0.0, |last| (now - last).clamp(0, 2_000_000) as f64 / 1e6);
        let next = if loss > MUCH {
            target * (1.0 - 0.5 * loss)
        } else if loss <= LITTLE {
            (target * GROWTH.powf(passed)).min((sending * OVER_SENT).max(target))
        } else {
            target
        };
        match self.remb {
            // A REMB above the target is a measurement: up to it growth may be quick.
            Some((at, bits)) if now - at < REMB_HOLDS => {
                let quick = if loss <= LITTLE { target * 2f64.powf(passed) } else { next };
                bits.min(next.max(quick.min((sending * OVER_SENT).max(target))))
            }
            _ => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_loss_the_rate_grows_and_with_much_it_falls() {
        let mut fallback = Fallback::default();
        let mut target = 1e6;
        for second in 0..10 {
            target = fallback.report(second * 1_000_000, 0.0, target, target);
        }
        assert!((1.9e6..2.1e6).contains(&target), "{target}");
        assert_eq!(fallback.report(10_000_000, 0.05, target, target), target);
        assert_eq!(fallback.report(11_000_000, 0.5, target, target), target * 0.75);
    }

    #[test]
    fn a_still_picture_does_not_make_the_rate_grow() {
        let mut fallback = Fallback::default();
        let mut target = 1e6;
        for second in 0..100 {
            target = fallback.report(second * 1_000_000, 0.0, 0.1e6, target);
        }
        assert_eq!(target, 1e6);
    }

    #[test]
    fn a_remb_below_the_target_holds_at_once_and_one_above_lifts_it() {
        let mut fallback = Fallback::default();
        assert_eq!(fallback.remb(0, 0.4e6, 1e6), 0.4e6);
        let mut target = fallback.report(1_000_000, 0.0, 0.4e6, 0.4e6);
        assert_eq!(target, 0.4e6);
        fallback.remb(1_000_000, 3e6, target);
        for second in 2..8 {
            fallback.remb(second * 1_000_000, 3e6, target);
            target = fallback.report(second * 1_000_000, 0.0, target, target);
        }
        assert!(target > 2.9e6, "{target}");
    }
}
