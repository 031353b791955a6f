//! What the packet code promises, with packets that are made here.

use proptest::prelude::*;

use super::*;
use crate::lab::packet::{decrement_ttl, udp_payload};

fn at(text: &str) -> SocketAddrV4 {
    text.parse().expect("an address with a port")
}

/// An IPv4 packet with correct checksums.
pub(crate) fn ipv4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, transport: &[u8]) -> Vec<u8> {
    build(protocol, source, destination, transport)
}

pub(crate) fn udp(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut transport = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    transport.extend(((payload.len() + 8) as u16).to_be_bytes());
    transport.extend([0, 0]);
    transport.extend_from_slice(payload);
    let sum = transport_sum(UDP, *source.ip(), *destination.ip(), &transport);
    transport[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(UDP, *source.ip(), *destination.ip(), &transport)
}

fn transport_sum(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, transport: &[u8]) -> u16 {
    let mut pseudo = [source.octets(), destination.octets()].concat();
    pseudo.extend([0, protocol]);
    pseudo.extend((transport.len() as u16).to_be_bytes());
    pseudo.extend_from_slice(transport);
    checksum(&pseudo)
}

pub(crate) fn echo(kind: u8, source: Ipv4Addr, destination: Ipv4Addr, identifier: u16) -> Vec<u8> {
    let mut icmp = vec![kind, 0, 0, 0];
    icmp.extend(identifier.to_be_bytes());
    icmp.extend([0, 1, 9, 9]);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(ICMP, source, destination, &icmp)
}

pub(crate) fn assert_sums_hold(packet: &[u8]) {
    assert_eq!(checksum(&packet[..20]), 0, "header of {packet:02x?}");
    let transport = &packet[20..];
    match packet[9] {
        ICMP => assert_eq!(checksum(transport), 0, "ICMP of {packet:02x?}"),
        protocol => {
            let sum = transport_sum(protocol, address(packet, 12), address(packet, 16), transport);
            assert_eq!(sum, 0, "transport of {packet:02x?}");
        }
    }
}

#[test]
fn new_addresses_are_written_with_right_checksums() {
    let mut packet = udp(at("192.168.1.2:5000"), at("203.0.113.9:3478"), b"odd");
    rewrite(&mut packet, End::Source, at("198.51.100.7:61000"));
    assert_sums_hold(&packet);
    rewrite(&mut packet, End::Destination, at("10.0.0.1:1"));
    assert_sums_hold(&packet);
    let flow =
        Flow { protocol: Protocol::Udp, source: at("198.51.100.7:61000"), destination: at("10.0.0.1:1") };
    assert_eq!(parse(&packet), Ok(Kind::Flow(flow)));
    assert_eq!(udp_payload(&packet), Some(&b"odd"[..]));
}

#[test]
fn a_datagram_without_a_checksum_gets_none() {
    let mut packet = udp(at("192.168.1.2:5000"), at("203.0.113.9:3478"), b"x");
    packet[26..28].fill(0);
    rewrite(&mut packet, End::Source, at("198.51.100.7:61000"));
    assert_eq!(packet[26..28], [0, 0]);
}

#[test]
fn the_identifier_of_an_echo_goes_with_the_side_that_asked() {
    let (inside, outside) = (Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(203, 0, 113, 9));
    let mut request = echo(ECHO_REQUEST, inside, outside, 77);
    rewrite(&mut request, End::Source, at("198.51.100.7:4000"));
    assert_sums_hold(&request);
    let Ok(Kind::Flow(flow)) = parse(&request) else { panic!("an echo is a flow") };
    assert_eq!((flow.source, flow.destination.port()), (at("198.51.100.7:4000"), 0));
    let mut reply = echo(ECHO_REPLY, outside, *at("198.51.100.7:1").ip(), 4000);
    rewrite(&mut reply, End::Destination, at("192.168.1.2:77"));
    assert_sums_hold(&reply);
    let Ok(Kind::Flow(flow)) = parse(&reply) else { panic!("an echo is a flow") };
    assert_eq!((flow.source.port(), flow.destination), (0, at("192.168.1.2:77")));
}

#[test]
fn an_error_is_told_to_whom_it_concerns_with_the_packet_as_they_know_it() {
    let sent = udp(at("198.51.100.7:61000"), at("203.0.113.9:9"), b"payload");
    let mut icmp = vec![UNREACHABLE, 3, 0, 0, 0, 0, 0, 0];
    icmp.extend_from_slice(&sent[..28]);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut error = ipv4(ICMP, Ipv4Addr::new(203, 0, 113, 9), Ipv4Addr::new(198, 51, 100, 7), &icmp);
    let Ok(Kind::Error(flow)) = parse(&error) else { panic!("an error is seen as one") };
    assert_eq!(flow.source, at("198.51.100.7:61000"));
    rewrite_error(&mut error, End::Source, at("192.168.1.2:5000"));
    assert_sums_hold(&error);
    assert_eq!(address(&error, 16), Ipv4Addr::new(192, 168, 1, 2));
    let Ok(Kind::Error(flow)) = parse(&error) else { panic!("still an error") };
    assert_eq!(flow.source, at("192.168.1.2:5000"));
    assert_eq!(checksum(&error[28..48]), 0, "the quoted header is whole");
}

#[test]
fn a_packet_at_the_end_of_its_life_goes_no_further() {
    let mut packet = udp(at("192.168.1.2:5000"), at("203.0.113.9:3478"), b"x");
    for _ in 0..63 {
        assert!(decrement_ttl(&mut packet));
        assert_sums_hold(&packet);
    }
    assert!(!decrement_ttl(&mut packet));
}

#[test]
fn fragments_and_strangers_are_named() {
    let mut packet = udp(at("192.168.1.2:5000"), at("203.0.113.9:3478"), b"x");
    packet[7] = 1;
    assert_eq!(parse(&packet), Err(Unusable::Fragment));
    packet[7] = 0;
    packet[9] = 47;
    assert_eq!(parse(&packet), Err(Unusable::Protocol(47)));
    assert_eq!(parse(&packet[..10]), Err(Unusable::Malformed));
    assert_eq!(parse(&[]), Err(Unusable::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), port: u16) {
        let to = SocketAddrV4::new(Ipv4Addr::new(1, 2, 3, 4), port);
        match parse(&bytes) {
            Ok(Kind::Flow(_)) => rewrite(&mut bytes, End::Destination, to),
            Ok(Kind::Error(_)) => rewrite_error(&mut bytes, End::Source, to),
            Err(_) => {}
        }
        decrement_ttl(&mut bytes);
        udp_payload(&bytes);
    }

    #[test]
    fn any_datagram_survives_any_rewriting(
        payload in prop::collection::vec(any::<u8>(), 0..40),
        ports: [u16; 3],
        addresses: [u32; 3],
        destination: bool,
    ) {
        let [source, there, to] =
            std::array::from_fn(|i| SocketAddrV4::new(Ipv4Addr::from(addresses[i]), ports[i]));
        let mut packet = udp(source, there, &payload);
        let end = if destination { End::Destination } else { End::Source };
        let had_sum = packet[26..28] != [0, 0];
        rewrite(&mut packet, end, to);
        if had_sum {
            assert_sums_hold(&packet);
        }
        prop_assert_eq!(udp_payload(&packet), Some(&payload[..]));
    }
}
