//! What the network promises about both IP versions, its kinds of router, lines and captures, under a virtual clock.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::{tests::nat, *};
use crate::lab::{
    nat::Behaviour,
    nat64::embed,
    packet::{
        Flow, Kind,
        tests::{assert_sums_hold, at6, tcp6, udp, udp6},
        udp_payload, v4, v6,
    },
};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SERVER6: &str = "[2001:db8::1]:3478";
const DEVICE6: &str = "[2001:db8:1::2]:5000";

/// A server and a device with addresses of both versions, and no router.
struct Net {
    fabric: Fabric,
    internet: SegmentId,
    home: SegmentId,
    server: EndpointId,
    device: EndpointId,
    now: Instant,
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("a prefix")).collect()
}

fn at(text: &str) -> std::net::SocketAddrV4 {
    text.parse().expect("an address with a port")
}

impl Net {
    fn new() -> Self {
        let mut fabric = Fabric::default();
        let (internet, home) = (fabric.segment(), fabric.segment());
        let server = fabric.endpoint(internet, nets(&["192.0.2.1/32", "2001:db8::1/128"]));
        let device = fabric.endpoint(home, nets(&["192.168.1.2/32", "2001:db8:1::2/128"]));
        Self { fabric, internet, home, server, device, now: Instant::now() }
    }

    fn plain(&mut self, prefixes: &[&str], stateful: bool) -> RouterId {
        self.fabric.plain_router(self.home, self.internet, nets(prefixes), stateful, 1)
    }

    /// Sends, and gives what arrives anywhere without time going by.
    fn send(&mut self, from: EndpointId, packet: Vec<u8>) -> Option<(EndpointId, Vec<u8>)> {
        self.fabric.send(from, packet, self.now);
        let got = self.fabric.receive(self.now);
        assert_eq!(self.fabric.receive(self.now), None, "one packet makes at most one");
        if let Some((_, packet)) = &got {
            assert_sums_hold(packet);
        }
        got
    }

    fn ask6(&mut self) -> Option<(EndpointId, Vec<u8>)> {
        self.send(self.device, udp6(at6(DEVICE6), at6(SERVER6), b"x"))
    }

    fn answer6(&mut self) -> Option<(EndpointId, Vec<u8>)> {
        self.send(self.server, udp6(at6(SERVER6), at6(DEVICE6), b"you"))
    }
}

fn flow(packet: &[u8]) -> Flow<std::net::SocketAddr> {
    match packet::parse(packet) {
        Ok(Kind::Flow(flow)) => flow,
        other => panic!("no flow: {other:?}"),
    }
}

#[test]
fn ipv6_keeps_its_addresses_and_the_firewall_asks_who_began() {
    for stateful in [true, false] {
        let mut net = Net::new();
        let router = net.plain(&["2001:db8:1::/64"], stateful);
        assert_eq!(net.answer6().is_some(), !stateful, "nobody asked");
        let (whose, packet) = net.ask6().expect("the question arrives");
        assert_eq!((whose, flow(&packet).source), (net.server, at6(DEVICE6).into()));
        assert_eq!(packet[7], 63, "a router takes one from the hop limit");
        assert!(net.answer6().is_some_and(|(whose, _)| whose == net.device));
        assert_eq!(net.fabric.count(router).refused, u64::from(stateful));
        net.fabric.reboot(router);
        assert_eq!(net.answer6().is_some(), !stateful, "it forgot who asked");
    }
}

#[test]
fn with_two_routers_each_packet_takes_the_one_of_its_version() {
    let mut net = Net::new();
    net.fabric.nat_router(net.home, net.internet, nat("EIM/EIF", HOME), 1);
    net.plain(&["2001:db8:1::/64"], true);
    let (_, packet) = net.ask6().expect("it arrives");
    assert_eq!(flow(&packet).source, SocketAddr::from(at6(DEVICE6)));
    let (_, packet) =
        net.send(net.device, udp(at("192.168.1.2:5000"), at("192.0.2.1:3478"), b"x")).expect("it arrives");
    assert_eq!(flow(&packet).source, SocketAddr::from(at("198.51.100.1:5000")));
}

