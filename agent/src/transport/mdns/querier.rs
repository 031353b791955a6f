//! Names that are asked for (RFC 6762 section 5.2), without socket or clock.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    message::{self, Record, Wanted},
    name::HiddenName,
};

/// Names asked for at once by all sessions: those of 32 browsers with two addresses each.
const MAX_NAMES: usize = 64;
/// Sessions that may wait for one name.
const MAX_WAITERS: usize = 64;
/// Between the questions for one name, and how long the last is waited for; RFC 6762 section 5.2 has a second at least, and
/// each twice the one before.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(4)];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Querier {
    names: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    name: HiddenName,
    due: Instant,
    sent: usize,
    waiters: Vec<oneshot::Sender<IpAddr>>,
}

impl Querier {
    /// Asks from `now` on. The receiver gets the address, or fails when nobody answers. `None`: too much is asked for.
    pub fn ask(&mut self, name: HiddenName, now: Instant) -> Option<oneshot::Receiver<IpAddr>> {
        let (answer, receiver) = oneshot::channel();
        if let Some(asked) = self.names.iter_mut().find(|asked| asked.name == name) {
            asked.waiters.retain(|waiter| !waiter.is_closed());
            if asked.waiters.len() >= MAX_WAITERS {
                return None;
            }
            asked.waiters.push(answer);
            return Some(receiver);
        }
        self.forget_unwanted();
        if self.names.len() >= MAX_NAMES {
            return None;
        }
        self.names.push(Asked { name, due: now, sent: 0, waiters: vec![answer] });
        Some(receiver)
    }

    /// The questions that are to go to all links now.
    pub fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.forget_unwanted();
        // After the last pause it is over.
        self.names.retain(|asked| asked.due > now || asked.sent < PAUSES.len());
        let mut questions = Vec::new();
        for asked in self.names.iter_mut().filter(|asked| asked.due <= now) {
            questions.extend([Wanted::A, Wanted::Aaaa].map(|wanted| message::query(asked.name, wanted)));
            asked.due = now + PAUSES[asked.sent];
            asked.sent += 1;
        }
        questions
    }

    /// When [`Self::poll`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.names.iter().map(|asked| asked.due).min()
    }

    /// What somebody on a link told. A name of more than one address is none that hides one (see the draft, section
    /// 3.2.1): it stays unanswered.
    pub fn heard(&mut self, records: &[Record]) {
        let alive = || records.iter().filter(|record| record.ttl > 0 && usable(record.address));
        self.names.retain_mut(|asked| {
            let mut of_name = alive().filter(|record| record.name == asked.name);
            let Some(first) = of_name.next() else { return true };
            if of_name.any(|other| other.address != first.address) {
                return true;
            }
            for waiter in asked.waiters.drain(..) {
                // Its session may be over.
                let _ = waiter.send(first.address);
            }
            false
        });
    }

    /// Whether anything is asked for.
    pub fn is_idle(&self) -> bool {
        self.names.is_empty()
    }

    /// Names whose sessions are over.
    fn forget_unwanted(&mut self) {
        self.names.retain(|asked| asked.waiters.iter().any(|waiter| !waiter.is_closed()));
    }
}

/// Whether a viewer can be there. Link-local IPv6 addresses mean nothing without their link, which signalling does not
/// carry.
fn usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || ip.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn name(n: u8) -> HiddenName {
        HiddenName::of([n; 16])
    }

    fn record(n: u8, address: &str, ttl: u32) -> Record {
        Record { name: name(n), address: address.parse().unwrap(), ttl }
    }

    #[test]
    fn a_name_is_asked_for_ever_more_slowly_and_given_up() {
        let start = Instant::now();
        let mut querier = Querier::default();
        let mut answer = querier.ask(name(1), start).unwrap();
        let mut asked = Vec::new();
        while let Some(due) = querier.due() {
            for _ in 0..querier.poll(due).len() {
                asked.push((due - start).as_secs());
            }
        }
        // For both IP versions each.
        assert_eq!(asked, [0, 0, 1, 1, 3, 3, 7, 7]);
        assert!(answer.try_recv().is_err());
        assert!(querier.is_idle());
    }

    #[test]
    fn an_answer_reaches_all_that_wait_for_the_name() {
        let now = Instant::now();
        let mut querier = Querier::default();
        let mut waiting = [(); 2].map(|()| querier.ask(name(1), now).unwrap());
        let mut other = querier.ask(name(2), now).unwrap();
        assert_eq!(querier.poll(now).len(), 4);
        querier.heard(&[record(3, "192.168.0.9", 120), record(1, "192.168.0.7", 120)]);
        for waiting in &mut waiting {
            assert_eq!(waiting.try_recv().unwrap().to_string(), "192.168.0.7");
        }
        assert!(other.try_recv().is_err() && !querier.is_idle());
    }

    #[test]
    fn what_is_no_answer_is_passed_over() {
        let now = Instant::now();
        let mut querier = Querier::default();
        let mut answer = querier.ask(name(1), now).unwrap();
        querier.heard(&[record(1, "192.168.0.7", 0)]);
        for address in
            ["127.0.0.1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "::1", "fe80::1", "ff02::fb"]
        {
            querier.heard(&[record(1, address, 120)]);
        }
        querier.heard(&[record(1, "192.168.0.7", 120), record(1, "192.168.0.8", 120)]);
        assert!(answer.try_recv().is_err());
        querier.heard(&[record(1, "192.168.0.7", 120), record(1, "192.168.0.7", 120)]);
        assert!(answer.try_recv().is_ok());
    }

    #[test]
    fn names_are_bounded_and_those_of_ended_sessions_forgotten() {
        let now = Instant::now();
        let mut querier = Querier::default();
        let wanted: Vec<_> = (0..64).map(|n| querier.ask(HiddenName::of([n; 16]), now).unwrap()).collect();
        assert!(querier.ask(HiddenName::of([99; 16]), now).is_none());
        let waiters: Vec<_> = (0..100).filter_map(|_| querier.ask(name(1), now)).collect();
        assert_eq!(waiters.len(), MAX_WAITERS - 1);
        drop((wanted, waiters));
        assert!(querier.poll(now).is_empty() && querier.is_idle());
        assert!(querier.ask(HiddenName::of([99; 16]), now).is_some());
    }
}
