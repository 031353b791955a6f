//! Each sentence, from what leads to it.

use std::net::SocketAddr;

use super::*;
use crate::transport::{Asked, Said};

const STUN: &str = "stun:192.0.2.1:3478";
const OTHER: &str = "stun:192.0.2.2:3478";
const TURN: &str = "turn:192.0.2.1:3478";
const TURNS: &str = "turns:192.0.2.1:443";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn candidate(kind: CandidateKind, at: &str, server: Option<&str>) -> LocalCandidate {
    LocalCandidate {
        kind,
        protocol: Protocol::Udp,
        address: address(at),
        base: address(if kind == CandidateKind::Relayed { at } else { "10.0.0.2:5000" }),
        related: None,
        server: server.map(Into::into),
        local_preference: 1,
    }
}

fn host() -> Vec<LocalCandidate> {
    vec![candidate(CandidateKind::Host, "10.0.0.2:5000", None)]
}

fn ends(local: &'static str, remote: &'static str, at: &str) -> Ends {
    Ends { path: Path::udp(address(at), address("203.0.113.9:6000")), local, remote }
}

fn connected(ends: Ends, local: &[LocalCandidate]) -> Verdict {
    Verdict::connected(ends, local, Duration::from_millis(43))
}

fn server(url: &str, asked: Asked, said: Said) -> ServerOutcome {
    let host = url.split(':').nth(1).unwrap_or_default();
    let local = (asked == Asked::Binding).then(|| address("10.0.0.2:5000"));
    ServerOutcome { server: url.into(), address: Some(address(&format!("{host}:3478"))), asked, local, said }
}

fn answered(url: &str, mapped: &str) -> ServerOutcome {
    server(url, Asked::Binding, Said::Answered { mapped: address(mapped), rtt: Duration::ZERO })
}

fn silent(url: &str, asked: Asked) -> ServerOutcome {
    server(url, asked, Said::Silent("it does not answer".into()))
}

fn viewer(kinds: &[&str]) -> ViewerCandidates {
    let mut all = ViewerCandidates::default();
    for (n, kind) in kinds.iter().enumerate() {
        let related = if *kind == "host" { "" } else { " raddr 10.9.0.2 rport 5000" };
        all.note(&format!("candidate:1 1 udp 1 203.0.113.7 {} typ {kind}{related}", 6000 + n));
    }
    all
}

fn without(servers: &[ServerOutcome], viewer: &ViewerCandidates) -> String {
    without_and(&host(), servers, viewer, Checks::default())
}

fn without_and(
    local: &[LocalCandidate],
    servers: &[ServerOutcome],
    viewer: &ViewerCandidates,
    checks: Checks,
) -> String {
    let (direct, asked) = (true, servers.len());
    let verdict = Verdict::without_path(&Evidence { local, direct, asked, servers, viewer, checks });
    assert!(verdict.is_bad());
    assert_eq!(verdict.label().path, "none");
    verdict.to_string()
}

#[test]
fn a_direct_path_is_named_by_the_kinds_of_its_ends_and_its_time() {
    let verdict = connected(ends("host", "srflx", "10.0.0.2:5000"), &host());
    assert_eq!(verdict.to_string(), "direct, host to srflx, 43 ms");
    let label = VerdictLabel { path: "direct", local: "host", remote: "srflx", protocol: "udp" };
    assert_eq!(verdict.label(), label);
    assert!(!verdict.is_bad());
}

#[test]
fn a_direct_path_over_tcp_says_so() {
    let mut over_tcp = ends("host", "prflx", "10.0.0.2:5000");
    over_tcp.path.protocol = Protocol::Tcp;
    let verdict = connected(over_tcp, &host());
    assert_eq!(verdict.to_string(), "direct over TCP, host to prflx, 43 ms");
    assert_eq!(verdict.label().protocol, "tcp");
}

