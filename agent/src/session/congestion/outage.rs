//! Silence of the viewer: the path is gone, or nearly.

/// Reports come every 50 to 250 ms; this long after the round trip several in a row are missing, microseconds.
const PATIENCE: i64 = 800_000;
/// From then on the rate falls each time, microseconds.
const STEP: i64 = 500_000;
/// By this factor: down to a tenth in four seconds, without giving up a path that is only busy.
const FACTOR: f64 = 0.7;

/// Watches that what is sent is answered.
#[derive(Debug, Default)]
pub struct Outage {
    /// The first packet since the last answer.
    unanswered: Option<i64>,
    heard: bool,
    next: Option<i64>,
    /// The rate before the silence.
    before: Option<f64>,
}

impl Outage {
    /// A packet leaves.
    pub fn sent(&mut self, now: i64, rtt: i64) {
        if self.unanswered.is_none() {
            self.unanswered = Some(now);
            // Whoever never answered may not speak the protocol: that is no outage.
            self.next = self.heard.then_some(now + rtt + PATIENCE);
        }
    }

    /// The viewer answered. Some: the rate before it fell silent.
    pub fn answered(&mut self) -> Option<f64> {
        self.heard = true;
        (self.unanswered, self.next) = (None, None);
        self.before.take()
    }

    /// It lives, by a report that comes too seldom to be waited for: silence is measured again from the next answer on.
    pub fn excused(&mut self) {
        self.heard = false;
        (self.unanswered, self.next) = (None, None);
    }

    /// When to call [`Self::tick`].
    pub fn due(&self) -> Option<i64> {
        self.next
    }

    /// Some: the silence lasts, this is the rate to go on with.
    pub fn tick(&mut self, now: i64, target: f64) -> Option<f64> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + STEP);
        self.before.get_or_insert(target);
        Some(target * FACTOR)
    }

    /// The viewer has been silent for too long.
    pub fn lasts(&self) -> bool {
        self.before.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_answered_is_not_missed() {
        let mut outage = Outage::default();
        outage.sent(0, 0);
        assert_eq!(outage.due(), None);
        assert_eq!(outage.tick(60_000_000, 1e6), None);
    }

    #[test]
    fn silence_lowers_the_rate_and_an_answer_tells_the_old_one() {
        let mut outage = Outage::default();
        outage.answered();
        outage.sent(0, 100_000);
        assert_eq!(outage.tick(800_000, 1e6), None);
        assert_eq!(outage.tick(900_000, 1e6), Some(0.7e6));
        assert!(outage.lasts());
        assert_eq!(outage.tick(1_000_000, 0.7e6), None);
        assert!(outage.tick(1_400_000, 0.7e6).is_some());
        assert_eq!(outage.answered(), Some(1e6));
        assert!(!outage.lasts());
        assert_eq!(outage.due(), None);
    }

    #[test]
    fn rare_reports_are_not_waited_for_and_keep_the_old_rate() {
        let mut outage = Outage::default();
        outage.answered();
        outage.sent(0, 0);
        assert!(outage.tick(800_000, 1e6).is_some());
        outage.excused();
        outage.sent(900_000, 0);
        assert_eq!((outage.due(), outage.tick(60_000_000, 0.7e6)), (None, None));
        assert_eq!(outage.answered(), Some(1e6));
    }

    #[test]
    fn nothing_sent_nothing_missed() {
        let mut outage = Outage::default();
        outage.answered();
        assert_eq!(outage.tick(60_000_000, 1e6), None);
    }
}
