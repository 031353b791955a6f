//! How long a connection may go on without what it owes. Pure.

use std::time::{Duration, Instant};

/// From opening to the check that names a session. It is a viewer's first packet, which may be lost once or twice.
pub(super) const TO_NAME: Duration = Duration::from_secs(5);
/// From there to the session's first answer: a session answers at once who knows its password.
pub(super) const TO_PROVE: Duration = Duration::from_secs(10);
/// Silence after which a connection is closed. Browsers check a connection in reserve every 25 s.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    opened: Instant,
    named: Option<Instant>,
    heard: Instant,
}

impl Patience {
    /// Of a connection that is opened now.
    pub fn new(now: Instant) -> Self {
        Self { opened: now, named: None, heard: now }
    }

    /// A whole frame came; the first names a session.
    pub fn heard(&mut self, now: Instant) {
        self.named.get_or_insert(now);
        self.heard = now;
    }

    /// When the connection is to be closed, if nothing comes. `proven`: its session has answered on it.
    pub fn ends(&self, proven: bool) -> Instant {
        match self.named {
            None => self.opened + TO_NAME,
            Some(named) if !proven => named + TO_PROVE,
            Some(_) => self.heard + IDLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_must_be_named_then_answer_then_the_viewer_must_not_fall_silent() {
        let now = Instant::now();
        let after = |s| now + Duration::from_secs(s);
        let mut patience = Patience::new(now);
        assert_eq!(patience.ends(false), now + TO_NAME);
        patience.heard(after(2));
        assert_eq!(patience.ends(false), after(2) + TO_PROVE);
        patience.heard(after(9));
        assert_eq!(patience.ends(false), after(2) + TO_PROVE, "more of the same is no proof");
        assert_eq!(patience.ends(true), after(9) + IDLE);
    }
}
