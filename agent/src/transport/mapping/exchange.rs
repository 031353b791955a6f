//! When a request to a router is repeated, and when it is given up, without socket or clock.

use std::time::{Duration, Instant};

/// Times of the repetitions: each wait is twice the one before.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The first wait.
    pub first: Duration,
    /// Datagrams in all. The RFCs go on for minutes and more; a router on the link that was silent so often has no
    /// server there, and is asked again after a pause.
    pub tries: u32,
}

/// RFC 6887 section 8.1.1 (IRT): 3 s; given up after 9 s, for a NAT-PMP server that ignores PCP is found sooner.
pub const PCP: Schedule = Schedule { first: Duration::from_secs(3), tries: 2 };
/// RFC 6886 section 3.1: 250 ms; given up after 7.75 s.
pub const NAT_PMP: Schedule = Schedule { first: Duration::from_millis(250), tries: 5 };
/// At the end of the agent there is no time for the RFC's 3 s.
pub const GOODBYE: Schedule = Schedule { first: Duration::from_millis(250), tries: 2 };

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send the request, then ask again.
    Send,
    /// Nothing until then.
    Wait(Instant),
    /// The router does not answer.
    GiveUp,
}

/// One request and its repetitions.
#[derive(Debug)]
pub struct Exchange {
    due: Instant,
    wait: Duration,
    left: u32,
}

impl Exchange {
    /// A request to be sent now. All waits are stretched by `jitter`, -0.1 to 0.1 (RFC 6887 section 8.1.1, RAND).
    pub fn new(now: Instant, schedule: Schedule, jitter: f64) -> Self {
        let wait = schedule.first.mul_f64(1.0 + jitter.clamp(-0.1, 0.1));
        Self { due: now, wait, left: schedule.tries }
    }

    /// What is to be done at `now`.
    pub fn poll(&mut self, now: Instant) -> Turn {
        if now < self.due {
            return Turn::Wait(self.due);
        }
        if self.left == 0 {
            return Turn::GiveUp;
        }
        self.left -= 1;
        self.due = now + self.wait;
        self.wait *= 2;
        Turn::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: Schedule, jitter: f64) -> (Vec<u128>, u128) {
        let start = Instant::now();
        let (mut now, mut sent) = (start, Vec::new());
        let mut exchange = Exchange::new(start, schedule, jitter);
        loop {
            match exchange.poll(now) {
                Turn::Send => sent.push((now - start).as_millis()),
                Turn::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Turn::GiveUp => return (sent, (now - start).as_millis()),
            }
        }
    }

    #[test]
    fn a_silent_router_is_asked_ever_more_slowly_and_given_up() {
        assert_eq!(times(PCP, 0.0), (vec![0, 3000], 9000));
        assert_eq!(times(NAT_PMP, 0.0), (vec![0, 250, 750, 1750, 3750], 7750));
        assert_eq!(times(GOODBYE, 0.0), (vec![0, 250], 750));
    }

    #[test]
    fn devices_that_started_together_do_not_ask_together_for_ever() {
        assert_eq!(times(PCP, 0.1).0, [0, 3300]);
        assert_eq!(times(PCP, -7.0).0, [0, 2700]);
    }
}
