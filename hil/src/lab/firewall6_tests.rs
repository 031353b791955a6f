//! What the firewall promises.

use super::*;
use crate::lab::packet::{
    tests::{at6, echo6, error6, tcp6, udp, udp6},
    too_long, v6,
};

const HOST: &str = "[2001:db8:1::2]:5000";
const SERVER: &str = "[2001:db8::1]:3478";

#[test]
fn what_went_out_may_be_answered_and_nothing_else_comes_in() {
    let (mut firewall, now) = (Firewall::default(), Instant::now());
    let answer = udp6(at6(SERVER), at6(HOST), b"you");
    assert_eq!(firewall.from_outside(&answer, now), Verdict::Drop(Why::NoMapping));
    assert_eq!(firewall.from_inside(&udp6(at6(HOST), at6(SERVER), b"x"), now), Verdict::Out);
    assert_eq!(firewall.from_outside(&answer, now), Verdict::In);
    let other_port = udp6(at6("[2001:db8::1]:9"), at6(HOST), b"you");
    assert_eq!(firewall.from_outside(&other_port, now), Verdict::Drop(Why::NoMapping));
    // The same ports of another protocol are another flow.
    assert_eq!(firewall.from_outside(&tcp6(at6(SERVER), at6(HOST), 2), now), Verdict::Drop(Why::NoMapping));
    firewall.reboot();
    assert_eq!(firewall.from_outside(&answer, now), Verdict::Drop(Why::NoMapping));
}

#[test]
fn a_flow_is_known_as_long_as_packets_pass_in_either_direction() {
    let (mut firewall, start) = (Firewall::default(), Instant::now());
    let seconds = |seconds| start + Duration::from_secs(seconds);
    let answer = udp6(at6(SERVER), at6(HOST), b"you");
    firewall.from_inside(&udp6(at6(HOST), at6(SERVER), b"x"), start);
    firewall.from_inside(&tcp6(at6(HOST), at6(SERVER), 2), start);
    assert_eq!(firewall.from_outside(&answer, seconds(119)), Verdict::In);
    assert_eq!(firewall.from_outside(&answer, seconds(238)), Verdict::In);
    assert_eq!(firewall.flows(seconds(359)), 1, "TCP lives longer");
    assert_eq!(firewall.from_outside(&answer, seconds(359)), Verdict::Drop(Why::NoMapping));
    assert_eq!(firewall.flows(seconds(7440)), 0);
}

#[test]
fn echo_is_answered_only_to_those_who_asked() {
    let (mut firewall, now) = (Firewall::default(), Instant::now());
    let (host, server) = (*at6(HOST).ip(), *at6(SERVER).ip());
    let reply = |identifier| echo6(v6::ECHO_REPLY, server, host, identifier);
    assert_eq!(firewall.from_inside(&echo6(v6::ECHO_REQUEST, host, server, 7), now), Verdict::Out);
    assert_eq!(firewall.from_outside(&reply(7), now), Verdict::In);
    assert_eq!(firewall.from_outside(&reply(8), now), Verdict::Drop(Why::NoMapping));
    let request = echo6(v6::ECHO_REQUEST, server, host, 7);
    assert_eq!(firewall.from_outside(&request, now), Verdict::Drop(Why::NoMapping));
}

#[test]
fn errors_pass_if_they_are_about_a_flow_that_is_known() {
    let (mut firewall, now) = (Firewall::default(), Instant::now());
    let sent = udp6(at6(HOST), at6(SERVER), b"x");
    let error = too_long(&sent, 1280).expect("an error");
    assert_eq!(firewall.from_outside(&error, now), Verdict::Drop(Why::NoMapping));
    firewall.from_inside(&sent, now);
    assert_eq!(firewall.from_outside(&error, now), Verdict::In);
    let answer = udp6(at6(SERVER), at6(HOST), b"you");
    let closed = error6(v6::UNREACHABLE, 4, *at6(HOST).ip(), *at6(SERVER).ip(), &answer);
    assert_eq!(firewall.from_inside(&closed, now), Verdict::Out);
}

#[test]
fn it_takes_ipv4_as_well() {
    let (mut firewall, now) = (Firewall::default(), Instant::now());
    let (host, server) = ("198.51.100.1:5000", "192.0.2.1:3478");
    let packet =
        |from: &str, to: &str| udp(from.parse().expect("an address"), to.parse().expect("an address"), b"x");
    assert_eq!(firewall.from_outside(&packet(server, host), now), Verdict::Drop(Why::NoMapping));
    assert_eq!(firewall.from_inside(&packet(host, server), now), Verdict::Out);
    assert_eq!(firewall.from_outside(&packet(server, host), now), Verdict::In);
}

#[test]
fn a_table_that_is_full_takes_no_more_and_keeps_what_it_has() {
    let (mut firewall, now) = (Firewall::default(), Instant::now());
    let to = |port: u16| udp6(at6(HOST), std::net::SocketAddrV6::new(*at6(SERVER).ip(), port, 0, 0), b"x");
    let mut verdicts = (1..=5000).map(|port| firewall.from_inside(&to(port), now));
    assert!(verdicts.any(|verdict| verdict == Verdict::Drop(Why::Full)));
    assert_eq!(firewall.from_inside(&to(1), now), Verdict::Out);
    assert_eq!(firewall.flows(now), 4096);
}
