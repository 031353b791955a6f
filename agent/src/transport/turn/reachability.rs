//! What is remembered of TURN servers from one session to the next: which answered, how fast, and what they want signed.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::types::Challenge;
use crate::transport::{
    interfaces::Interfaces,
    server::{ServerTransport, ServerUrl},
};

/// Servers remembered, with their transport and IP version. The one that was heard of longest ago makes room.
const MAX_KNOWN: usize = 64;
/// A server that did not answer is asked late for so long: then it may well be back.
const FAILURE_LIFE: Duration = Duration::from_secs(60);
/// Round trips change with the hours, not the minutes.
const SUCCESS_LIFE: Duration = Duration::from_secs(3600);
/// Servers take a nonce for 10 min (coturn) to an hour (RFC 8656 section 5): an older one is not worth a try.
const CHALLENGE_LIFE: Duration = Duration::from_secs(600);

/// One way to a server, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::transport) struct Way {
    url: String,
    is_v6: bool,
}

impl Way {
    /// To `address`, one of `url`.
    pub fn new(url: &ServerUrl, address: SocketAddr) -> Self {
        Self { url: url.to_string(), is_v6: address.is_ipv6() }
    }
}

/// How the last attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Outcome {
    /// It answered after this time.
    Answered(Duration),
    /// It did not, or not well.
    Failed,
}

#[derive(Debug)]
struct Known {
    outcome: Outcome,
    at: Instant,
    challenge: Option<(Challenge, Instant)>,
}

/// See the module. Belongs to one network: another one has other ways.
#[derive(Debug, Default)]
pub(in crate::transport) struct Reachability {
    network: Arc<Interfaces>,
    known: HashMap<Way, Known>,
}

impl Reachability {
    /// The device is here now. What was learnt elsewhere is forgotten.
    pub fn at(&mut self, network: &Arc<Interfaces>) {
        if self.network != *network {
            self.network = network.clone();
            self.known.clear();
        }
    }

    /// An attempt ended. `challenge` is what the server wanted signed.
    pub fn learn(&mut self, now: Instant, way: Way, outcome: Outcome, challenge: Option<Challenge>) {
        if !self.known.contains_key(&way) && self.known.len() >= MAX_KNOWN {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.at).map(|(way, _)| way.clone());
            oldest.map(|oldest| self.known.remove(&oldest));
        }
        let challenge = challenge.map(|challenge| (challenge, now));
        self.known.insert(way, Known { outcome, at: now, challenge });
    }

    /// How the last attempt ended, if that still means something.
    pub fn outcome(&self, now: Instant, way: &Way) -> Option<Outcome> {
        let known = self.known.get(way)?;
        let life = match known.outcome {
            Outcome::Answered(_) => SUCCESS_LIFE,
            Outcome::Failed => FAILURE_LIFE,
        };
        (now.saturating_duration_since(known.at) < life).then_some(known.outcome)
    }

    /// How long the server takes to answer, with the handicap of its transport; `None`: it is not known.
    pub fn cost(&self, now: Instant, url: &ServerUrl) -> Option<Duration> {
        let ways = [false, true].map(|is_v6| Way { url: url.to_string(), is_v6 });
        let costs = ways.iter().filter_map(|way| match self.outcome(now, way)? {
            Outcome::Answered(round_trip) => Some(round_trip + handicap(url)),
            Outcome::Failed => None,
        });
        costs.min()
    }

    /// What the server wanted signed a short time ago.
    pub fn challenge(&self, now: Instant, way: &Way) -> Option<Challenge> {
        let (challenge, at) = self.known.get(way)?.challenge.as_ref()?;
        (now.saturating_duration_since(*at) < CHALLENGE_LIFE).then(|| challenge.clone())
    }
}

/// How much a relay by this transport has to be faster than one over UDP to be preferred: a lost packet holds up all that
/// come after it in a stream, and TLS adds its records to that.
pub(in crate::transport) fn handicap(url: &ServerUrl) -> Duration {
    Duration::from_millis(match (url.transport, url.is_tls()) {
        (ServerTransport::Udp, _) => 0,
        (ServerTransport::Tcp, false) => 100,
        (ServerTransport::Tcp, true) => 150,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn way(n: usize) -> Way {
        let url = ServerUrl::parse(&format!("turn:s{n}.example")).unwrap();
        Way::new(&url, SocketAddr::from(([192, 0, 2, 1], 3478)))
    }

    const FAST: Outcome = Outcome::Answered(Duration::from_millis(20));

    #[test]
    fn a_server_that_failed_is_forgiven_after_a_minute_and_one_that_answered_is_known_for_an_hour() {
        let (mut memory, start) = (Reachability::default(), Instant::now());
        memory.learn(start, way(1), Outcome::Failed, None);
        memory.learn(start, way(2), FAST, None);
        let later = start + Duration::from_secs(59);
        assert_eq!(memory.outcome(later, &way(1)), Some(Outcome::Failed));
        let later = start + Duration::from_secs(61);
        assert_eq!((memory.outcome(later, &way(1)), memory.outcome(later, &way(2))), (None, Some(FAST)));
        assert_eq!(memory.outcome(start + Duration::from_secs(3601), &way(2)), None);
        assert_eq!(memory.outcome(start, &way(3)), None);
    }

    #[test]
    fn a_nonce_is_offered_again_for_ten_minutes() {
        let (mut memory, start) = (Reachability::default(), Instant::now());
        let challenge = Challenge { realm: "r".into(), nonce: "n".into() };
        memory.learn(start, way(1), FAST, Some(challenge.clone()));
        assert_eq!(memory.challenge(start + Duration::from_secs(599), &way(1)), Some(challenge));
        assert_eq!(memory.challenge(start + Duration::from_secs(601), &way(1)), None);
    }

    #[test]
    fn in_another_network_nothing_is_known() {
        let (mut memory, start) = (Reachability::default(), Instant::now());
        let home = Arc::new(Interfaces::default());
        memory.at(&home);
        memory.learn(start, way(1), FAST, None);
        memory.at(&Arc::new(Interfaces::default()));
        assert_eq!(memory.outcome(start, &way(1)), Some(FAST), "the same addresses are the same network");
        let mut elsewhere = Interfaces::default();
        elsewhere.addresses.push(crate::transport::InterfaceAddress {
            ip: [192, 168, 1, 7].into(),
            interface: "wlan0".into(),
            index: 3,
            temporary: false,
            deprecated: false,
        });
        memory.at(&Arc::new(elsewhere));
        assert_eq!(memory.outcome(start, &way(1)), None);
    }

    #[test]
    fn the_memory_is_bounded_and_drops_what_was_heard_of_longest_ago() {
        let (mut memory, start) = (Reachability::default(), Instant::now());
        for n in 0..=MAX_KNOWN {
            memory.learn(start + Duration::from_millis(n as u64), way(n), FAST, None);
        }
        assert_eq!(memory.known.len(), MAX_KNOWN);
        assert_eq!(memory.outcome(start, &way(0)), None);
        assert_eq!(memory.outcome(start, &way(1)), Some(FAST));
    }
}
