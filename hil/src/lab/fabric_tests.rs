//! What the network promises, under a virtual clock.

use super::*;
use crate::lab::{
    nat::{Behaviour, Kind as NatKind},
    packet::{Kind, Protocol, tests::udp, udp_payload, v4},
};

const MS: Duration = Duration::from_millis(1);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// A server on the internet, and a device behind a router.
struct Net {
    fabric: Fabric,
    internet: SegmentId,
    home: SegmentId,
    server: EndpointId,
    device: EndpointId,
    router: RouterId,
    now: Instant,
}

fn host(address: impl Into<IpAddr>) -> Vec<IpNet> {
    vec![IpNet::from(address.into())]
}

pub(super) fn nat(kind: &str, external: Ipv4Addr) -> Nat {
    Nat::new(Behaviour::of(kind.parse::<NatKind>().expect("a kind")), external, 3)
}

fn net(kind: &str) -> Net {
    let mut fabric = Fabric::default();
    let (internet, home) = (fabric.segment(), fabric.segment());
    let server = fabric.endpoint(internet, host(PUBLIC));
    let device = fabric.endpoint(home, host(DEVICE));
    let router = fabric.nat_router(home, internet, nat(kind, HOME), 4);
    Net { fabric, internet, home, server, device, router, now: Instant::now() }
}

fn to(address: Ipv4Addr, port: u16) -> std::net::SocketAddrV4 {
    std::net::SocketAddrV4::new(address, port)
}

impl Net {
    fn ask(&mut self) {
        let packet = udp(to(DEVICE, 5000), to(PUBLIC, 3478), b"who am I");
        self.fabric.send(self.device, packet, self.now);
    }

    /// What an endpoint gets within a time, and when.
    fn get(&mut self, endpoint: EndpointId, within: Duration) -> Option<(Vec<u8>, Duration)> {
        let start = self.now;
        loop {
            while let Some((whose, packet)) = self.fabric.receive(self.now) {
                if whose == endpoint {
                    return Some((packet, self.now - start));
                }
            }
            let due = self.fabric.next_due().filter(|due| *due <= start + within)?;
            self.now = due;
        }
    }
}

fn source(packet: &[u8]) -> std::net::SocketAddrV4 {
    match v4::parse(packet) {
        Ok(Kind::Flow(flow)) => flow.source,
        other => panic!("no flow: {other:?}"),
    }
}

#[test]
fn a_question_goes_out_through_the_router_and_the_answer_comes_back() {
    let mut net = net("EIM/APDF");
    let faults = |delay| Faults { delay, ..Faults::default() };
    net.fabric.set_faults(net.router, faults(15 * MS), faults(25 * MS));
    net.ask();
    let (packet, took) = net.get(net.server, 100 * MS).expect("the question arrives");
    assert_eq!((source(&packet), took), (to(HOME, 5000), 15 * MS));
    net.fabric.send(net.server, udp(to(PUBLIC, 3478), to(HOME, 5000), b"you"), net.now);
    let (packet, took) = net.get(net.device, 100 * MS).expect("the answer arrives");
    assert_eq!((udp_payload(&packet), took), (Some(&b"you"[..]), 25 * MS));
    // Nobody else's packet does.
    net.fabric.send(net.server, udp(to(PUBLIC, 9), to(HOME, 5000), b"hello"), net.now);
    assert!(net.get(net.device, 100 * MS).is_none());
    assert_eq!(net.fabric.count(net.router).refused, 1);
}

#[test]
fn two_routers_in_a_row_are_a_double_nat() {
    let mut net = net("EIM/EIF");
    let carrier = Ipv4Addr::new(100, 64, 0, 9);
    let (access, outer) = (net.fabric.segment(), Ipv4Addr::new(203, 0, 113, 5));
    let inner = net.fabric.segment();
    net.fabric.nat_router(inner, access, nat("EIM/EIF", carrier), 5);
    net.fabric.nat_router(access, net.internet, nat("APDM/APDF", outer), 6);
    net.fabric.move_endpoint(net.device, inner, host(DEVICE));
    net.ask();
    let (packet, _) = net.get(net.server, MS).expect("the question arrives");
    assert_eq!(*source(&packet).ip(), outer);
    assert_eq!(packet[8], 62, "each router takes one from the time to live");
    let answer = udp(to(PUBLIC, 3478), source(&packet), b"you");
    net.fabric.send(net.server, answer, net.now);
    assert!(net.get(net.device, MS).is_some());
}

