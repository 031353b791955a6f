//! What every carrier does with bytes that came in: limits, reading, and the reply to what is refused. Pure.

use std::time::Instant;

use super::{
    LinkEvent, LinkMetrics,
    flood::{ErrorGate, Limiter, Rates, SessionLimits},
};
use crate::signaling::message::{Body, Envelope, Refusal, read};

/// What becomes of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For the sessions.
    Event(LinkEvent),
    /// Refused; this goes back.
    Reply(Envelope),
    /// Refused, and enough has been said.
    Dropped,
}

/// The intake of one link. It outlives reconnections, or reconnecting would refill the limits.
pub struct Intake {
    link: Limiter,
    sessions: SessionLimits,
    errors: ErrorGate,
    metrics: LinkMetrics,
}

impl Intake {
    /// An intake with its limits full.
    pub fn new(metrics: LinkMetrics, now: Instant) -> Self {
        Self {
            link: Limiter::with_rates(Rates::LINK, now),
            sessions: SessionLimits::new(),
            errors: ErrorGate::new(now),
            metrics,
        }
    }

    /// Judges one message.
    pub fn take(&mut self, bytes: &[u8], now: Instant) -> Verdict {
        match self.admit(bytes, now) {
            Ok(envelope) => {
                self.metrics.received.inc();
                Verdict::Event(LinkEvent::Message(envelope))
            }
            Err(refusal) => self.refuse(refusal, now),
        }
    }

    /// Makes a reply of what the carrier itself refused.
    pub fn refuse(&mut self, refusal: Refusal, now: Instant) -> Verdict {
        self.metrics.refused(refusal.code);
        if self.errors.open(now) {
            tracing::debug!(code = refusal.code, session = ?refusal.session, "message refused: {}", refusal.message);
            Verdict::Reply(refusal.into_envelope())
        } else {
            Verdict::Dropped
        }
    }

    fn admit(&mut self, bytes: &[u8], now: Instant) -> Result<Envelope, Refusal> {
        self.link.admit(now, bytes.len())?;
        let envelope = read(bytes)?;
        if let Some(session) = &envelope.session {
            let flood = self.sessions.admit(session, now, bytes.len());
            // An `error` is let through or dropped by the link's limit alone: it is never answered.
            if !matches!(envelope.body, Body::Error(_)) {
                flood?;
            }
        }
        Ok(envelope)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signaling::message::{SessionId, code};

    fn intake(now: Instant) -> Intake {
        Intake::new(LinkMetrics::default(), now)
    }

    #[test]
    fn a_good_message_is_an_event_and_a_bad_one_is_answered() {
        let now = Instant::now();
        let mut intake = intake(now);
        assert!(matches!(
            intake.take(br#"{"session":"s","bye":{}}"#, now),
            Verdict::Event(LinkEvent::Message(_))
        ));
        let Verdict::Reply(reply) = intake.take(br#"{"session":"s","bye":"#, now) else { panic!("a reply") };
        assert!(matches!(reply.body, Body::Error(e) if e.code == code::MALFORMED));
    }

    #[test]
    fn an_error_sent_back_to_us_ends_there() {
        let now = Instant::now();
        let mut intake = intake(now);
        let Verdict::Reply(reply) = intake.take(b"rubbish", now) else { panic!("a reply") };
        for _ in 0..1000 {
            assert!(!matches!(intake.take(reply.to_json().as_bytes(), now), Verdict::Reply(_)));
        }
    }

    #[test]
    fn a_flood_of_rubbish_is_answered_a_few_times_only() {
        let now = Instant::now();
        let mut intake = intake(now);
        let replies = (0..10_000).filter(|_| matches!(intake.take(b"x", now), Verdict::Reply(_))).count();
        assert_eq!(replies, 20);
    }

    #[test]
    fn a_flooding_session_is_told_and_the_others_are_heard() {
        let now = Instant::now();
        let mut intake = intake(now);
        let loud = br#"{"session":"loud","candidate":null}"#;
        let reply = (0..1000)
            .find_map(|_| match intake.take(loud, now) {
                Verdict::Reply(reply) => Some(reply),
                _ => None,
            })
            .unwrap();
        assert_eq!(reply.session, SessionId::new("loud"));
        assert!(matches!(reply.body, Body::Error(e) if e.code == code::TOO_MANY_MESSAGES));
        assert!(matches!(intake.take(br#"{"session":"quiet","candidate":null}"#, now), Verdict::Event(_)));
    }
}
