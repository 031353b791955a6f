//! Names of this device's that hide its addresses: who asks for one is answered (RFC 6762 section 6). Without socket or
//! clock.
//!
//! Nothing is told before it is asked for: announcing a name (section 8.3) would use up the second in which its record may
//! not be repeated, just when the viewer asks. Nor is it looked whether somebody has the name already: it has 122 random
//! bits.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    message::{self, Question, Record, TTL},
    name::HiddenName,
};

/// Names at once: 16 addresses of 32 sessions, twice.
const MAX_NAMES: usize = 1024;
/// A record is sent to a link's group no more often (RFC 6762 section 6).
const REPEAT: Duration = Duration::from_secs(1);
/// Askers that want an answer for themselves get one if all heard of it within a quarter of its life (section 5.4).
const RECENT: Duration = Duration::from_secs(TTL as u64 / 4);
/// Answers to single askers within a second, over all names: more than viewers need, and no use to an attacker who forges
/// the address that they go to.
const SINGLE_PER_SECOND: u32 = 20;
/// The port of multicast DNS.
const PORT: u16 = 5353;

/// A link that the device is on, by one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    /// The interface's number in the kernel.
    pub index: u32,
    /// IPv6 and not IPv4.
    pub v6: bool,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// All on the link.
    Group,
    /// One that asked.
    One(SocketAddr),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Responder {
    names: Vec<Own>,
    farewells: Vec<(u32, Vec<u8>)>,
    singles: Option<(Instant, u32)>,
}

#[derive(Debug)]
struct Own {
    name: HiddenName,
    address: IpAddr,
    /// The interface that has the address.
    index: u32,
    /// When its record went to the group last, by IPv4 and by IPv6.
    told: [Option<Instant>; 2],
}

impl Responder {
    /// Answers for a name from now on. False: there are too many.
    pub fn publish(&mut self, name: HiddenName, address: IpAddr, index: u32) -> bool {
        let has_room = self.names.len() < MAX_NAMES;
        if has_room {
            self.names.push(Own { name, address, index, told: [None; 2] });
        }
        has_room
    }

    /// Answers no more, and tells so those who heard of it.
    pub fn withdraw(&mut self, name: HiddenName) {
        let Some(n) = self.names.iter().position(|own| own.name == name) else { return };
        let own = self.names.swap_remove(n);
        if own.told.iter().any(Option::is_some) && self.farewells.len() < MAX_NAMES {
            self.farewells.push((own.index, message::goodbye(name, own.address)));
        }
    }

    /// What is still to be told to all on the interfaces with these numbers.
    pub fn farewells(&mut self) -> Vec<(u32, Vec<u8>)> {
        std::mem::take(&mut self.farewells)
    }

    /// The answers to what `from` asks on `link`.
    pub fn handle(
        &mut self,
        now: Instant,
        link: Link,
        from: SocketAddr,
        query: (u16, &[Question], &[Record]),
    ) -> Vec<(To, Vec<u8>)> {
        let (id, questions, known) = query;
        let mut answers = Vec::new();
        for question in questions {
            let asked = |own: &&mut Own| own.name == question.name && own.index == link.index;
            let Some(own) = self.names.iter_mut().find(asked) else { continue };
            let (name, address, wanted) = (own.name, own.address, question.wanted);
            // Section 7.1.
            if known.iter().any(|k| k.name == name && k.address == address && k.ttl >= TTL / 2) {
                continue;
            }
            let legacy = from.port() != PORT;
            let told = &mut own.told[usize::from(link.v6)];
            let since = told.map(|told| now.saturating_duration_since(told));
            let answer = message::answer(name, address, wanted);
            if legacy || (question.unicast && since.is_some_and(|since| since < RECENT)) {
                if (!legacy || wanted.is(address)) && admit(&mut self.singles, now) {
                    let answer = match legacy {
                        true => message::legacy_answer(id, name, address, wanted),
                        false => answer,
                    };
                    answers.push((To::One(from), answer));
                }
            } else if since.is_none_or(|since| since >= REPEAT) {
                *told = Some(now);
                answers.push((To::Group, answer));
            }
        }
        answers
    }

    /// Whether there is nothing to answer for, and nothing left to tell.
    pub fn is_idle(&self) -> bool {
        self.names.is_empty() && self.farewells.is_empty()
    }
}

