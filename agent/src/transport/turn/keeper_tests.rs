//! The keeper under a virtual clock, with servers that answer when the test says so.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::*;
use crate::transport::turn::{
    reachability::{Outcome, Reachability, Way},
    types::FailureKind,
};

const UDP: &str = "turn:a.example?transport=udp";
const TCP: &str = "turn:a.example?transport=tcp";
const TLS: &str = "turns:a.example?transport=tcp";
const OTHER: &str = "turn:b.example?transport=udp";
const ROUND_TRIP: Duration = Duration::from_millis(40);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn url(text: &str, username: &str) -> ServerUrl {
    let mut url = ServerUrl::parse(text).expect("a test's own URL");
    (url.username, url.credential) = (Some(username.into()), Some("secret".into()));
    url
}

struct Bench {
    start: Instant,
    now: Instant,
    wall: SystemTime,
    memory: Reachability,
    keeper: Keeper,
    asked: Vec<(u64, String, Duration)>,
    kept: Vec<(u64, u16)>,
    done: Vec<Action>,
}

impl Bench {
    fn remembering(servers: &[&str], username: &str, memory: Reachability) -> Self {
        let start = Instant::now();
        let servers = servers.iter().map(|text| url(text, username)).collect();
        let keeper = Keeper::new(start, servers, Box::new(|| 128));
        let wall = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let (asked, kept, done) = Default::default();
        let mut this = Self { start, now: start, wall, memory, keeper, asked, kept, done };
        this.act();
        this
    }

    fn new(servers: &[&str]) -> Self {
        Self::remembering(servers, "alice", Reachability::default())
    }

    /// Does what the keeper wants; names are looked up at once.
    fn act(&mut self) {
        while let Some(action) = self.keeper.poll_action() {
            match action {
                Action::Resolve { round, server, url } => {
                    let address = SocketAddr::from(([192, 0, 2, 1], url.port));
                    self.keeper.resolved(self.now, round, server, &[address], &self.memory);
                }
                Action::Ask { id, url, .. } => self.asked.push((id, url.to_string(), self.now - self.start)),
                Action::Keep(id, preference) => self.kept.push((id, preference)),
                other => self.done.push(other),
            }
        }
    }

    /// Serves timers until `at` from the start.
    fn run_to(&mut self, at: Duration) {
        while let Some(due) = self.keeper.poll_timeout().filter(|due| *due <= self.start + at) {
            self.now = self.now.max(due);
            self.keeper.handle_timeout(self.now);
            self.act();
        }
        self.now = self.start + at;
    }

    /// The newest attempt at `server`.
    fn id(&self, server: &str) -> u64 {
        let name = url(server, "").to_string();
        self.asked.iter().rev().find(|(_, asked, _)| *asked == name).expect("it was asked").0
    }

    fn open(&mut self, server: &str) -> u64 {
        let id = self.id(server);
        let wall = self.wall + (self.now - self.start);
        self.keeper.opened(self.now, wall, id, ROUND_TRIP);
        self.act();
        id
    }

    fn fail(&mut self, server: &str, why: &FailureKind) -> bool {
        let id = self.id(server);
        let told = self.keeper.failed(self.now, id, why);
        self.act();
        told
    }

    fn kept(&self) -> Vec<u64> {
        self.kept.iter().map(|(id, _)| *id).collect()
    }

    fn times(&self, server: &str) -> Vec<Duration> {
        let name = url(server, "").to_string();
        self.asked.iter().filter(|(_, asked, _)| *asked == name).map(|(.., at)| *at).collect()
    }

    fn renew(&mut self, servers: &[&str], username: &str) {
        let servers = servers.iter().map(|text| url(text, username)).collect();
        self.keeper.renew(self.now, servers);
        self.act();
    }
}

#[test]
fn all_servers_are_asked_at_once_and_gathering_ends_when_none_is_left() {
    let mut bench = Bench::new(&[UDP, TCP, TLS]);
    assert_eq!(bench.asked.len(), 3);
    for server in [UDP, TCP, TLS] {
        assert!(!bench.done.contains(&Action::Settled));
        assert!(bench.fail(server, &FailureKind::Unavailable), "it is of no use");
    }
    assert_eq!(bench.done, [Action::Settled]);
}