#[test]
fn a_relayed_path_names_its_server() {
    let local = [candidate(CandidateKind::Relayed, "192.0.2.1:49200", Some(TURNS))];
    let verdict = connected(ends("relay", "srflx", "192.0.2.1:49200"), &local);
    assert_eq!(verdict.to_string(), "relayed over turns:192.0.2.1:443, relay to srflx, 43 ms");
    let verdict = connected(ends("host", "relay", "10.0.0.2:5000"), &host());
    assert_eq!(verdict.to_string(), "relayed over the viewer's TURN server, host to relay, 43 ms");
    assert_eq!(verdict.label().path, "relayed");
}

#[test]
fn a_viewer_that_left_early_gets_no_blame() {
    let end = "the viewer left".to_owned();
    let verdict = Verdict::Undecided { after: Duration::from_millis(300), end };
    assert_eq!(verdict.to_string(), "undecided: over after 300 ms, before a path was found: the viewer left");
    assert_eq!((verdict.label().path, verdict.is_bad()), ("undecided", false));
}

#[test]
fn two_silent_servers_are_a_network_that_blocks_udp() {
    let servers = [silent(STUN, Asked::Binding), silent(OTHER, Asked::Binding)];
    let said = without(&servers, &viewer(&["host", "srflx"]));
    assert_eq!(
        said,
        "no path: the camera's network blocks UDP and no TURN over TLS is configured: configure a TURN server with a \
         turns: URL on port 443"
    );
    let servers = [silent(STUN, Asked::Binding), silent("turn:192.0.2.2:3478", Asked::RelayUdp)];
    assert!(without(&servers, &viewer(&["srflx"])).contains("no TURN over TLS is configured"));
}

#[test]
fn one_silent_server_may_be_down_itself() {
    let said = without(&[silent(STUN, Asked::Binding)], &viewer(&["host", "srflx"]));
    let begin =
        "no path: stun:192.0.2.1:3478 does not answer: it is down, or the camera's network blocks UDP";
    assert!(said.starts_with(begin), "{said}");
    // It answers by TLS: it is not down.
    let refused = server(TURNS, Asked::RelayTls, Said::Refused("401 Unauthorized".into()));
    let said = without(&[silent(STUN, Asked::Binding), refused], &viewer(&["srflx"]));
    assert_eq!(
        said,
        "no path: the camera's network blocks UDP and no TURN server gave a relay: turns:192.0.2.1:443: 401 Unauthorized"
    );
}

#[test]
fn a_check_that_came_proves_that_udp_is_not_blocked() {
    let servers = [silent(STUN, Asked::Binding), silent(OTHER, Asked::Binding)];
    let checks = Checks { arrived: true, chosen: false };
    let said = without_and(&host(), &servers, &viewer(&["srflx"]), checks);
    assert!(!said.contains("blocks UDP"), "{said}");
}

#[test]
fn a_viewer_with_addresses_of_its_own_only_is_behind_a_blocking_network() {
    let mut hidden = ViewerCandidates::default();
    hidden.note("candidate:1 1 udp 1 0f3a.local 5000 typ host");
    let servers = [answered(STUN, "203.0.113.1:5000")];
    for viewer in [hidden, viewer(&["host"])] {
        assert_eq!(
            without(&servers, &viewer),
            "no path: the viewer reached no STUN server: its network blocks UDP; no TURN is configured: configure a \
             TURN server"
        );
    }
}

#[test]
fn symmetric_nats_are_named_on_the_side_where_they_are() {
    let symmetric = [answered(STUN, "203.0.113.1:7000"), answered(OTHER, "203.0.113.1:7001")];
    let cone = [answered(STUN, "203.0.113.1:7000"), answered(OTHER, "203.0.113.1:7000")];
    let turn = "; no TURN is configured: configure a TURN server";
    for (servers, kinds, middle) in [
        (
            &symmetric,
            &["srflx", "srflx"][..],
            "both sides are behind NATs that each changes ports for each destination (symmetric)",
        ),
        (
            &symmetric,
            &["srflx"],
            "the camera is behind a NAT that changes ports for each destination (symmetric), and the viewer's NAT \
             does not let it in",
        ),
        (
            &cone,
            &["srflx", "srflx"],
            "the viewer is behind a NAT that changes ports for each destination (symmetric), and the camera's NAT \
             does not let it in",
        ),
        (&cone, &["srflx"], "both sides seem to be behind strict NATs"),
    ] {
        assert_eq!(without(servers, &viewer(kinds)), format!("no path: {middle}{turn}"));
    }
}

