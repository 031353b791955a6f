//! A peer whose viewer reaches it over TCP alone, on the real stack.

use super::*;
use crate::transport::{CandidateKind, LocalCandidate};

/// A browser's: it tells that it connects from there, not from which port (RFC 6544 section 4.5).
const ACTIVE: &str = "candidate:1 1 tcp 1518280447 198.51.100.1 9 typ host tcptype active";

fn passive() -> String {
    let device = DEVICE.parse().expect("an address");
    LocalCandidate::passive(CandidateKind::Host, device, device, u16::MAX).to_line("abcd")
}

fn over_tcp() -> Net {
    Net::over(transport::Protocol::Tcp, [&passive(), ACTIVE], Duration::from_millis(20))
}

#[test]
fn a_viewer_without_udp_gets_its_pictures_over_tcp() {
    let mut net = over_tcp();
    net.connect();
    assert_eq!(net.peer.path(), format!("host (tcp) {DEVICE} to prflx {VIEWER}"));
    net.push_picture(20_000);
    net.run_for(Duration::from_millis(100));
    assert!(net.viewer.heard.values().sum::<usize>() >= 20_000, "{:?}", net.viewer.heard);
}

#[test]
fn the_device_checks_nobody_over_tcp_who_did_not_connect() {
    let mut net = over_tcp();
    let until = net.now + Duration::from_secs(2);
    while net.now < until {
        net.peer.handle_timeout(net.now);
        assert!(net.peer.all_out(net.now).is_empty(), "there is no connection to send on");
        net.now += Duration::from_millis(10);
    }
}

#[test]
fn a_path_over_tcp_is_kept_up_by_its_checks() {
    let mut net = over_tcp();
    net.connect();
    net.events.clear();
    // RFC 7675: what the stack needs to keep the path is answered over TCP too.
    net.run_for(Duration::from_secs(30));
    assert!(net.events.is_empty(), "{:?}", net.events);
}
