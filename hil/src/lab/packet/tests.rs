//! Packets of both versions for tests, and what the packet code promises about either.

use std::net::{Ipv6Addr, SocketAddrV6};

use proptest::prelude::*;

pub(crate) use super::v4::tests::{echo as echo4, udp};
use super::*;

pub(crate) fn udp6(source: SocketAddrV6, destination: SocketAddrV6, payload: &[u8]) -> Vec<u8> {
    let mut transport = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    transport.extend(((payload.len() + 8) as u16).to_be_bytes());
    transport.extend([0, 0]);
    transport.extend_from_slice(payload);
    whole6(UDP, 6, *source.ip(), *destination.ip(), transport)
}

/// A TCP header with a flag byte (RFC 9293 section 3.1), without options or data.
pub(crate) fn tcp6(source: SocketAddrV6, destination: SocketAddrV6, flags: u8) -> Vec<u8> {
    let mut transport = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    transport.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    whole6(TCP, 16, *source.ip(), *destination.ip(), transport)
}

pub(crate) fn echo6(kind: u8, source: Ipv6Addr, destination: Ipv6Addr, identifier: u16) -> Vec<u8> {
    let mut icmp = vec![kind, 0, 0, 0];
    icmp.extend(identifier.to_be_bytes());
    icmp.extend([0, 1, 9, 9]);
    whole6(v6::ICMP, 2, source, destination, icmp)
}

/// An ICMPv6 error that quotes a packet.
pub(crate) fn error6(kind: u8, code: u8, source: Ipv6Addr, destination: Ipv6Addr, quoted: &[u8]) -> Vec<u8> {
    let icmp = [&[kind, code, 0, 0, 0, 0, 0, 0], quoted].concat();
    whole6(v6::ICMP, 2, source, destination, icmp)
}

fn whole6(protocol: u8, sum_at: usize, from: Ipv6Addr, to: Ipv6Addr, mut transport: Vec<u8>) -> Vec<u8> {
    let pseudo = sum::pseudo_v6(from, to, protocol, transport.len() as u16);
    let sum = !sum::fold(pseudo + sum::add(&transport));
    transport[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    v6::build(protocol, from, to, &transport)
}

/// Checks all checksums of a whole packet of either version.
pub(crate) fn assert_sums_hold(packet: &[u8]) {
    if version(packet) == Some(4) {
        return v4::tests::assert_sums_hold(packet);
    }
    assert_eq!(v6::total(packet), Ok(packet.len()));
    let (protocol, at) = v6::transport(packet).expect("a whole IPv6 packet");
    let ends = (v6::address(packet, v6::SOURCE), v6::address(packet, v6::DESTINATION));
    let pseudo = sum::pseudo_v6(ends.0, ends.1, protocol, (packet.len() - at) as u16);
    assert_eq!(!sum::fold(pseudo + sum::add(&packet[at..])), 0, "transport of {packet:02x?}");
}

pub(crate) fn at6(text: &str) -> SocketAddrV6 {
    text.parse().expect("an address with a port")
}

#[test]
fn the_flow_of_an_ipv6_packet_is_found_behind_its_extension_headers() {
    let (from, to) = (at6("[2001:db8:1::2]:5000"), at6("[2001:db8::1]:3478"));
    let plain = udp6(from, to, b"hello");
    let flow = Flow { protocol: Protocol::Udp, source: from.into(), destination: to.into() };
    assert_eq!(parse(&plain), Ok(Kind::Flow(flow)));
    assert_eq!(udp_payload(&plain), Some(&b"hello"[..]));
    // Hop-by-hop options of eight bytes, then an atomic fragment header.
    let mut packet = plain[..40].to_vec();
    packet[6] = 0;
    packet[5] += 16;
    packet.extend([44, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 0, 0, 1, 2, 3, 4]);
    packet.extend(&plain[40..]);
    assert_eq!(parse(&packet), Ok(Kind::Flow(flow)));
    packet[40 + 8 + 3] = 1;
    assert_eq!(parse(&packet), Err(Unusable::Fragment));
    assert_eq!(parse(&plain[..47]), Err(Unusable::Malformed));
}

#[test]
fn an_ipv6_packet_at_the_end_of_its_life_goes_no_further() {
    let mut packet = udp6(at6("[2001:db8:1::2]:5000"), at6("[2001:db8::1]:3478"), b"x");
    assert!((0..63).all(|_| decrement_ttl(&mut packet)));
    assert!(!decrement_ttl(&mut packet));
    assert_sums_hold(&packet);
}

#[test]
fn a_sender_is_told_what_is_too_long_and_by_how_much() {
    let long = udp6(at6("[2001:db8:1::2]:5000"), at6("[2001:db8::1]:3478"), &[7; 1400]);
    let error = too_long(&long, 1300).expect("an error");
    assert_sums_hold(&error);
    assert_eq!(error.len(), 1280, "an error itself fits every line");
    assert_eq!((error[40], &error[44..48]), (v6::TOO_BIG, &1300u32.to_be_bytes()[..]));
    assert!(matches!(parse(&error), Ok(Kind::Error(flow)) if flow.source.port() == 5000));
    assert_eq!(too_long(&error, 100), None, "no error about an error");

    let (from, to) = ("192.168.1.2:5000", "203.0.113.9:3478");
    let mut long = udp(from.parse().expect("an address"), to.parse().expect("an address"), &[7; 1400]);
    let error = too_long(&long, 1300).expect("an error");
    assert_sums_hold(&error);
    assert_eq!((&error[20..22], &error[26..28]), (&[3, 4][..], &1300u16.to_be_bytes()[..]));
    assert_eq!(too_long(&error, 100), None, "no error about an error");
    // Without "don't fragment" nobody is told.
    long[6] = 0;
    assert_eq!(too_long(&long, 1300), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), six: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = if six { 0x60 } else { 0x45 };
        }
        let _ = (parse(&bytes), source(&bytes), destination(&bytes), udp_payload(&bytes));
        let _ = too_long(&bytes, 0);
        decrement_ttl(&mut bytes);
    }
}