#[test]
fn a_nat64_takes_its_prefix_and_leaves_the_rest_of_ipv6_alone() {
    let mut net = Net::new();
    let nat64 = Nat64::new(Behaviour::of("EIM/ADF".parse().expect("a kind")), HOME, 1);
    let router = net.fabric.nat64_router(net.home, net.internet, nat64, 1);
    assert_eq!(net.ask6(), None, "no way for native IPv6");
    net.plain(&["2001:db8:1::/64"], true);
    assert!(net.ask6().is_some());
    let there = std::net::SocketAddrV6::new(embed(SERVER), 3478, 0, 0);
    let (whose, packet) = net.send(net.device, udp6(at6(DEVICE6), there, b"who am I")).expect("it arrives");
    assert_eq!((whose, flow(&packet).source), (net.server, at("198.51.100.1:5000").into()));
    let (whose, packet) = net
        .send(net.server, udp(at("192.0.2.1:3478"), at("198.51.100.1:5000"), b"you"))
        .expect("it comes back");
    assert_eq!((whose, flow(&packet).source), (net.device, there.into()));
    let moved = Ipv4Addr::new(198, 51, 100, 9);
    net.fabric.set_external(router, moved);
    let (_, packet) = net.send(net.device, udp6(at6(DEVICE6), there, b"again")).expect("it arrives");
    assert_eq!(flow(&packet).source.ip(), IpAddr::V4(moved));
}

#[test]
fn a_policy_holds_for_ipv6_and_for_those_who_have_a_public_address() {
    let mut net = Net::new();
    let router = net.plain(&["2001:db8:1::/64"], false);
    net.fabric.set_policy(router, Policy::NoUdp);
    assert_eq!((net.ask6(), net.answer6()), (None, None));
    assert_eq!(net.fabric.count(router).forbidden, 2);
    let (syn, answer) =
        (tcp6(at6(DEVICE6), at6("[2001:db8::1]:443"), 2), tcp6(at6("[2001:db8::1]:443"), at6(DEVICE6), 0x12));
    assert!(net.send(net.device, syn.clone()).is_some());
    net.fabric.set_policy(router, Policy::OnlyTcp(443));
    assert!(net.send(net.device, syn).is_some());
    assert!(net.send(net.server, answer).is_some(), "the answer to a connection attempt");
    assert_eq!(net.send(net.device, tcp6(at6(DEVICE6), at6(SERVER6), 2)), None);
    // What cannot be looked into is not let through.
    let mut fragment = udp6(at6(DEVICE6), at6(SERVER6), b"x");
    fragment[6] = 44;
    fragment[42] = 1;
    assert_eq!(net.send(net.device, fragment), None);
}

#[test]
fn a_router_without_nat_lets_nobody_out_under_a_strange_address() {
    let mut net = Net::new();
    let router = net.plain(&["2001:db8:1::/64"], false);
    let forged = udp6(at6("[2001:db8:9::9]:5000"), at6(SERVER6), b"x");
    assert_eq!(net.send(net.device, forged), None);
    // Nor does a packet for somebody who is not there go round in circles.
    let nobody = udp6(at6(DEVICE6), at6("[2001:db8:1::77]:1"), b"x");
    assert_eq!(net.send(net.device, nobody), None);
    assert_eq!(net.fabric.count(router).refused, 2);
}

#[test]
fn what_stays_on_a_link_is_dropped_without_a_word() {
    let mut net = Net::new();
    let router = net.plain(&["2001:db8:1::/64"], false);
    for to in ["[ff02::2]:0", "[ff02::fb]:5353", "[fe80::1]:1"] {
        assert_eq!(net.send(net.device, udp6(at6(DEVICE6), at6(to), b"x")), None);
    }
    assert_eq!(net.send(net.device, udp6(at6("[fe80::2]:1"), at6(SERVER6), b"x")), None);
    assert_eq!(net.send(net.device, udp(at("192.168.1.2:1"), at("224.0.0.251:5353"), b"x")), None);
    assert_eq!((net.fabric.dropped(), net.fabric.count(router)), (0, RouterCount::default()));
}

