//! The limits of connections, and a random history against them.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::transport::Protocol;

const A: EndpointId = EndpointId(1);
const B: EndpointId = EndpointId(2);

fn path(host: u8, port: usize) -> Path {
    Path {
        protocol: Protocol::Tcp,
        local: SocketAddr::from(([192, 0, 2, 1], 5000)),
        remote: SocketAddr::from(([198, 51, 100, host], u16::try_from(port).unwrap())),
    }
}

/// A session with all the connections that it may have.
fn full_session(now: Instant) -> Book {
    let mut book = Book::default();
    for port in 1..=MAX_PER_SESSION {
        assert_eq!(book.enter(now, path(1, port)), Ok(None));
        assert_eq!(book.name(now, path(1, port), A), Ok(None));
        assert!(book.answers(path(1, port), A));
    }
    assert_eq!(book.enter(now, path(2, 1)), Ok(None));
    book
}

#[test]
fn who_names_nobody_makes_room_for_the_next() {
    let (mut book, now) = (Book::default(), Instant::now());
    for n in 0..MAX_UNNAMED {
        let host = u8::try_from(n).unwrap();
        assert_eq!(book.enter(now + Duration::from_millis(n as u64), path(host, 1)), Ok(None));
    }
    assert_eq!(book.enter(now + HOLD, path(200, 1)), Ok(Some(path(0, 1))));
}

#[test]
fn one_source_pushes_out_its_own_and_no_other() {
    let (mut book, now) = (Book::default(), Instant::now());
    book.enter(now, path(9, 1)).unwrap();
    for port in 1..=MAX_UNNAMED_PER_SOURCE {
        assert_eq!(book.enter(now + Duration::from_millis(port as u64), path(1, port)), Ok(None));
    }
    assert_eq!(book.enter(now + HOLD, path(1, 99)), Ok(Some(path(1, 1))));
}

#[test]
fn an_ipv6_network_is_one_source() {
    let at = |text: &str| Path { remote: text.parse().unwrap(), ..path(1, 1) };
    assert_eq!(source(at("[2001:db8::1]:9")), source(at("[2001:db8::ffff:2]:10")));
    assert_ne!(source(at("[2001:db8:0:1::1]:9")), source(at("[2001:db8::1]:9")));
    assert_eq!(source(at("[::ffff:192.0.2.7]:9")), source(at("192.0.2.7:10")));
}

#[test]
fn a_session_full_of_live_connections_takes_no_more() {
    let now = Instant::now();
    let mut book = full_session(now);
    assert_eq!(book.name(now + HOLD / 2, path(2, 1), A), Err(Refusal::Limit));
    assert_eq!(book.name(now, path(2, 1), B), Ok(None), "another session has room");
}

#[test]
fn a_connection_that_died_unseen_makes_room_for_the_viewers_next_one() {
    let now = Instant::now();
    let mut book = full_session(now);
    for port in 2..=MAX_PER_SESSION {
        book.heard(now + HOLD, path(1, port));
    }
    assert_eq!(book.name(now + HOLD, path(2, 1), A), Ok(Some(path(1, 1))));
}

#[test]
fn who_does_not_know_the_password_pushes_out_nobody_who_does() {
    let now = Instant::now();
    let mut book = full_session(now);
    book.leave(path(1, 1));
    assert_eq!(book.name(now, path(2, 1), A), Ok(None));
    book.enter(now, path(3, 1)).unwrap();
    assert_eq!(book.name(now + HOLD * 2, path(3, 1), A), Ok(Some(path(2, 1))), "the unproven one goes");
}

#[test]
fn only_its_own_session_sends_on_a_connection() {
    let (mut book, now) = (Book::default(), Instant::now());
    book.enter(now, path(1, 1)).unwrap();
    assert!(!book.answers(path(1, 1), A), "it has named nobody");
    book.name(now, path(1, 1), A).unwrap();
    assert!(!book.answers(path(1, 1), B) && !book.is_proven(path(1, 1)));
    assert!(book.answers(path(1, 1), A) && book.is_proven(path(1, 1)));
}

proptest! {
    #[test]
    fn no_history_goes_over_a_limit(
        steps in proptest::collection::vec((0..6_u8, 0..12_u8, 0..200_usize, 0..40_u64, 0..2_000_u64), 1..1500)
    ) {
        let (mut book, mut now) = (Book::default(), Instant::now());
        for (what, host, port, session, pass) in steps {
            let path = path(host, port);
            match what {
                0..=2 if !book.entries.contains_key(&path) => {
                    if let Ok(Some(gone)) = book.enter(now, path) {
                        prop_assert!(!book.entries.contains_key(&gone));
                    }
                }
                3 if book.entries.get(&path).is_some_and(|entry| entry.owner.is_none()) => {
                    let _ = book.name(now, path, EndpointId(session));
                }
                4 => drop(book.answers(path, EndpointId(session))),
                5 => {
                    now += Duration::from_millis(pass);
                    book.leave(path);
                }
                _ => book.heard(now, path),
            }
            prop_assert!(book.entries.len() <= MAX_CONNECTIONS);
            prop_assert!(book.count(|_, entry| entry.owner.is_none()) <= MAX_UNNAMED);
            prop_assert!(book.of(EndpointId(session)).len() <= MAX_PER_SESSION);
            let here = source(path);
            prop_assert!(book.count(|other, _| source(other) == here) <= MAX_PER_SOURCE);
        }
    }
}
