//! What the NAT64 promises: RFC 6146's translations in both directions, with right checksums.

use std::net::SocketAddrV4;

use proptest::prelude::*;

use super::*;
use crate::lab::packet::{
    Flow, Kind, Protocol,
    tests::{assert_sums_hold, at6, echo4, echo6, error6, tcp6, udp, udp6},
    too_long, udp_payload, v4,
};

const POOL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: &str = "[2001:db8:1::2]:5000";
const SERVER6: &str = "[64:ff9b::c000:201]:3478";

fn nat64(kind: &str) -> Nat64 {
    Nat64::new(Behaviour::of(kind.parse().expect("a kind")), POOL, 1)
}

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn flow4(packet: &[u8]) -> Flow {
    assert_sums_hold(packet);
    match v4::parse(packet) {
        Ok(Kind::Flow(flow)) => flow,
        other => panic!("no flow: {other:?}"),
    }
}

fn flow6(packet: &[u8]) -> Flow<std::net::SocketAddrV6> {
    assert_sums_hold(packet);
    match v6::parse(packet) {
        Ok(Kind::Flow(flow)) => flow,
        other => panic!("no flow: {other:?}"),
    }
}

#[test]
fn an_ipv4_address_is_written_under_the_prefix_and_read_again() {
    assert_eq!(embed(SERVER), *at6(SERVER6).ip());
    assert_eq!(extract(embed(SERVER)), Some(SERVER));
    assert_eq!(extract(*at6(HOST).ip()), None);
}

#[test]
fn a_datagram_goes_out_as_ipv4_and_its_answer_comes_back_as_ipv6() {
    let (mut nat, now) = (nat64("EIM/ADF"), Instant::now());
    let mut packet = udp6(at6(HOST), at6(SERVER6), b"who am I");
    assert_eq!(nat.from_inside(&mut packet, now), Verdict::Out);
    let flow = flow4(&packet);
    assert_eq!((flow.source, flow.destination), (at(POOL, 5000), at(SERVER, 3478)));
    assert_eq!(udp_payload(&packet), Some(&b"who am I"[..]));
    let mut answer = udp(at(SERVER, 3478), flow.source, b"you");
    assert_eq!(nat.from_outside(&mut answer, now), Verdict::In);
    let flow = flow6(&answer);
    assert_eq!((flow.source, flow.destination), (at6(SERVER6), at6(HOST)));
    assert_eq!(udp_payload(&answer), Some(&b"you"[..]));
    // Nobody else gets in, where the filter goes by addresses.
    let mut stranger = udp(at(Ipv4Addr::new(192, 0, 2, 9), 3478), at(POOL, 5000), b"hello");
    assert_eq!(nat.from_outside(&mut stranger, now), Verdict::Drop(Why::Filtered));
}

#[test]
fn a_datagram_without_a_checksum_gets_one() {
    let (mut nat, now) = (nat64("EIM/EIF"), Instant::now());
    nat.from_inside(&mut udp6(at6(HOST), at6(SERVER6), b"x"), now);
    let mut answer = udp(at(SERVER, 3478), at(POOL, 5000), b"you");
    answer[26..28].fill(0);
    assert_eq!(nat.from_outside(&mut answer, now), Verdict::In);
    assert_ne!(answer[46..48], [0, 0]);
    flow6(&answer);
}

#[test]
fn tcp_and_echo_pass_in_both_directions() {
    const SYN: u8 = 2;
    let (mut nat, now) = (nat64("EIM/APDF"), Instant::now());
    let mut packet = tcp6(at6(HOST), at6(SERVER6), SYN);
    assert_eq!(nat.from_inside(&mut packet, now), Verdict::Out);
    assert_eq!((flow4(&packet).protocol, packet[20 + 13]), (Protocol::Tcp, SYN));

    let mut request = echo6(v6::ECHO_REQUEST, *at6(HOST).ip(), *at6(SERVER6).ip(), 77);
    assert_eq!(nat.from_inside(&mut request, now), Verdict::Out);
    let source = flow4(&request).source;
    let mut reply = echo4(v4::ECHO_REPLY, SERVER, POOL, source.port());
    assert_eq!(nat.from_outside(&mut reply, now), Verdict::In);
    assert_eq!(flow6(&reply).destination, at6("[2001:db8:1::2]:77"));
}