#[test]
fn the_longest_prefix_wins_and_a_gateway_gets_what_is_left() {
    let mut net = Net::new();
    let gateway = net.fabric.endpoint(net.home, nets(&["192.168.1.1/32"]));
    let lan = net.fabric.endpoint(net.home, nets(&["192.168.1.0/24", "10.0.0.0/8"]));
    let mut goes_to = |to: &str| {
        let packet = udp(at("192.168.1.2:5000"), at(to), b"x");
        net.send(net.device, packet).map(|(whose, _)| whose)
    };
    assert_eq!(goes_to("192.168.1.1:1"), Some(gateway));
    assert_eq!((goes_to("192.168.1.9:1"), goes_to("10.9.9.9:1")), (Some(lan), Some(lan)));
    assert_eq!(goes_to("192.0.2.1:1"), None);
    net.fabric.gateway(net.home, gateway);
    let packet = udp(at("192.168.1.2:5000"), at("192.0.2.1:1"), b"x");
    assert_eq!(net.send(net.device, packet.clone()).map(|(whose, _)| whose), Some(gateway));
    assert_eq!(net.send(gateway, packet.clone()), None, "it does not come back to who sent it");
    // A computed router goes first.
    net.plain(&["2001:db8:1::/64"], false);
    assert_eq!(net.ask6().map(|(whose, _)| whose), Some(net.server));
    net.fabric.gateway(net.home, None);
    assert_eq!(net.send(net.device, packet), None);
}

#[test]
fn senders_are_told_what_is_too_long_on_either_side_of_any_router() {
    let narrow = Faults { mtu: 1300, ..Faults::default() };
    let mut net = Net::new();
    let v6 = net.plain(&["2001:db8:1::/64"], true);
    let v4 = net.fabric.nat_router(net.home, net.internet, nat("EIM/APDF", HOME), 1);
    for router in [v6, v4] {
        net.fabric.set_faults(router, narrow, narrow);
    }
    let told = |(whose, packet): (EndpointId, Vec<u8>)| match packet::parse(&packet) {
        Ok(Kind::Error(about)) => (whose, about.source),
        other => panic!("no error: {other:?}"),
    };
    let long = [7; 1350];
    let device4 = at("192.168.1.2:5000");
    let error = net.send(net.device, udp6(at6(DEVICE6), at6(SERVER6), &long)).map(told);
    assert_eq!(error, Some((net.device, at6(DEVICE6).into())));
    let error = net.send(net.device, udp(device4, at("192.0.2.1:3478"), &long)).map(told);
    assert_eq!(
        error,
        Some((net.device, device4.into())),
        "as the sender knows its packet, not as the NAT does"
    );
    let error = net.send(net.server, udp6(at6(SERVER6), at6(DEVICE6), &long)).map(told);
    assert_eq!(error, Some((net.server, at6(SERVER6).into())));
    let error = net.send(net.server, udp(at("192.0.2.1:3478"), at("198.51.100.1:5000"), &long)).map(told);
    assert_eq!(error, Some((net.server, at("192.0.2.1:3478").into())));
    let hole = Faults { mtu_black_hole: true, ..narrow };
    net.fabric.set_faults(v6, hole, hole);
    assert_eq!(net.send(net.device, udp6(at6(DEVICE6), at6(SERVER6), &long)), None);
    assert_eq!(net.fabric.count(v6).up.too_long, 2);
}

#[test]
fn through_a_nat64_a_sender_is_told_in_its_own_ip_version() {
    let mut net = Net::new();
    let nat64 = Nat64::new(Behaviour::of("EIM/EIF".parse().expect("a kind")), HOME, 1);
    let router = net.fabric.nat64_router(net.home, net.internet, nat64, 1);
    let narrow = Faults { mtu: 1280, ..Faults::default() };
    net.fabric.set_faults(router, narrow, narrow);
    let there = std::net::SocketAddrV6::new(embed(SERVER), 3478, 0, 0);
    let (whose, error) =
        net.send(net.device, udp6(at6(DEVICE6), there, &[7; 1300])).expect("an error comes back");
    assert_eq!((whose, error[40], &error[44..48]), (net.device, v6::TOO_BIG, &1300u32.to_be_bytes()[..]));
    assert!(matches!(v6::parse(&error), Ok(Kind::Error(flow)) if flow.source == at6(DEVICE6)));
    // With IPv6's longer header this is 1300 bytes inside, and fits the line outside.
    assert!(net.send(net.device, udp6(at6(DEVICE6), there, &[7; 1252])).is_some());
    let (whose, error) = net
        .send(net.server, udp(at("192.0.2.1:3478"), at("198.51.100.1:5000"), &[7; 1300]))
        .expect("an error comes back");
    assert_eq!((whose, error[20]), (net.server, v4::UNREACHABLE));
}

