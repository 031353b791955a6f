//! Messages on their way to the server, also while it is away: bounded, the oldest go first. Pure.

use std::collections::VecDeque;

use super::{LinkMetrics, QUEUE};
use crate::signaling::message::Envelope;

/// What is to be sent. Holds [`QUEUE`] messages besides the one that is being sent.
pub(super) struct Backlog {
    waiting: VecDeque<Envelope>,
    /// Being sent; stays until it is out, over a reconnection too.
    in_flight: Option<Envelope>,
    /// A drop was logged since the last message went out.
    told: bool,
    metrics: LinkMetrics,
}

impl Backlog {
    /// An empty one.
    pub(super) fn new(metrics: LinkMetrics) -> Self {
        Self { waiting: VecDeque::new(), in_flight: None, told: false, metrics }
    }

    /// Adds a message; in a full backlog the oldest goes, which is the one least likely to be of use still.
    pub(super) fn push(&mut self, envelope: Envelope) {
        self.waiting.push_back(envelope);
        if self.waiting.len() > QUEUE {
            self.waiting.pop_front();
            self.metrics.dropped.inc();
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!("{QUEUE} messages wait for the signalling server; the oldest are dropped now");
            }
        }
    }

    /// The message to send next; the same one until [`Self::sent`].
    pub(super) fn next(&mut self) -> Option<&Envelope> {
        if self.in_flight.is_none() {
            self.in_flight = self.waiting.pop_front();
        }
        self.in_flight.as_ref()
    }

    /// Notes that the message of [`Self::next`] went out.
    pub(super) fn sent(&mut self) {
        if self.in_flight.take().is_some() {
            self.told = false;
            self.metrics.sent.inc();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signaling::message::{Body, SessionId};

    fn message(n: usize) -> Envelope {
        Envelope::new(SessionId::new(format!("s{n}")).unwrap(), Body::Candidate(None))
    }

    #[test]
    fn a_full_backlog_drops_the_oldest_and_counts_it() {
        let metrics = LinkMetrics::default();
        let mut backlog = Backlog::new(metrics.clone());
        (0..QUEUE + 3).for_each(|n| backlog.push(message(n)));
        assert_eq!(metrics.dropped.get(), 3);
        assert_eq!(backlog.next(), Some(&message(3)));
    }

    #[test]
    fn a_message_comes_again_until_it_is_sent() {
        let mut backlog = Backlog::new(LinkMetrics::default());
        backlog.push(message(1));
        backlog.push(message(2));
        assert_eq!(backlog.next(), Some(&message(1)));
        assert_eq!(backlog.next(), Some(&message(1)));
        backlog.sent();
        assert_eq!(backlog.next(), Some(&message(2)));
    }
}