#[test]
fn without_servers_gathering_ends_at_once() {
    assert_eq!(Bench::new(&[]).done, [Action::Settled]);
}

#[test]
fn tcp_that_answers_first_waits_for_udp_and_udp_is_preferred() {
    let mut bench = Bench::new(&[TLS, TCP, UDP]);
    let tcp = bench.open(TCP);
    bench.run_to(ms(99));
    assert!(bench.kept.is_empty(), "UDP has a head start");
    let udp = bench.open(UDP);
    assert_eq!(bench.kept(), [udp, tcp], "TLS can only be worse");
    assert!(bench.kept[0].1 > bench.kept[1].1);
    assert_eq!(bench.done, [Action::Settled], "what is asked is not waited for");
    let tls = bench.open(TLS);
    assert_eq!(bench.done.last(), Some(&Action::Release(tls)));
}

#[test]
fn without_udp_tcp_is_kept_after_the_head_start_or_as_soon_as_udp_failed() {
    let mut bench = Bench::new(&[UDP, TCP]);
    let tcp = bench.open(TCP);
    bench.run_to(ms(100));
    assert_eq!(bench.kept(), [tcp]);
    let mut bench = Bench::new(&[UDP, TCP]);
    let tcp = bench.open(TCP);
    bench.fail(UDP, &FailureKind::Unavailable);
    assert_eq!(bench.kept(), [tcp]);
}

#[test]
fn the_second_place_goes_to_another_server_or_transport() {
    let mut bench = Bench::new(&[UDP, OTHER]);
    // Another address of the first server answers too.
    let round = bench.keeper.rounds;
    let second = ["[2001:db8::1]:3478".parse().expect("an address")];
    bench.keeper.resolved(bench.now, round, 0, &second, &bench.memory);
    bench.act();
    let double = bench.open(UDP);
    let first = bench.asked[0].0;
    assert_ne!(first, double);
    assert_eq!(bench.kept(), [double]);
    bench.keeper.opened(bench.now, bench.wall, first, ROUND_TRIP);
    bench.act();
    assert_eq!(bench.kept(), [double], "there may be something better");
    let other = bench.open(OTHER);
    assert_eq!(bench.kept(), [double, other]);
    assert!(bench.done.contains(&Action::Release(first)));
}

#[test]
fn a_second_address_of_the_only_server_is_better_than_nothing() {
    let mut bench = Bench::new(&[UDP]);
    let round = bench.keeper.rounds;
    let second = ["[2001:db8::1]:3478".parse().expect("an address")];
    bench.keeper.resolved(bench.now, round, 0, &second, &bench.memory);
    bench.act();
    let ids: Vec<_> = bench.asked.iter().map(|(id, ..)| *id).collect();
    for id in &ids {
        bench.keeper.opened(bench.now, bench.wall, *id, ROUND_TRIP);
        bench.act();
    }
    assert_eq!(bench.kept(), ids);
}

#[test]
fn what_failed_a_moment_ago_is_asked_late_and_what_answered_best_alone_at_first() {
    let mut memory = Reachability::default();
    let address = SocketAddr::from(([192, 0, 2, 1], 3478));
    let mut learn = |text: &str, outcome| {
        memory.learn(Instant::now(), Way::new(&url(text, ""), address), outcome, None);
    };
    learn(UDP, Outcome::Failed);
    learn(TCP, Outcome::Answered(ms(30)));
    learn(OTHER, Outcome::Answered(ms(90)));
    learn(TLS, Outcome::Answered(ms(60)));
    let mut bench = Bench::remembering(&[UDP, TCP, TLS, OTHER], "alice", memory);
    bench.run_to(ms(499));
    assert_eq!((bench.times(UDP), bench.times(TCP), bench.times(OTHER)), (vec![], vec![ms(0)], vec![ms(0)]));
    assert_eq!(bench.times(TLS), [ms(120)], "two that are better do not answer in two round trips");
    bench.run_to(ms(500));
    assert_eq!(bench.times(UDP), [ms(500)]);
}

