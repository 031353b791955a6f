//! The rules of the table, and a model of them under random histories.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const A: EndpointId = EndpointId(1);
const B: EndpointId = EndpointId(2);

fn local() -> SocketAddr {
    SocketAddr::from(([192, 168, 0, 7], 5000))
}

fn remote(port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], port))
}

fn check(ufrag: &str) -> Packet<'_> {
    Packet::StunRequest { id: [0; 12], ufrag: Some(ufrag) }
}

fn two_sessions() -> (Table, Instant) {
    let mut table = Table::default();
    assert!(table.open(A, "aaaa"));
    assert!(table.open(B, "bbbb"));
    (table, Instant::now())
}

#[test]
fn media_follows_the_check_that_named_the_session() {
    let (mut table, now) = two_sessions();
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &Packet::Dtls), None);
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &check("aaaa")), Some(A));
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &Packet::Dtls), Some(A));
    assert_eq!(
        table.route(now, Path::udp(local(), remote(2)), &Packet::Media),
        None,
        "another port is another viewer"
    );
}

#[test]
fn an_answer_finds_the_session_that_asked() {
    let (mut table, now) = two_sessions();
    table.expect(now, Path::udp(local(), remote(1)), A);
    assert_eq!(
        table.route(now, Path::udp(local(), remote(1)), &Packet::StunResponse { id: [0; 12] }),
        Some(A)
    );
}

#[test]
fn who_only_sends_gives_way_to_who_is_named() {
    let (mut table, now) = two_sessions();
    table.expect(now, Path::udp(local(), remote(1)), A);
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &check("bbbb")), Some(B));
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &Packet::Media), Some(B));
}

#[test]
fn a_live_session_keeps_its_address_against_another_ufrag() {
    let (mut table, now) = two_sessions();
    table.route(now, Path::udp(local(), remote(1)), &check("aaaa"));
    let soon = now + HOLD / 2;
    assert_eq!(
        table.route(soon, Path::udp(local(), remote(1)), &check("bbbb")),
        Some(B),
        "the check itself is delivered"
    );
    assert_eq!(table.route(soon, Path::udp(local(), remote(1)), &Packet::Media), Some(A));
    table.route(soon, Path::udp(local(), remote(1)), &check("aaaa"));
    table.route(now + HOLD, Path::udp(local(), remote(1)), &check("bbbb"));
    assert_eq!(
        table.route(now + HOLD, Path::udp(local(), remote(1)), &Packet::Media),
        Some(A),
        "its claim was renewed"
    );
}

#[test]
fn a_silent_session_loses_its_address_to_the_next_viewer_there() {
    let (mut table, now) = two_sessions();
    table.route(now, Path::udp(local(), remote(1)), &check("aaaa"));
    table.route(now + HOLD, Path::udp(local(), remote(1)), &check("bbbb"));
    assert_eq!(table.route(now + HOLD, Path::udp(local(), remote(1)), &Packet::Media), Some(B));
}

#[test]
fn a_closed_session_frees_its_addresses_at_once() {
    let (mut table, now) = two_sessions();
    table.route(now, Path::udp(local(), remote(1)), &check("aaaa"));
    table.close(A);
    assert_eq!(table.remotes(), 0);
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &Packet::Media), None);
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &check("aaaa")), None);
    table.expect(now, Path::udp(local(), remote(1)), A);
    assert_eq!(table.remotes(), 0, "a closed session gets nothing any more");
}

#[test]
fn a_viewer_with_many_ports_displaces_only_its_own_oldest() {
    let (mut table, now) = two_sessions();
    table.route(now, Path::udp(local(), remote(1)), &check("bbbb"));
    table.expect(now, Path::udp(local(), remote(2)), A);
    let count = u16::try_from(MAX_REMOTES).expect("the bound is small");
    for port in 100..100 + count {
        let at = now + Duration::from_millis(u64::from(port));
        table.route(at, Path::udp(local(), remote(port)), &check("aaaa"));
    }
    assert_eq!(table.remotes(), MAX_REMOTES + 1);
    assert_eq!(table.route(now, Path::udp(local(), remote(1)), &Packet::Media), Some(B));
    assert_eq!(
        table.route(now, Path::udp(local(), remote(2)), &Packet::Media),
        None,
        "it was never named there"
    );
    assert_eq!(table.route(now, Path::udp(local(), remote(99 + count)), &Packet::Media), Some(A));
}

