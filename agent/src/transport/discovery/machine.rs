//! The questions of RFC 5780 section 4, in three rounds: what do servers see; how is it mapped and who is let in; does the
//! router send packets back in. Without socket or clock.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    message::{self, From, Heard},
    report::{Filtering, Mapping, Report, ServerSeen},
};

/// Time to the first repetition, doubled each time; as [`crate::transport::BindingQuery`].
const FIRST_RTO: Duration = Duration::from_millis(100);
/// An answer takes no longer, over a satellite and with a loss. Silence is the usual answer of a filter, so it is worth
/// waiting for: 0, 100, 300, 700, 1500 ms are five tries.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Servers asked; each costs packets.
const MAX_SERVERS: usize = 8;

/// One of three sockets with one local address. A filter must not have seen the server's other address on the socket
/// that it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// For mapping.
    First,
    /// For filtering.
    Second,
    /// For hairpinning, together with the first.
    Third,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, then ask again.
    Send(Socket, SocketAddr, Vec<u8>),
    /// Nothing until then.
    Wait(Instant),
    /// All is known that can be.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// What does this server see?
    Seen,
    /// What does its other address see, at the same port and at the other?
    SeenAtOther,
    SeenAtOtherPort,
    /// May an answer come in from the other address, or the other port?
    LetsInOther,
    LetsInOtherPort,
    /// The third socket's external address.
    Third,
    /// A packet to one of our own external addresses.
    Hairpin,
}

#[derive(Debug)]
struct Ask {
    question: Question,
    socket: Socket,
    to: SocketAddr,
    from: From,
    id: [u8; 12],
    due: Instant,
    rto: Duration,
    sent: Instant,
    end: Instant,
    /// What came, if anything; `Some(None)`: a refusal, or an answer that says nothing.
    answer: Option<Option<SocketAddr>>,
    other: Option<SocketAddr>,
    took: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Servers,
    Behaviour,
    Hairpin,
    Done,
}

/// See the module.
pub struct Discovery<R> {
    local: SocketAddr,
    round: Round,
    asks: Vec<Ask>,
    random: R,
}

impl<R: FnMut() -> [u8; 12]> Discovery<R> {
    /// Begins to ask; `local`: of the first socket. At most 8 servers, of its IP version, are asked. `random` makes
    /// transaction ids.
    pub fn new(now: Instant, local: SocketAddr, servers: &[SocketAddr], random: R) -> Self {
        let mut this = Self { local, round: Round::Servers, asks: Vec::new(), random };
        let mut asked: Vec<SocketAddr> = Vec::new();
        for server in servers.iter().filter(|server| server.is_ipv4() == local.is_ipv4()) {
            if asked.len() < MAX_SERVERS && !asked.contains(server) {
                asked.push(*server);
                this.ask(now, Question::Seen, Socket::First, *server, From::Asked);
            }
        }
        this
    }

    /// What is to be done at `now`.
    pub fn poll(&mut self, now: Instant) -> Step {
        loop {
            if self.round == Round::Done {
                return Step::Done;
            }
            for ask in self.asks.iter_mut().filter(|ask| ask.answer.is_none() && now < ask.end) {
                if now >= ask.due {
                    ask.due = now + ask.rto;
                    ask.rto *= 2;
                    ask.sent = now;
                    return Step::Send(ask.socket, ask.to, message::request(ask.id, ask.from));
                }
            }
            let open = self.asks.iter().filter(|ask| ask.answer.is_none() && now < ask.end);
            match open.map(|ask| ask.due.min(ask.end)).min() {
                Some(due) => return Step::Wait(due),
                None => self.next_round(now),
            }
        }
    }

    /// Takes a datagram that came to a socket.
    pub fn handle(&mut self, now: Instant, socket: Socket, from: SocketAddr, datagram: &[u8]) {
        let Some(heard) = message::read(datagram) else { return };
        let id = match heard {
            Heard::Request(id) | Heard::Answer { id, .. } | Heard::Refused(id) => id,
        };
        let Some(ask) = self.asks.iter_mut().find(|ask| ask.id == id && ask.answer.is_none()) else { return };
        let came = match heard {
            // Only our own packets have our ids.
            Heard::Request(_) if ask.question == Question::Hairpin && socket != ask.socket => {
                Some(Some(from))
            }
            Heard::Answer { mapped, other, .. } if socket == ask.socket && ask.came_as_asked(from) => {
                ask.other = other.filter(|other| {
                    other.is_ipv4() == ask.to.is_ipv4()
                        && other.ip() != ask.to.ip()
                        && other.port() != ask.to.port()
                });
                Some(Some(mapped))
            }
            // It does not do what it was asked for: silence would mean something else.
            Heard::Answer { .. } | Heard::Refused(_) if socket == ask.socket && from == ask.to => Some(None),
            _ => None,
        };
        if let Some(came) = came {
            ask.answer = Some(came);
            ask.took = Some(now.saturating_duration_since(ask.sent));
        }
    }