#[test]
fn one_server_under_two_names_proves_nothing_of_the_nat() {
    let servers = [answered(STUN, "203.0.113.1:7000"), answered(STUN, "203.0.113.1:7000")];
    let viewer = viewer(&["srflx"]);
    let (local, checks) = (&host()[..], Checks::default());
    let evidence = Evidence { local, direct: true, asked: 2, servers: &servers, viewer: &viewer, checks };
    let Verdict::None(NoPath::Nats { device, .. }) = Verdict::without_path(&evidence) else {
        panic!("NATs are to blame")
    };
    assert_eq!(device, None);
}

#[test]
fn a_refusing_turn_server_is_told_with_its_words() {
    let refused = server(TURN, Asked::RelayUdp, Said::Refused("it refused with 401".into()));
    let said = without(&[answered(STUN, "203.0.113.1:7000"), refused], &viewer(&["srflx"]));
    assert!(
        said.ends_with("; no TURN server gave a relay: turn:192.0.2.1:3478: it refused with 401"),
        "{said}"
    );
}

#[test]
fn a_relay_that_nobody_reached_points_to_its_ports() {
    let mut local = host();
    local.push(candidate(CandidateKind::Relayed, "192.0.2.1:49200", Some(TURN)));
    let relays = Said::Relays { relayed: address("192.0.2.1:49200"), rtt: Duration::ZERO };
    let servers = [server(TURN, Asked::RelayUdp, relays)];
    let said = without_and(&local, &servers, &viewer(&["srflx"]), Checks::default());
    assert!(said.starts_with("no path: not even the relay on turn:192.0.2.1:3478 was reached"), "{said}");
    let said = without(&[answered(STUN, "203.0.113.1:7000")], &viewer(&["srflx", "relay"]));
    assert!(said.contains("the relay on the viewer's TURN server"), "{said}");
}

#[test]
fn names_that_lead_nowhere_point_to_dns() {
    let lost = |url: &str| ServerOutcome {
        address: None,
        ..server(url, Asked::Binding, Said::NotFound("the DNS server does not answer".into()))
    };
    let said = without(&[lost("stun:192.0.2.1:1"), lost("stun:192.0.2.2:1")], &viewer(&["srflx"]));
    assert_eq!(
        said,
        "no path: no STUN or TURN server was found: stun:192.0.2.1:1: the DNS server does not answer"
    );
}

#[test]
fn what_has_no_way_to_begin_with_is_told() {
    assert!(without(&[], &viewer(&["srflx"])).contains("no STUN or TURN server is configured"));
    let nobody = ViewerCandidates::default();
    assert!(without(&[], &nobody).contains("no candidate came from the viewer"));
    let none = Checks::default();
    assert!(without_and(&[], &[], &viewer(&["host"]), none).contains("no network address"));
    let refused = server(TURN, Asked::RelayUdp, Said::Refused("486".into()));
    let (viewer, servers) = (&viewer(&["host"]), &[refused][..]);
    let relays_only = Evidence { local: &[], direct: false, asked: 1, servers, viewer, checks: none };
    let said = Verdict::without_path(&relays_only).to_string();
    assert!(said.contains("ice.policy allows only relays here, and no TURN server gave a relay"), "{said}");
    let early = Evidence { local: &host(), direct: true, asked: 1, servers: &[], viewer, checks: none };
    assert!(Verdict::without_path(&early).to_string().contains("has answered yet"));
}

#[test]
fn checks_both_ways_without_a_handshake_point_to_large_packets() {
    let checks = Checks { arrived: true, chosen: true };
    let said = without_and(&host(), &[], &viewer(&["host"]), checks);
    assert!(said.contains("DTLS") && said.contains("large packets"), "{said}");
}
