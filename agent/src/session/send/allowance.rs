//! How much may be sent again: a share of what is sent.

/// Retransmissions are at most one byte in so many: a tenth lost, and asked for several times by receivers that do not see that
/// it was repeated.
const SHARE: usize = 2;
/// What may be saved up, in bytes: a tenth of a second of loss at 10 Mbit/s.
const MAX: usize = 128 * 1024;
/// What there is to begin with, in bytes: for the losses in a first key frame.
const START: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(START * SHARE)
    }
}

impl Allowance {
    /// So many bytes were sent for the first time.
    pub fn earn(&mut self, bytes: usize) {
        self.0 = (self.0 + bytes).min(MAX * SHARE);
    }

    /// Whether so many bytes may be sent again; they count.
    pub fn take(&mut self, bytes: usize) -> bool {
        let enough = bytes * SHARE <= self.0;
        if enough {
            self.0 -= bytes * SHARE;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_sent_may_be_sent_again() {
        let mut allowance = Allowance::default();
        while allowance.take(1000) {}
        allowance.earn(100_000);
        let again = std::iter::repeat_with(|| allowance.take(1000)).take_while(|ok| *ok).count();
        assert!((50..=51).contains(&again), "{again}");
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let mut allowance = Allowance::default();
        for _ in 0..1000 {
            allowance.earn(100_000);
        }
        assert!(allowance.take(MAX) && !allowance.take(1));
    }
}