#[test]
fn nobody_waits_for_a_server_that_failed_before_when_there_is_no_other() {
    let mut memory = Reachability::default();
    let address = SocketAddr::from(([192, 0, 2, 1], 3478));
    memory.learn(Instant::now(), Way::new(&url(UDP, ""), address), Outcome::Failed, None);
    assert_eq!(Bench::remembering(&[UDP], "alice", memory).times(UDP), [ms(0)]);
}

#[test]
fn a_lost_allocation_is_sought_at_once_and_then_ever_more_seldom() {
    let mut bench = Bench::new(&[UDP]);
    bench.open(UDP);
    bench.run_to(Duration::from_secs(60));
    bench.fail(UDP, &FailureKind::Unavailable);
    for _ in 0..20 {
        bench.fail(UDP, &FailureKind::Unavailable);
        let due = bench.keeper.poll_timeout().expect("it goes on");
        bench.run_to(due - bench.start);
    }
    let times = bench.times(UDP);
    let pauses: Vec<_> = times.windows(2).skip(1).map(|w| (w[1] - w[0]).as_millis()).collect();
    assert_eq!(times[1], Duration::from_secs(60));
    assert_eq!(pauses[..7], [500, 1000, 2000, 4000, 8000, 16000, 30000]);
    assert!(pauses[7..].iter().all(|pause| *pause == 30_000), "{pauses:?}");
    let before = bench.kept.len();
    bench.open(UDP);
    assert_eq!(bench.kept.len(), before + 1);
}

#[test]
fn when_one_is_lost_the_server_of_the_other_is_asked_whether_that_one_lives() {
    let mut bench = Bench::new(&[UDP, TCP]);
    let (udp, _) = (bench.open(UDP), bench.open(TCP));
    bench.fail(TCP, &FailureKind::Unavailable);
    assert_eq!(bench.done.last(), Some(&Action::Probe(udp)));
}

#[test]
fn an_allocation_that_does_not_last_is_not_sought_in_a_circle() {
    let mut bench = Bench::new(&[UDP]);
    for _ in 0..5 {
        bench.open(UDP);
        bench.fail(UDP, &FailureKind::Unavailable);
        let due = bench.keeper.poll_timeout().expect("it goes on");
        bench.run_to(due - bench.start);
    }
    assert!(bench.now - bench.start >= Duration::from_secs(15), "{:?}", bench.times(UDP));
}

#[test]
fn a_silent_server_is_replaced_unless_it_speaks_first() {
    let mut bench = Bench::new(&[UDP, OTHER, TCP]);
    let (udp, _, _) = (bench.open(UDP), bench.open(OTHER), bench.open(TCP));
    bench.run_to(Duration::from_secs(60));
    bench.keeper.doubtful(bench.now, udp, false);
    bench.act();
    assert_eq!(bench.times(TCP).len(), 2);
    bench.keeper.trusted(bench.now, udp);
    bench.act();
    let late = bench.open(TCP);
    assert_eq!(bench.done.last(), Some(&Action::Release(late)), "it is not needed any more");
    bench.keeper.doubtful(bench.now, udp, false);
    bench.act();
    let new = bench.open(TCP);
    bench.run_to(Duration::from_secs(61));
    assert_eq!(bench.kept.last().map(|(id, _)| *id), Some(new));
    assert_eq!(bench.done.last(), Some(&Action::Retire(udp)));
}

#[test]
fn credentials_are_rotated_with_a_fifth_of_their_life_left_and_the_new_allocation_comes_first() {
    let mut bench = Bench::remembering(&[UDP], "1764000100:s", Reachability::default());
    let old = bench.open(UDP);
    bench.run_to(Duration::from_secs(30));
    bench.renew(&[UDP], "1764000200:s");
    bench.run_to(Duration::from_secs(79));
    assert_eq!(bench.times(UDP).len(), 1, "the old one is good for 80 s");
    bench.run_to(Duration::from_secs(80));
    assert_eq!(bench.times(UDP).len(), 2);
    assert!(!bench.done.contains(&Action::Retire(old)), "make before break");
    let new = bench.open(UDP);
    assert_eq!(bench.done.last(), Some(&Action::Retire(old)));
    assert_eq!(bench.kept.last().map(|(id, _)| *id), Some(new));
    assert!(bench.kept[1].1 > bench.kept[0].1, "the viewer is to prefer the new one");
}

