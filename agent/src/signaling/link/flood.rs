//! Flood limits: how much a link takes in a second, from all sessions and from each. Pure; time is an argument.

use std::{collections::HashMap, time::Instant};

use crate::signaling::message::{Refusal, SessionId, code};

/// How fast a bucket refills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Units a second, in the long run.
    pub per_second: f64,
    /// Units that may come at once.
    pub burst: f64,
}

/// Limits of one sender.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Messages.
    pub messages: Rate,
    /// Bytes.
    pub bytes: Rate,
}

impl Rates {
    /// One viewer: an offer and a trickle are about 25 messages and 20 KiB, so this is several restarts at once.
    pub const VIEWER: Self = Self {
        messages: Rate { per_second: 50.0, burst: 200.0 },
        bytes: Rate { per_second: 256.0 * 1024.0, burst: 1024.0 * 1024.0 },
    };

    /// A link that carries many viewers: all of them may come back at the same moment, after an outage of the server.
    pub const LINK: Self = Self {
        messages: Rate { per_second: 500.0, burst: 2000.0 },
        bytes: Rate { per_second: 2.0 * 1024.0 * 1024.0, burst: 8.0 * 1024.0 * 1024.0 },
    };
}

/// A token bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: rate.burst, filled: now }
    }

    /// Takes `amount` if it is there.
    pub fn take(&mut self, now: Instant, amount: f64) -> bool {
        self.refill(now);
        let enough = self.tokens >= amount;
        if enough {
            self.tokens -= amount;
        }
        enough
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.burst);
        self.filled = self.filled.max(now);
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.rate.burst
    }
}

/// Admits one sender's messages.
#[derive(Clone, Debug)]
pub struct Limiter {
    messages: Bucket,
    bytes: Bucket,
}

impl Limiter {
    /// A limiter with [`Rates::VIEWER`].
    pub fn new(now: Instant) -> Self {
        Self::with_rates(Rates::VIEWER, now)
    }

    /// A limiter with rates of its own.
    pub fn with_rates(rates: Rates, now: Instant) -> Self {
        Self { messages: Bucket::new(rates.messages, now), bytes: Bucket::new(rates.bytes, now) }
    }

    /// Counts a message of `bytes` bytes; refuses it with [`code::TOO_MANY_MESSAGES`] when they come too fast.
    pub fn admit(&mut self, now: Instant, bytes: usize) -> Result<(), Refusal> {
        let refuse = |what: &str, rate: Rate| {
            let message =
                format!("more than {} {what} a second; this one was dropped, send slower", rate.per_second);
            Err(Refusal::new(code::TOO_MANY_MESSAGES, message))
        };
        if !self.messages.take(now, 1.0) {
            return refuse("messages", self.messages.rate);
        }
        if !self.bytes.take(now, bytes as f64) {
            return refuse("bytes", self.bytes.rate);
        }
        Ok(())
    }

    /// True if nothing came for so long that a new limiter would be the same.
    fn is_idle(&mut self, now: Instant) -> bool {
        self.messages.is_full(now) && self.bytes.is_full(now)
    }
}

/// One [`Limiter`] a session, so that a viewer's flood costs the other viewers of the link nothing.
#[derive(Debug)]
pub struct SessionLimits {
    limiters: HashMap<SessionId, Limiter>,
}

/// Sessions watched at once. Far more than an agent serves; who invents ids meets [`Rates::LINK`].
const MAX_SESSIONS: usize = 256;

impl SessionLimits {
    /// None yet.
    pub fn new() -> Self {
        Self { limiters: HashMap::new() }
    }

    /// Counts a message for `session`.
    pub fn admit(&mut self, session: &SessionId, now: Instant, bytes: usize) -> Result<(), Refusal> {
        if !self.limiters.contains_key(session) && self.limiters.len() >= MAX_SESSIONS {
            self.limiters.retain(|_, limiter| !limiter.is_idle(now));
            if self.limiters.len() >= MAX_SESSIONS {
                let message =
                    format!("more than {MAX_SESSIONS} sessions speak at once; try again in a second");
                return Err(Refusal::new(code::TOO_MANY_MESSAGES, message).of(Some(session.clone())));
            }
        }
        let limiter = self.limiters.entry(session.clone()).or_insert_with(|| Limiter::new(now));
        limiter.admit(now, bytes).map_err(|refusal| refusal.of(Some(session.clone())))
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps `error` replies few, so that two sides which answer each other's errors come to rest.
#[derive(Clone, Debug)]
pub struct ErrorGate(Bucket);

impl ErrorGate {
    /// Five replies a second, twenty at once: enough to debug by, too few to be an echo.
    const RATE: Rate = Rate { per_second: 5.0, burst: 20.0 };

    /// A gate with all its replies to give.
    pub fn new(now: Instant) -> Self {
        Self(Bucket::new(Self::RATE, now))
    }

    /// Whether one more reply may be sent.
    pub fn open(&mut self, now: Instant) -> bool {
        self.0.take(now, 1.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_taken_and_a_flood_refused() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let admitted = (0..1000).filter(|_| limiter.admit(now, 100).is_ok()).count();
        assert_eq!(admitted, 200);
        assert_eq!(limiter.admit(now, 100).unwrap_err().code, code::TOO_MANY_MESSAGES);
    }

    #[test]
    fn the_rate_holds_in_the_long_run() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let admitted = (0..10_000_u64)
            .filter(|ms| limiter.admit(start + Duration::from_millis(*ms), 10).is_ok())
            .count();
        // Ten seconds: the burst and 50 a second, give or take the last one.
        assert!((698..=701).contains(&admitted), "{admitted}");
    }

    #[test]
    fn large_messages_are_limited_by_their_bytes() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let largest = crate::signaling::message::MAX_MESSAGE;
        assert_eq!((0..10).filter(|_| limiter.admit(now, largest).is_ok()).count(), 4);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let now = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(Rate { per_second: 1.0, burst: 1.0 }, now);
        assert!(bucket.take(now, 1.0));
        assert!(!bucket.take(now - Duration::from_secs(5), 1.0));
        assert!(!bucket.take(now, 1.0));
    }

    #[test]
    fn one_sessions_flood_is_not_anothers() {
        let now = Instant::now();
        let mut limits = SessionLimits::new();
        let [loud, quiet] = ["loud", "quiet"].map(|id| SessionId::new(id).unwrap());
        let refusal = (0..1000).find_map(|_| limits.admit(&loud, now, 10).err()).unwrap();
        assert_eq!(refusal.session, Some(loud));
        assert_eq!(limits.admit(&quiet, now, 10), Ok(()));
    }

    #[test]
    fn invented_sessions_do_not_grow_the_table() {
        let mut now = Instant::now();
        let mut limits = SessionLimits::new();
        let id = |n: usize| SessionId::new(format!("s{n}")).unwrap();
        let admitted = (0..1000).filter(|n| limits.admit(&id(*n), now, 10).is_ok()).count();
        assert_eq!((admitted, limits.limiters.len()), (MAX_SESSIONS, MAX_SESSIONS));
        now += Duration::from_secs(1);
        assert_eq!(limits.admit(&id(5000), now, 10), Ok(()));
    }

    #[test]
    fn error_replies_are_few_and_come_back() {
        let now = Instant::now();
        let mut gate = ErrorGate::new(now);
        assert_eq!((0..100).filter(|_| gate.open(now)).count(), 20);
        assert!(gate.open(now + Duration::from_millis(200)));
    }
}
