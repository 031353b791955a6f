//! An allocation whose server refuses, forgets or keeps silent in the course of a long session.

use super::*;

impl Bench {
    /// Lets the next event be; panics if it is none that `wanted` takes.
    fn expect<T>(&mut self, what: &str, wanted: impl Fn(&AllocationEvent) -> Option<T>) -> T {
        let event = self.allocation.poll_event();
        event.as_ref().and_then(wanted).unwrap_or_else(|| panic!("not {what}: {event:?}"))
    }

    fn is_quiet(&mut self) -> bool {
        self.allocation.poll_event().is_none()
    }

    fn expect_doubt(&mut self) -> String {
        self.expect("a doubt about the credentials", |event| match event {
            AllocationEvent::Doubtful(Doubt::Credentials(words)) => Some(words.clone()),
            _ => None,
        })
    }

    fn expect_failure(&mut self) -> Failure {
        self.expect("a failure", |event| match event {
            AllocationEvent::Failed(failure) => Some(failure.clone()),
            _ => None,
        })
    }

    fn media_goes(&mut self) -> bool {
        self.allocation.send(self.now, peer(), &[0x80, 1, 2, 3]);
        !self.exchange().is_empty()
    }
}

#[test]
fn a_stale_nonce_is_renewed_for_a_refresh_a_permission_and_a_channel() {
    let mut bench = Bench::opened();
    bench.nonce = "two";
    bench.allocation.permit(bench.now, peer().ip());
    bench.exchange();
    assert_eq!(bench.count(METHOD_CREATE_PERMISSION), 2);
    bench.nonce = "three";
    bench.open_channel_again(2);
    bench.nonce = "four";
    bench.allocation.probe(bench.now);
    bench.exchange();
    assert_eq!(bench.count(METHOD_REFRESH), 2);
    assert!(bench.media_goes() && bench.is_quiet());
}

#[test]
fn a_server_that_comes_back_with_another_realm_and_nonce_gets_a_new_signature() {
    let mut bench = Bench::opened();
    (bench.realm, bench.nonce) = ("elsewhere", "two");
    bench.allocation.probe(bench.now);
    bench.exchange();
    assert_eq!(bench.count(METHOD_REFRESH), 2);
    assert!(bench.is_quiet() && !bench.allocation.is_over());
}

#[test]
fn a_remembered_challenge_saves_the_first_round_trip() {
    let known = Challenge { realm: "realm".into(), nonce: "one".into() };
    let mut bench = Bench::remembering(PASSWORD, false, Some(known.clone()));
    bench.exchange();
    assert_eq!(bench.count(METHOD_ALLOCATE), 1);
    assert_eq!(bench.allocation.challenge(), Some(known));
}

#[test]
fn a_remembered_challenge_that_is_stale_costs_nothing() {
    for (realm, nonce) in [("realm", "old"), ("old", "one"), ("old", "old")] {
        let known = Challenge { realm: realm.into(), nonce: nonce.into() };
        let mut bench = Bench::remembering(PASSWORD, false, Some(known));
        // The server asks with a new nonce, as it does after a restart.
        bench.nonce = "fresh";
        bench.exchange();
        assert_eq!(bench.count(METHOD_ALLOCATE), 2, "{realm} {nonce}");
        bench.expect("an allocation", |event| matches!(event, AllocationEvent::Opened { .. }).then_some(()));
    }
}

#[test]
fn credentials_that_ended_are_told_at_the_first_refusal_and_the_allocation_serves_until_it_expires() {
    for code in [401, 441] {
        for method in [METHOD_REFRESH, METHOD_CREATE_PERMISSION, METHOD_CHANNEL_BIND] {
            let mut bench = Bench::opened();
            bench.open_channel();
            bench.refuses = vec![(method, code)];
            while bench.is_quiet_so_far() {
                assert!(bench.tick(Duration::from_secs(400)), "nothing is renewed");
                assert!(bench.media_goes(), "{method:?}");
            }
            assert!(bench.expect_doubt().contains("have expired"));
            assert!(bench.media_goes(), "{method:?} was refused, and the channel lives");
        }
    }
}

#[test]
fn after_a_refused_refresh_the_server_is_not_pestered_until_the_allocation_expires() {
    let mut bench = Bench::opened();
    bench.refuses = vec![(METHOD_REFRESH, 401)];
    bench.run_until(Duration::from_secs(700));
    assert!(bench.expect_doubt().contains("401"));
    assert_eq!(bench.expect_failure().kind, FailureKind::Refused);
    assert!((4..12).contains(&bench.count(METHOD_REFRESH)), "{}", bench.count(METHOD_REFRESH));
    assert!(bench.allocation.is_over() && bench.now - bench.start >= Duration::from_secs(580));
}

#[test]
fn a_peer_that_the_server_forbids_is_refused_alone() {
    let mut bench = Bench::opened();
    bench.refuses = vec![(METHOD_CREATE_PERMISSION, 403)];
    bench.allocation.permit(bench.now, peer().ip());
    bench.exchange();
    let words = bench.expect("a refused peer", |event| match event {
        AllocationEvent::PeerRefused(_, words) => Some(words.clone()),
        _ => None,
    });
    assert!(words.contains("403") && bench.is_quiet(), "{words}");
}