#[test]
fn errors_reach_whom_they_concern_with_the_packet_as_they_know_it() {
    let (mut nat, now) = (nat64("EIM/APDF"), Instant::now());
    let mut sent = udp6(at6(HOST), at6(SERVER6), &[7; 1300]);
    assert_eq!(nat.from_inside(&mut sent, now), Verdict::Out);
    let mut error = too_long(&sent, 1300).expect("an error");
    assert_eq!(nat.from_outside(&mut error, now), Verdict::In);
    assert_sums_hold(&error);
    assert_eq!(error[40], v6::TOO_BIG);
    // IPv6's header is longer.
    assert_eq!(error[44..48], 1320u32.to_be_bytes());
    let Ok(Kind::Error(quoted)) = v6::parse(&error) else { panic!("still an error") };
    assert_eq!((quoted.source, quoted.destination), (at6(HOST), at6(SERVER6)));

    let mut answer = udp(at(SERVER, 3478), at(POOL, 5000), b"too late");
    assert_eq!(nat.from_outside(&mut answer, now), Verdict::In);
    let mut closed = error6(v6::UNREACHABLE, 4, *at6(HOST).ip(), *at6(SERVER6).ip(), &answer);
    assert_eq!(nat.from_inside(&mut closed, now), Verdict::Out);
    assert_sums_hold(&closed);
    assert_eq!(closed[20..22], [v4::UNREACHABLE, 3]);
    let Ok(Kind::Error(quoted)) = v4::parse(&closed) else { panic!("still an error") };
    assert_eq!((quoted.source, quoted.destination), (at(SERVER, 3478), at(POOL, 5000)));
}

#[test]
fn two_hosts_have_mappings_of_their_own_and_meet_by_hairpinning() {
    let behaviour = Behaviour { hairpin: true, ..Behaviour::of("EIM/EIF".parse().expect("a kind")) };
    let (mut nat, now) = (Nat64::new(behaviour, POOL, 1), Instant::now());
    let second = at6("[2001:db8:1::3]:5000");
    let mut ports = [at6(HOST), second].map(|host| {
        let mut packet = udp6(host, at6(SERVER6), b"x");
        assert_eq!(nat.from_inside(&mut packet, now), Verdict::Out);
        flow4(&packet).source.port()
    });
    assert_ne!(ports[0], ports[1]);
    let pool = |port| std::net::SocketAddrV6::new(embed(POOL), port, 0, 0);
    let mut packet = udp6(at6(HOST), pool(ports[1]), b"neighbour");
    assert_eq!(nat.from_inside(&mut packet, now), Verdict::In);
    assert_eq!((flow6(&packet).source, flow6(&packet).destination), (pool(ports[0]), second));
    nat.reboot(POOL);
    ports.sort_unstable();
    assert_eq!(nat.mappings(now), 0);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..160),
        protocol in prop::sample::select(vec![1u8, 6, 17, 44, 58]),
        fits: bool,
    ) {
        let (mut nat, now) = (nat64("EIM/EIF"), Instant::now());
        nat.from_inside(&mut udp6(at6(HOST), at6(SERVER6), b"x"), now);
        if bytes.len() >= 40 && fits {
            (bytes[0], bytes[6]) = (0x60, protocol);
            let length = (bytes.len() - 40) as u16;
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            bytes[24..40].copy_from_slice(&embed(SERVER).octets());
        }
        nat.from_inside(&mut bytes.clone(), now);
        if bytes.len() >= 40 && fits {
            (bytes[0], bytes[9]) = (0x45, protocol);
            let length = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[6..8].fill(0);
            bytes[16..20].copy_from_slice(&POOL.octets());
            bytes[22..24].copy_from_slice(&5000u16.to_be_bytes());
        }
        nat.from_outside(&mut bytes, now);
    }

    #[test]
    fn any_datagram_comes_through_whole(payload in prop::collection::vec(any::<u8>(), 0..60), port in 1024u16..) {
        let (mut nat, now) = (nat64("EIM/EIF"), Instant::now());
        let host = std::net::SocketAddrV6::new(*at6(HOST).ip(), port, 0, 0);
        let mut packet = udp6(host, at6(SERVER6), &payload);
        prop_assert_eq!(nat.from_inside(&mut packet, now), Verdict::Out);
        let flow = flow4(&packet);
        prop_assert_eq!(udp_payload(&packet), Some(&payload[..]));
        let mut back = udp(flow.destination, flow.source, &payload);
        prop_assert_eq!(nat.from_outside(&mut back, now), Verdict::In);
        prop_assert_eq!(flow6(&back).destination, host);
        prop_assert_eq!(udp_payload(&back), Some(&payload[..]));
    }
}