#[test]
fn a_ufrag_is_taken_once() {
    let (mut table, _) = two_sessions();
    assert!(!table.open(EndpointId(3), "aaaa"));
}

#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Close(u64),
    Expect(u64, u16),
    Check(u64, u16),
    Media(u16),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (endpoint, port) = (0..6_u64, 1..80_u16);
    prop_oneof![
        1 => endpoint.clone().prop_map(Step::Open),
        1 => endpoint.clone().prop_map(Step::Close),
        2 => (endpoint.clone(), port.clone()).prop_map(|(e, p)| Step::Expect(e, p)),
        6 => (endpoint, port.clone()).prop_map(|(e, p)| Step::Check(e, p)),
        2 => port.prop_map(Step::Media),
        1 => (0..6_000_u64).prop_map(Step::Pass),
    ]
}

#[test]
fn claims_that_were_not_signed_displace_no_proven_address() {
    let (mut table, now) = two_sessions();
    let path = Path::udp(local(), remote(1));
    table.route(now, path, &check("aaaa"));
    assert!(!table.is_proven(path));
    table.prove(path, B);
    assert!(!table.is_proven(path), "another session's answer proves nothing");
    table.prove(path, A);
    for n in 0..2 * u16::try_from(MAX_REMOTES).expect("few") {
        table.route(now + Duration::from_secs(1), Path::udp(local(), remote(100 + n)), &check("aaaa"));
    }
    assert!(table.is_proven(path));
    assert_eq!(table.route(now, path, &Packet::Media), Some(A));
}

proptest! {
    #[test]
    fn packets_reach_only_sessions_that_have_to_do_with_their_address(
        steps in proptest::collection::vec(step(), 1..400)
    ) {
        let mut table = Table::default();
        let mut now = Instant::now();
        // For each open endpoint: when it was last named from a port; None: it only sent there.
        let mut open: HashMap<u64, HashMap<u16, Option<Instant>>> = HashMap::new();
        for step in steps {
            match step {
                Step::Open(e) => {
                    prop_assert_eq!(table.open(EndpointId(e), &e.to_string()), !open.contains_key(&e));
                    open.entry(e).or_default();
                }
                Step::Close(e) => {
                    table.close(EndpointId(e));
                    open.remove(&e);
                }
                Step::Expect(e, port) => {
                    table.expect(now, Path::udp(local(), remote(port)), EndpointId(e));
                    if let Some(touched) = open.get_mut(&e) {
                        touched.entry(port).or_insert(None);
                    }
                }
                Step::Check(e, port) => {
                    let name = e.to_string();
                    let to = table.route(now, Path::udp(local(), remote(port)), &check(&name));
                    prop_assert_eq!(to, open.contains_key(&e).then_some(EndpointId(e)));
                    if let Some(touched) = open.get_mut(&e) {
                        touched.insert(port, Some(now));
                    }
                }
                Step::Media(port) => {
                    if let Some(to) = table.route(now, Path::udp(local(), remote(port)), &Packet::Media) {
                        let touched = open.get(&to.0).and_then(|t| t.get(&port));
                        prop_assert!(touched.is_some(), "{to:?} has nothing to do with port {port}");
                    }
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
            }
            prop_assert!(table.remotes() <= MAX_REMOTES_TOTAL);
            for (endpoint, paths) in &table.paths {
                prop_assert!(paths.len() <= MAX_REMOTES);
                prop_assert!(open.contains_key(&endpoint.0));
                for path in paths {
                    prop_assert_eq!(table.owners[path].endpoint, *endpoint);
                }
            }
            let listed: usize = table.paths.values().map(HashSet::len).sum();
            prop_assert_eq!(listed, table.remotes());
        }
    }
}