#[test]
fn a_server_that_has_forgotten_the_allocation_ends_it_at_once() {
    for method in [METHOD_REFRESH, METHOD_CREATE_PERMISSION, METHOD_CHANNEL_BIND] {
        let mut bench = Bench::opened();
        bench.refuses = vec![(method, 437)];
        bench.allocation.send(bench.now, peer(), &[22, 1]);
        bench.allocation.probe(bench.now);
        bench.exchange();
        let failure = bench.expect_failure();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.words.contains("forgotten"), "{failure:?}");
    }
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    for (code, kind) in [
        (401, FailureKind::Refused),
        (403, FailureKind::Refused),
        (441, FailureKind::Refused),
        (442, FailureKind::Refused),
        (437, FailureKind::Unavailable),
        (486, FailureKind::Unavailable),
        (500, FailureKind::Unavailable),
        (508, FailureKind::Unavailable),
        (300, FailureKind::Unavailable),
    ] {
        let mut bench = Bench::new(PASSWORD, false);
        bench.refuses = vec![(METHOD_ALLOCATE, code)];
        bench.exchange();
        assert_eq!(bench.expect_failure().kind, kind, "{code}");
    }
}

#[test]
fn another_server_that_is_named_is_passed_on() {
    let mut bench = Bench::new(PASSWORD, false);
    bench.refuses = vec![(METHOD_ALLOCATE, 300)];
    bench.alternate = Some(addr("192.0.2.9:3479"));
    bench.exchange();
    let alternate = Alternate { server: addr("192.0.2.9:3479"), domain: Some("relay2.example".into()) };
    assert_eq!(bench.expect_failure().kind, FailureKind::Redirected(alternate));
    for nobody in ["0.0.0.0:3478", "224.0.0.1:3478", "192.0.2.9:0"] {
        let mut bench = Bench::new(PASSWORD, false);
        bench.refuses = vec![(METHOD_ALLOCATE, 300)];
        bench.alternate = Some(addr(nobody));
        bench.exchange();
        assert_eq!(bench.expect_failure().kind, FailureKind::Unavailable, "{nobody}");
    }
}

#[test]
fn a_server_that_lets_packets_vanish_is_asked_and_doubted_after_three_seconds() {
    let mut bench = Bench::opened();
    bench.open_channel();
    bench.dead = true;
    assert!(bench.media_goes());
    let start = bench.now;
    while bench.is_quiet_so_far() {
        assert!(bench.tick(Duration::from_secs(60)));
    }
    assert_eq!(bench.now - start, Duration::from_secs(3));
    let doubt = AllocationEvent::Doubtful(Doubt::Silent);
    assert_eq!(bench.allocation.poll_event(), Some(doubt));
    bench.dead = false;
    while bench.is_quiet_so_far() {
        assert!(bench.tick(Duration::from_secs(60)));
    }
    assert_eq!(bench.allocation.poll_event(), Some(AllocationEvent::Trusted));
    assert!(bench.media_goes() && bench.is_quiet());
}

#[test]
fn a_peer_that_never_answers_costs_the_server_a_question_in_ten_seconds() {
    let mut bench = Bench::opened();
    for _ in 0..600 {
        bench.allocation.send(bench.now, peer(), &[0, 1]);
        bench.exchange();
        let next = bench.now - bench.start + Duration::from_millis(100);
        bench.run_until(next);
        bench.now = bench.start + next;
    }
    assert!((5..8).contains(&bench.count(METHOD_REFRESH)), "{}", bench.count(METHOD_REFRESH));
    assert!(bench.is_quiet());
}

#[test]
fn a_replaced_allocation_is_given_back_ten_seconds_after_the_last_media() {
    let mut bench = Bench::opened();
    bench.open_channel();
    bench.allocation.retire(bench.now);
    bench.run_until(Duration::from_secs(8));
    bench.now = bench.start + Duration::from_secs(8);
    assert!(bench.media_goes());
    bench.run_until(Duration::from_secs(17));
    bench.allocation.send(bench.start + Duration::from_secs(17), peer(), &[0, 1]);
    assert!(!bench.allocation.is_over(), "checks do not count, and it is not time yet");
    bench.run_until(Duration::from_secs(18));
    assert!(bench.allocation.is_over());
    assert_eq!(bench.requests.last().map(|(_, m)| message::lifetime(m)), Some(Some(0)));
    assert!(bench.is_quiet());
}

impl Bench {
    fn is_quiet_so_far(&self) -> bool {
        self.allocation.events.is_empty()
    }

    fn open_channel_again(&mut self, asks: usize) {
        self.allocation.send(self.now, peer(), &[22, 1]);
        self.exchange();
        assert_eq!(self.count(METHOD_CHANNEL_BIND), asks);
    }
}