#[test]
fn without_new_credentials_the_old_ones_are_used_until_the_server_refuses_and_then_wait() {
    let mut bench = Bench::remembering(&[UDP], "1764000100:s", Reachability::default());
    let old = bench.open(UDP);
    bench.run_to(Duration::from_secs(200));
    assert_eq!(bench.times(UDP).len(), 1);
    bench.keeper.doubtful(bench.now, old, true);
    bench.act();
    bench.fail(UDP, &FailureKind::Refused);
    bench.run_to(Duration::from_secs(400));
    assert_eq!(bench.times(UDP).len(), 2, "what was refused is not asked again");
    bench.renew(&[UDP], "1764000500:s");
    let new = bench.open(UDP);
    assert_eq!(bench.kept(), [old, new]);
    assert_eq!(bench.done.last(), Some(&Action::Retire(old)));
}

#[test]
fn an_allocation_at_a_server_that_is_not_named_any_more_is_moved() {
    let mut bench = Bench::new(&[UDP]);
    let old = bench.open(UDP);
    bench.run_to(Duration::from_secs(20));
    bench.renew(&[OTHER], "alice");
    let new = bench.open(OTHER);
    assert_eq!((bench.kept(), bench.done.last()), (vec![old, new], Some(&Action::Retire(old))));
    bench.renew(&[], "alice");
    assert_eq!(bench.times(OTHER).len(), 1, "without any server the old ones go on");
}

#[test]
fn no_more_than_two_allocations_retire_at_a_time() {
    let mut bench = Bench::new(&[UDP]);
    let mut ids = vec![bench.open(UDP)];
    for n in 1..5_u64 {
        bench.run_to(Duration::from_secs(20 * n));
        bench.keeper.doubtful(bench.now, ids[ids.len() - 1], true);
        bench.act();
        ids.push(bench.open(UDP));
    }
    assert_eq!(bench.keeper.lines.len(), 3);
    let released: Vec<_> = bench.done.iter().filter(|a| matches!(a, Action::Release(_))).collect();
    assert_eq!(released, [&Action::Release(ids[0]), &Action::Release(ids[1])]);
}

#[test]
fn in_another_network_the_servers_are_asked_anew_and_allocations_are_probed() {
    let mut bench = Bench::new(&[UDP, OTHER]);
    let held = bench.open(UDP);
    let waiting = bench.id(OTHER);
    bench.keeper.network_changed(bench.now);
    bench.act();
    assert_eq!(bench.done, [Action::Release(waiting), Action::Probe(held)]);
    assert_eq!(bench.times(OTHER).len(), 2);
    let other = bench.open(OTHER);
    assert_eq!(bench.kept(), [held, other]);
    assert_eq!(bench.done.last(), Some(&Action::Settled));
}

#[test]
fn the_memory_of_one_session_orders_the_servers_of_the_next() {
    let mut memory = Reachability::default();
    memory.at(&Arc::default());
    let address = SocketAddr::from(([192, 0, 2, 1], 3478));
    for (text, time) in [(UDP, 200), (OTHER, 20)] {
        memory.learn(Instant::now(), Way::new(&url(text, ""), address), Outcome::Answered(ms(time)), None);
    }
    let mut bench = Bench::remembering(&[UDP, OTHER], "alice", memory);
    for (server, time) in [(UDP, 200), (OTHER, 20)] {
        let id = bench.id(server);
        bench.keeper.opened(bench.now, bench.wall, id, ms(time));
        bench.act();
    }
    assert!(bench.kept[1].1 > bench.kept[0].1, "preference follows the round trip: {:?}", bench.kept);
}
