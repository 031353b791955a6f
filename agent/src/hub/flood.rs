//! How much one socket may say.

use std::time::Instant;

use super::codec::Refusal;
use crate::signaling::message::code;

/// Messages a second in the long run. A viewer's whole trickle is about 20.
const MESSAGES_PER_S: f64 = 50.0;
/// Messages at once: a device that answers many viewers after a reconnect.
const MESSAGES_BURST: f64 = 500.0;
/// Bytes a second in the long run, and at once.
const BYTES_PER_S: f64 = 512.0 * 1024.0;
const BYTES_BURST: f64 = 2.0 * 1024.0 * 1024.0;

/// Two buckets, for messages and for bytes.
#[derive(Debug)]
pub(super) struct Limiter {
    messages: f64,
    bytes: f64,
    last: Instant,
}

impl Limiter {
    /// Full buckets.
    pub fn new(now: Instant) -> Self {
        Self { messages: MESSAGES_BURST, bytes: BYTES_BURST, last: now }
    }

    /// Whether a message of `bytes` may pass at `now`.
    pub fn admit(&mut self, now: Instant, bytes: usize) -> Result<(), Refusal> {
        let past = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.messages = (self.messages + past * MESSAGES_PER_S).min(MESSAGES_BURST);
        self.bytes = (self.bytes + past * BYTES_PER_S).min(BYTES_BURST);
        let size = bytes as f64;
        if self.messages < 1.0 || self.bytes < size {
            return Err(Refusal {
                session: None,
                code: code::TOO_MANY_MESSAGES,
                message: format!("more than {MESSAGES_PER_S} messages or {BYTES_PER_S} bytes a second"),
            });
        }
        self.messages -= 1.0;
        self.bytes -= size;
        Ok(())
    }
}
