//! A key frame on its way to a viewer answers requests that the viewer made before it came: a large one takes longer than a
//! viewer without a picture waits before it asks again, and a second one would only delay the first.

use std::time::{Duration, Instant};

/// What a key frame takes beside the round trip: it waits at the bottleneck, whose queue is full after a fall.
const QUEUE: Duration = Duration::from_millis(250);
/// Later, a request is heeded in any case.
const LONGEST: Duration = Duration::from_secs(1);

/// The newest key frame.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pushed: Option<Instant>,
    left: Option<Instant>,
}

impl UnderWay {
    /// It was handed to the sender.
    pub fn pushed(&mut self, now: Instant) {
        (self.pushed, self.left) = (Some(now), None);
    }

    /// Packets left, and the oldest picture of which some have still to leave came then.
    pub fn sent(&mut self, now: Instant, oldest: Option<Instant>) {
        if let Some(pushed) = self.pushed
            && self.left.is_none()
            && oldest.is_none_or(|oldest| oldest > pushed)
        {
            self.left = Some(now);
        }
    }

    /// It will not come, or not as a whole.
    pub fn gone(&mut self) {
        *self = Self::default();
    }

    /// Whether a request that comes now is answered by it.
    pub fn answers(&self, now: Instant, rtt: Duration) -> bool {
        let Some(pushed) = self.pushed else { return false };
        let arrived = self.left.map(|left| left + rtt + QUEUE);
        now < pushed + LONGEST && arrived.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_made_before_the_key_frame_came_is_answered_by_it_and_a_later_one_is_not() {
        let (mut under_way, start, rtt) = (UnderWay::default(), Instant::now(), Duration::from_millis(40));
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!under_way.answers(start, rtt));
        under_way.pushed(at(0));
        under_way.sent(at(100), Some(at(0)));
        assert!(under_way.answers(at(250), rtt), "it is being sent");
        under_way.sent(at(300), Some(at(33)));
        under_way.sent(at(400), None);
        assert!(under_way.answers(at(589), rtt) && !under_way.answers(at(590), rtt));
        under_way.pushed(at(600));
        assert!(under_way.answers(at(1599), rtt) && !under_way.answers(at(1600), rtt), "not for ever");
        under_way.gone();
        assert!(!under_way.answers(at(700), rtt));
    }
}