/// Counts an answer to one asker; whether it may be given.
fn admit(singles: &mut Option<(Instant, u32)>, now: Instant) -> bool {
    let (since, count) = singles.get_or_insert((now, 0));
    if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
        (*since, *count) = (now, 0);
    }
    *count += 1;
    *count <= SINGLE_PER_SECOND
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::message::Wanted, *};

    const LINK: Link = Link { index: 2, v6: false };

    fn name() -> HiddenName {
        HiddenName::of([7; 16])
    }

    fn responder() -> Responder {
        let mut responder = Responder::default();
        assert!(responder.publish(name(), address(), 2));
        responder
    }

    fn address() -> IpAddr {
        "192.168.0.7".parse().unwrap()
    }

    fn ask(wanted: Wanted, unicast: bool) -> [Question; 1] {
        [Question { name: name(), wanted, unicast }]
    }

    fn from(port: u16) -> SocketAddr {
        format!("192.168.0.9:{port}").parse().unwrap()
    }

    #[test]
    fn all_on_the_link_hear_the_answer_once_a_second() {
        let (mut responder, now) = (responder(), Instant::now());
        let mut answers = |millis, link| {
            let now = now + Duration::from_millis(millis);
            responder.handle(now, link, from(PORT), (0, &ask(Wanted::A, false), &[]))
        };
        assert_eq!(answers(0, LINK), [(To::Group, message::answer(name(), address(), Wanted::A))]);
        assert_eq!(answers(999, LINK), []);
        assert_eq!(answers(1000, LINK).len(), 1);
        assert_eq!(answers(1000, Link { index: 2, v6: true }).len(), 1, "another link");
        assert_eq!(answers(5000, Link { index: 3, v6: false }), [], "where the address is not");
    }

    #[test]
    fn who_wants_an_answer_alone_gets_it_once_all_heard() {
        let (mut responder, now) = (responder(), Instant::now());
        let query = ask(Wanted::A, true);
        let first = responder.handle(now, LINK, from(PORT), (0, &query, &[]));
        assert_eq!(first[0].0, To::Group);
        let second = responder.handle(now, LINK, from(PORT), (0, &query, &[]));
        assert_eq!(second[0].0, To::One(from(PORT)));
        let late = responder.handle(now + RECENT, LINK, from(PORT), (0, &query, &[]));
        assert_eq!(late[0].0, To::Group);
    }

    #[test]
    fn ordinary_dns_clients_are_answered_at_their_port() {
        let (mut responder, now) = (responder(), Instant::now());
        let answers = responder.handle(now, LINK, from(4711), (5, &ask(Wanted::A, false), &[]));
        let answer = message::legacy_answer(5, name(), address(), Wanted::A);
        assert_eq!(answers, [(To::One(from(4711)), answer)]);
        assert_eq!(responder.handle(now, LINK, from(4711), (5, &ask(Wanted::Aaaa, false), &[])), []);
    }

    #[test]
    fn a_flood_of_single_askers_is_not_answered() {
        let (mut responder, now) = (responder(), Instant::now());
        let query = ask(Wanted::A, false);
        let mut count = |now| {
            (0..200u16).map(|n| responder.handle(now, LINK, from(n), (0, &query, &[])).len()).sum::<usize>()
        };
        assert_eq!((count(now), count(now + REPEAT)), (20, 20));
    }

    #[test]
    fn who_knows_it_already_is_not_told_again() {
        let (mut responder, now) = (responder(), Instant::now());
        let known = |ttl| [Record { name: name(), address: address(), ttl }];
        let query = ask(Wanted::Any, false);
        assert_eq!(responder.handle(now, LINK, from(PORT), (0, &query, &known(60))), []);
        assert_eq!(responder.handle(now, LINK, from(PORT), (0, &query, &known(59))).len(), 1);
    }

    #[test]
    fn who_heard_of_a_name_hears_of_its_end() {
        let (mut responder, now) = (responder(), Instant::now());
        let other = HiddenName::of([8; 16]);
        assert!(responder.publish(other, address(), 2));
        responder.handle(now, LINK, from(PORT), (0, &ask(Wanted::A, false), &[]));
        for name in [name(), other, name()] {
            responder.withdraw(name);
        }
        assert_eq!(responder.farewells(), [(2, message::goodbye(name(), address()))]);
        assert!(responder.is_idle());
        assert_eq!(responder.handle(now, LINK, from(PORT), (0, &ask(Wanted::A, false), &[])), []);
    }

    #[test]
    fn there_is_a_limit_to_names() {
        let mut responder = Responder::default();
        let name = |n: u16| HiddenName::of([n.to_be_bytes(); 8].concat().try_into().unwrap());
        assert!((0..1024).all(|n| responder.publish(name(n), address(), 2)));
        assert!(!responder.publish(name(1024), address(), 2));
    }
}