#[test]
fn two_homes_behind_one_carrier_reach_each_other_only_if_the_carrier_hairpins() {
    for hairpin in [true, false] {
        let mut net = net("EIM/EIF");
        let behaviour = Behaviour { hairpin, ..Behaviour::of("EIM/EIF".parse().expect("a kind")) };
        let outer = Ipv4Addr::new(203, 0, 113, 5);
        let (access, neighbour) = (net.fabric.segment(), net.fabric.segment());
        let near = Ipv4Addr::new(192, 168, 9, 2);
        let other = net.fabric.endpoint(neighbour, host(near));
        net.fabric.nat_router(neighbour, access, nat("EIM/EIF", Ipv4Addr::new(100, 64, 0, 3)), 5);
        let inner = net.fabric.segment();
        net.fabric.nat_router(inner, access, nat("EIM/EIF", Ipv4Addr::new(100, 64, 0, 4)), 5);
        net.fabric.move_endpoint(net.device, inner, host(DEVICE));
        net.fabric.nat_router(access, net.internet, Nat::new(behaviour, outer, 1), 6);
        net.ask();
        let (packet, _) = net.get(net.server, MS).expect("the question arrives");
        let packet = udp(to(near, 6000), source(&packet), b"neighbour");
        net.fabric.send(other, packet, net.now);
        assert_eq!(net.get(net.device, MS).is_some(), hairpin);
    }
}

#[test]
fn what_the_policy_forbids_does_not_get_out() {
    let mut net = net("EIM/EIF");
    net.fabric.set_policy(net.router, Policy::NoUdp);
    net.ask();
    assert!(net.get(net.server, MS).is_none());
    assert_eq!(net.fabric.count(net.router).forbidden, 1);
    assert!(Policy::NoUdp.allows(Protocol::Tcp, 3478));
    assert!(Policy::OnlyTcp(443).allows(Protocol::Tcp, 443));
    assert!(!Policy::OnlyTcp(443).allows(Protocol::Tcp, 3478));
    assert!(!Policy::OnlyTcp(443).allows(Protocol::Udp, 443));
}

#[test]
fn a_line_that_is_pulled_is_silent_until_it_is_plugged_in_again() {
    let mut net = net("EIM/EIF");
    net.ask();
    assert!(net.get(net.server, MS).is_some());
    net.fabric.set_connected(net.router, false);
    net.ask();
    assert!(net.get(net.server, MS).is_none());
    net.fabric.set_connected(net.router, true);
    net.ask();
    assert!(net.get(net.server, MS).is_some());
}

#[test]
fn those_on_one_segment_reach_each_other_without_a_router() {
    let mut net = net("APDM/APDF");
    let viewer = net.fabric.endpoint(net.home, host(Ipv4Addr::new(192, 168, 1, 3)));
    let packet = udp(to(DEVICE, 5000), to(Ipv4Addr::new(192, 168, 1, 3), 6000), b"next door");
    net.fabric.send(net.device, packet, net.now);
    assert!(net.get(viewer, MS).is_some_and(|(packet, _)| *source(&packet).ip() == DEVICE));
}

#[test]
fn packets_for_nobody_are_counted_and_forgotten() {
    let mut net = net("EIM/EIF");
    let packet = udp(to(DEVICE, 5000), to(Ipv4Addr::new(203, 0, 113, 77), 1), b"x");
    net.fabric.send(net.device, packet, net.now);
    assert!(net.get(net.server, MS).is_none());
    net.fabric.send(net.device, vec![0x60, 1, 2], net.now);
    assert_eq!(net.fabric.dropped(), 2);
}