#[test]
fn a_router_is_taken_away_and_another_put_in_its_place() {
    let mut net = Net::new();
    let first = net.plain(&["2001:db8:1::/64"], false);
    assert!(net.ask6().is_some());
    net.fabric.remove_router(first);
    assert_eq!(net.ask6(), None);
    let second = net.plain(&["2001:db8:1::/64"], true);
    assert!(net.ask6().is_some());
    assert_eq!(net.fabric.count(second).up.passed, 1, "it counts for itself");
    net.fabric.set_translation(second, Translation::Nat44(nat("EIM/EIF", HOME)));
    assert_eq!(net.ask6(), None);
    assert!(net.fabric.nat(second).is_some());
    let packet = udp(std::net::SocketAddrV4::new(DEVICE, 5000), at("192.0.2.1:3478"), b"x");
    assert!(net.send(net.device, packet).is_some());
}

#[test]
fn a_capture_keeps_the_last_packets_of_both_directions_in_its_bounds() {
    let mut net = Net::new();
    net.plain(&["2001:db8:1::/64"], false);
    net.ask6();
    assert_eq!(net.fabric.captured(net.device), [], "off until it is asked for");
    net.fabric.set_capture(net.device, 2000);
    for number in 0..100u8 {
        net.send(net.device, udp6(at6(DEVICE6), at6(SERVER6), &[number; 100]));
        net.send(net.server, udp6(at6(SERVER6), at6(DEVICE6), &[number; 100]));
    }
    let kept = net.fabric.captured(net.device);
    let bytes: usize = kept.iter().map(|(_, _, packet)| packet.len()).sum();
    assert!((1000..=2000).contains(&bytes), "{bytes}");
    let last: Vec<_> =
        kept[kept.len() - 2..].iter().map(|(at, way, packet)| (*at, *way, udp_payload(packet))).collect();
    let payload = Some(&[99; 100][..]);
    assert_eq!(last, [(net.now, Direction::Sent, payload), (net.now, Direction::Received, payload)]);
    net.fabric.set_capture(net.device, 10);
    net.ask6();
    assert_eq!(net.fabric.captured(net.device), [], "not even one packet fits");
    net.fabric.set_capture(net.device, 0);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..8),
        protocol in prop::sample::select(vec![0u8, 1, 6, 17, 43, 44, 58, 60]),
        shape in 0..4,
    ) {
        let mut net = Net::new();
        let nat64 = Nat64::new(Behaviour::of("EIM/EIF".parse().expect("a kind")), HOME, 1);
        let routers = [
            net.fabric.nat64_router(net.home, net.internet, nat64, 1),
            net.plain(&["::/1", "0.0.0.0/1"], true),
            net.fabric.nat_router(net.home, net.internet, nat("EIM/EIF", HOME), 1),
        ];
        let narrow = Faults { mtu: 60, ..Faults::default() };
        net.fabric.set_faults(routers[shape as usize % 3], narrow, narrow);
        net.fabric.set_capture(net.device, 300);
        for mut packet in packets {
            let length = packet.len() as u16;
            if packet.len() >= 40 && shape & 1 == 0 {
                (packet[0], packet[6]) = (0x60, protocol);
                packet[4..6].copy_from_slice(&(length - 40).to_be_bytes());
                let to = if shape == 0 { embed(SERVER) } else { *at6(SERVER6).ip() };
                packet[24..40].copy_from_slice(&to.octets());
            } else if packet.len() >= 20 && shape & 1 == 1 {
                (packet[0], packet[9]) = (0x45, protocol);
                packet[2..4].copy_from_slice(&length.to_be_bytes());
                packet[16..20].copy_from_slice(&if shape == 1 { SERVER } else { HOME }.octets());
            }
            net.fabric.send(net.device, packet.clone(), net.now);
            net.fabric.send(net.server, packet, net.now);
            while net.fabric.receive(net.now).is_some() {}
        }
    }
}