    /// What is known so far.
    pub fn report(&self) -> Report {
        let servers: Vec<_> = self.of(Question::Seen).map(Ask::seen).collect();
        let mapped = self.base().and_then(|base| base.answer.flatten());
        let translated = mapped.map(|mapped| mapped != self.local);
        let mapping = match translated {
            Some(false) => Some(Mapping::EndpointIndependent),
            _ => mapped.and_then(|mapped| self.mapping(mapped)),
        };
        let independent = mapping == Some(Mapping::EndpointIndependent);
        let hairpins = || self.of(Question::Hairpin).any(|ask| ask.answer.is_some());
        let asked = self.of(Question::Hairpin).next().is_some();
        Report {
            local: self.local,
            servers,
            mapped,
            translated,
            mapping,
            filtering: self.filtering(),
            preserves_port: mapped
                .filter(|_| translated == Some(true))
                .map(|mapped| mapped.port() == self.local.port()),
            hairpins: (asked && independent).then(hairpins),
        }
    }

    fn mapping(&self, mapped: SocketAddr) -> Option<Mapping> {
        let at = |question| self.of(question).find_map(|ask| ask.answer.flatten());
        if let Some(other) = at(Question::SeenAtOther) {
            if other == mapped {
                return Some(Mapping::EndpointIndependent);
            }
            return match at(Question::SeenAtOtherPort) {
                Some(port) if port == other => Some(Mapping::AddressDependent),
                Some(_) => Some(Mapping::AddressAndPortDependent),
                None => Some(Mapping::Dependent),
            };
        }
        // Servers that know nothing of each other: only those at different addresses prove anything.
        let base = self.base()?;
        let others = self.of(Question::Seen).filter(|ask| ask.to.ip() != base.to.ip());
        let mut others = others.filter_map(|ask| ask.answer.flatten()).peekable();
        others.peek()?;
        Some(match others.all(|other| other == mapped) {
            true => Mapping::EndpointIndependent,
            false => Mapping::Dependent,
        })
    }

    fn filtering(&self) -> Option<Filtering> {
        let other = self.of(Question::LetsInOther).next()?;
        let port = self.of(Question::LetsInOtherPort).next()?;
        match (other.answer, port.answer) {
            (Some(Some(_)), _) => Some(Filtering::EndpointIndependent),
            // The server does not do it.
            (Some(None), _) | (_, Some(None)) => None,
            (None, Some(Some(_))) => Some(Filtering::AddressDependent),
            (None, None) => Some(Filtering::AddressAndPortDependent),
        }
    }

    /// The server that is asked for more: the first with two addresses, or else the first that answered.
    fn base(&self) -> Option<&Ask> {
        let answered = || self.of(Question::Seen).filter(|ask| matches!(ask.answer, Some(Some(_))));
        answered().find(|ask| ask.other.is_some()).or_else(|| answered().next())
    }

    fn next_round(&mut self, now: Instant) {
        self.round = match self.round {
            Round::Servers => {
                let Some((base, other)) = self.base().map(|base| (base.to, base.other)) else {
                    self.round = Round::Done;
                    return;
                };
                self.ask(now, Question::Third, Socket::Third, base, From::Asked);
                if let Some(other) = other {
                    let same_port = SocketAddr::new(other.ip(), base.port());
                    self.ask(now, Question::SeenAtOther, Socket::First, same_port, From::Asked);
                    self.ask(now, Question::SeenAtOtherPort, Socket::First, other, From::Asked);
                    self.ask(now, Question::LetsInOther, Socket::Second, base, From::OtherAddress);
                    self.ask(now, Question::LetsInOtherPort, Socket::Second, base, From::OtherPort);
                }
                Round::Behaviour
            }
            Round::Behaviour => {
                let third = self.of(Question::Third).find_map(|ask| ask.answer.flatten());
                let first = self.base().and_then(|base| base.answer.flatten());
                if let (Some(first), Some(third)) = (first.filter(|first| *first != self.local), third) {
                    self.ask(now, Question::Hairpin, Socket::First, third, From::Asked);
                    self.ask(now, Question::Hairpin, Socket::Third, first, From::Asked);
                }
                Round::Hairpin
            }
            Round::Hairpin | Round::Done => Round::Done,
        };
    }

    fn ask(&mut self, now: Instant, question: Question, socket: Socket, to: SocketAddr, from: From) {
        let id = (self.random)();
        let (due, sent, end) = (now, now, now + PATIENCE);
        let (answer, other, took, rto) = (None, None, None, FIRST_RTO);
        self.asks.push(Ask { question, socket, to, from, id, due, rto, sent, end, answer, other, took });
    }

    fn of(&self, question: Question) -> impl Iterator<Item = &Ask> {
        self.asks.iter().filter(move |ask| ask.question == question)
    }
}

impl Ask {
    fn came_as_asked(&self, from: SocketAddr) -> bool {
        match self.from {
            From::Asked => from == self.to,
            From::OtherPort => from.ip() == self.to.ip() && from.port() != self.to.port(),
            From::OtherAddress => from.ip() != self.to.ip() && from.port() != self.to.port(),
        }
    }

    fn seen(&self) -> ServerSeen {
        ServerSeen {
            server: self.to,
            mapped: self.answer.flatten(),
            rtt: self.took.filter(|_| matches!(self.answer, Some(Some(_)))),
            has_other_address: self.other.is_some(),
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
