//! What each STUN and TURN server said to one session: what a verdict on its path is made of.
//!
//! Gathering writes it, the session reads it at any time. Nothing is decided here.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    query::GIVE_UP,
    server::{ServerTransport, ServerUrl},
    turn::Opened,
};

/// Entries kept for one session: 8 servers, asked from all of 16 addresses. Later ones are dropped.
const MAX_OUTCOMES: usize = 128;

/// What a server was asked for, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A binding over UDP: the address that the server sees.
    Binding,
    /// An allocation over UDP.
    RelayUdp,
    /// An allocation over TCP.
    RelayTcp,
    /// An allocation over TLS.
    RelayTls,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The server sees this device at `mapped`.
    Answered {
        /// What the server sees.
        mapped: SocketAddr,
        /// From the first request to the answer.
        rtt: Duration,
    },
    /// It relays.
    Relays {
        /// What viewers send to.
        relayed: SocketAddr,
        /// From the first request to the allocation.
        rtt: Duration,
    },
    /// It would relay, but others were faster.
    Spare,
    /// No answer came; the words say what was tried.
    Silent(String),
    /// It answered otherwise than hoped for, or the connection was refused; in words.
    Refused(String),
    /// Its name leads nowhere; in words.
    NotFound(String),
}

/// One server's say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOutcome {
    /// Its URL.
    pub server: String,
    /// The address that was asked; `None` if its name leads nowhere.
    pub address: Option<SocketAddr>,
    /// What it was asked for.
    pub asked: Asked,
    /// The socket that asked; `None` for what has a socket of its own.
    pub local: Option<SocketAddr>,
    /// What came of it.
    pub said: Said,
}

/// All servers' say in one session; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    asked: usize,
    all: Vec<ServerOutcome>,
}

impl Outcomes {
    /// So many servers are going to be asked.
    pub fn expect(&self, servers: usize) {
        self.entries().asked = servers;
    }

    /// How many servers are asked, whether they have answered yet or not.
    pub fn asked(&self) -> usize {
        self.entries().asked
    }

    /// All so far, in the order of the answers.
    pub fn all(&self) -> Vec<ServerOutcome> {
        self.entries().all.clone()
    }

    /// A server's name leads nowhere.
    pub fn not_found(&self, server: &ServerUrl, words: &str) {
        let asked = if server.relays() { relay(server) } else { Asked::Binding };
        self.add(server, None, asked, None, Said::NotFound(words.into()));
    }

    /// A binding request from `local` to `address`, begun at `since`, is over.
    pub fn binding(
        &self,
        server: &ServerUrl,
        address: SocketAddr,
        local: SocketAddr,
        since: Instant,
        result: &Result<SocketAddr, String>,
    ) {
        let rtt = since.elapsed();
        let said = match result {
            Ok(mapped) => Said::Answered { mapped: *mapped, rtt },
            Err(words) => failed(rtt, words),
        };
        self.add(server, Some(address), Asked::Binding, Some(local), said);
    }

    /// An attempt to get an allocation, begun at `since`, is over.
    pub fn allocation(&self, server: &ServerUrl, address: SocketAddr, since: Instant, opened: &Opened) {
        let rtt = since.elapsed();
        let said = match opened {
            Opened::Kept { relayed, .. } => Said::Relays { relayed: *relayed, rtt },
            Opened::NotNeeded => Said::Spare,
            Opened::Failed(words) => failed(rtt, words),
        };
        self.add(server, Some(address), relay(server), None, said);
    }

    fn add(
        &self,
        server: &ServerUrl,
        address: Option<SocketAddr>,
        asked: Asked,
        local: Option<SocketAddr>,
        said: Said,
    ) {
        let outcome = ServerOutcome { server: server.to_string(), address, asked, local, said };
        let all = &mut self.entries().all;
        // Servers are asked again when the network changes: only their last word counts.
        all.retain(|old| {
            asked != Asked::Binding
                || (&old.server, old.address, old.asked, old.local)
                    != (&outcome.server, outcome.address, outcome.asked, outcome.local)
        });
        if all.len() < MAX_OUTCOMES {
            all.push(outcome);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever was asked until the end of all repetitions was silent; who failed earlier said something.
fn failed(after: Duration, words: &str) -> Said {
    if after >= GIVE_UP { Said::Silent(words.into()) } else { Said::Refused(words.into()) }
}

fn relay(server: &ServerUrl) -> Asked {
    match (server.transport, server.is_tls()) {
        (_, true) => Asked::RelayTls,
        (ServerTransport::Udp, false) => Asked::RelayUdp,
        (ServerTransport::Tcp, false) => Asked::RelayTcp,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_from_refusal_by_the_time_that_it_took() {
        let outcomes = Outcomes::default();
        let server = ServerUrl::parse("stun:192.0.2.1").unwrap();
        let address = "192.0.2.1:3478".parse().unwrap();
        let [local, second, third] =
            ["10.0.0.2:5000", "10.0.0.3:5000", "10.0.0.4:5000"].map(|at| at.parse().unwrap());
        let now = Instant::now();
        let long_ago = now.checked_sub(GIVE_UP).unwrap();
        outcomes.binding(&server, address, local, long_ago, &Err("nothing came".into()));
        outcomes.binding(&server, address, second, now, &Err("403".into()));
        outcomes.binding(&server, address, third, now, &Ok("203.0.113.9:6000".parse().unwrap()));
        let said: Vec<_> = outcomes.all().into_iter().map(|outcome| outcome.said).collect();
        assert_eq!(said[..2], [Said::Silent("nothing came".into()), Said::Refused("403".into())]);
        assert!(matches!(said[2], Said::Answered { mapped, .. } if mapped.port() == 6000));
    }

    #[test]
    fn only_the_last_word_counts_of_a_server_that_is_asked_again_from_the_same_address() {
        let outcomes = Outcomes::default();
        let server = ServerUrl::parse("stun:192.0.2.1").unwrap();
        let (address, local) = ("192.0.2.1:3478".parse().unwrap(), "10.0.0.2:5000".parse().unwrap());
        outcomes.binding(&server, address, local, Instant::now(), &Err("403".into()));
        outcomes.binding(&server, address, local, Instant::now(), &Ok("203.0.113.9:6000".parse().unwrap()));
        let all = outcomes.all();
        assert!(matches!(all[..], [ServerOutcome { said: Said::Answered { .. }, .. }]), "{all:?}");
    }

    #[test]
    fn a_relay_is_named_by_what_carries_it() {
        let outcomes = Outcomes::default();
        for url in ["turn:192.0.2.1", "turn:192.0.2.1?transport=tcp", "turns:192.0.2.1"] {
            let server = ServerUrl::parse(url).unwrap();
            outcomes.allocation(&server, "192.0.2.1:1".parse().unwrap(), Instant::now(), &Opened::NotNeeded);
        }
        let asked: Vec<_> = outcomes.all().into_iter().map(|outcome| outcome.asked).collect();
        assert_eq!(asked, [Asked::RelayUdp, Asked::RelayTcp, Asked::RelayTls]);
    }

    #[test]
    fn servers_of_many_addresses_do_not_fill_the_memory() {
        let outcomes = Outcomes::default();
        let server = ServerUrl::parse("turn:nowhere.example").unwrap();
        for _ in 0..2 * MAX_OUTCOMES {
            outcomes.not_found(&server, "no such name");
        }
        assert_eq!(outcomes.all().len(), MAX_OUTCOMES);
    }
}
