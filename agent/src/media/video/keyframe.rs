//! When a key frame is forced: all requests that are pending are served by one, and never too many in a row.

use std::time::{Duration, Instant};

/// Forced key frames are at least so far apart: a viewer that asks again and again must not eat the bit rate of
/// all others, and a picture refresh four times a second is as good as any.
const MIN_SPACING: Duration = Duration::from_millis(250);
/// The same for a viewer who has no picture yet; shorter, as waiting is what hurts it.
const MIN_SPACING_NEWCOMER: Duration = Duration::from_millis(100);

/// Merges and spaces the key frame requests of one encoder's viewers.
#[derive(Debug, Default)]
pub struct KeyframeGate {
    last: Option<Instant>,
    /// The spacing that the most urgent pending request asks for.
    pending: Option<Duration>,
}

impl KeyframeGate {
    /// A viewer lost something and cannot go on.
    pub fn request(&mut self) {
        self.pending = self.pending.or(Some(MIN_SPACING));
    }

    /// A viewer has come and has no picture at all.
    pub fn newcomer(&mut self) {
        self.pending = Some(MIN_SPACING_NEWCOMER);
    }

    /// Whether the picture that is encoded at `now` must be a key frame.
    pub fn due(&self, now: Instant) -> bool {
        self.pending.is_some_and(|spacing| self.last.is_none_or(|last| now >= last + spacing))
    }

    /// Whether the last key frame is so long ago.
    pub fn rests(&self, now: Instant, spacing: Duration) -> bool {
        self.last.is_none_or(|last| now >= last + spacing)
    }

    /// A key frame went out, forced or not: it serves all that are pending.
    pub fn served(&mut self, now: Instant) {
        self.last = Some(now);
        self.pending = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn many_requests_are_served_by_one_key_frame() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        (0..100).for_each(|_| gate.request());
        assert!(gate.due(start));
        gate.served(start);
        assert!(!gate.due(start + ms(1000)));
    }

    #[test]
    fn a_request_inside_the_window_is_served_when_it_ends() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        gate.served(start);
        gate.request();
        assert!(!gate.due(start + ms(249)));
        assert!(gate.due(start + ms(250)));
    }

    #[test]
    fn a_newcomer_waits_a_shorter_time_also_if_others_asked_before() {
        let (mut gate, start) = (KeyframeGate::default(), Instant::now());
        gate.served(start);
        gate.newcomer();
        gate.request();
        assert!(!gate.due(start + ms(99)));
        assert!(gate.due(start + ms(100)));
    }
}
