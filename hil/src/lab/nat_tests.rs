//! What the NAT promises: RFC 4787's behaviours one by one, and the truth table of pairs.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::lab::packet::{tests::udp, udp_payload};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

fn at(text: &str) -> SocketAddrV4 {
    text.parse().expect("an address with a port")
}

fn flow(packet: &[u8]) -> Flow {
    match parse(packet) {
        Ok(packet::Kind::Flow(flow)) => flow,
        other => panic!("no flow: {other:?}"),
    }
}

/// A router of a kind, and a clock.
struct Router {
    nat: Nat,
    now: Instant,
}

impl Router {
    fn new(kind: &str) -> Self {
        Self::with(Behaviour::of(kind.parse().expect("a kind")))
    }

    fn with(behaviour: Behaviour) -> Self {
        Self { nat: Nat::new(behaviour, OUTSIDE, 1), now: Instant::now() }
    }

    /// Sends from inside; the external address that the other side sees.
    fn send(&mut self, from: &str, to: &str) -> SocketAddrV4 {
        let mut packet = udp(at(from), at(to), b"out");
        assert_eq!(self.nat.from_inside(&mut packet, self.now), Verdict::Out);
        flow(&packet).source
    }

    /// Sends from outside; who inside gets it.
    fn receive(&mut self, from: &str, to: SocketAddrV4) -> Result<SocketAddrV4, Why> {
        let mut packet = udp(at(from), to, b"in");
        match self.nat.from_outside(&mut packet, self.now) {
            Verdict::In => Ok(flow(&packet).destination),
            Verdict::Drop(why) => Err(why),
            Verdict::Out => panic!("in became out"),
        }
    }
}

#[test]
fn a_mapping_is_used_again_for_what_it_depends_on() {
    let same = |kind: &str, to: &str| {
        let mut router = Router::new(kind);
        router.send("192.168.1.2:5000", "203.0.113.9:1000") == router.send("192.168.1.2:5000", to)
    };
    let (other_port, other_address) = ("203.0.113.9:2000", "203.0.113.8:1000");
    assert!(same("EIM/EIF", other_port) && same("EIM/EIF", other_address));
    assert!(same("ADM/ADF", other_port) && !same("ADM/ADF", other_address));
    assert!(!same("APDM/APDF", other_port) && !same("APDM/APDF", other_address));
    assert!(same("APDM/APDF", "203.0.113.9:1000"));
}

#[test]
fn the_filter_lets_in_whom_its_kind_says() {
    let lets_in = |kind: &str, from: &str| {
        let mut router = Router::new(kind);
        let external = router.send("192.168.1.2:5000", "203.0.113.9:1000");
        router.receive(from, external)
    };
    let inside = Ok(at("192.168.1.2:5000"));
    for kind in Kind::ALL.map(|kind| kind.to_string()) {
        assert_eq!(lets_in(&kind, "203.0.113.9:1000"), inside, "{kind}: the one who was sent to");
    }
    for (kind, same_address, stranger) in [
        ("EIM/EIF", true, true),
        ("EIM/ADF", true, false),
        ("EIM/APDF", false, false),
        ("APDM/EIF", true, true),
    ] {
        assert_eq!(lets_in(kind, "203.0.113.9:2000") == inside, same_address, "{kind}");
        assert_eq!(lets_in(kind, "203.0.113.8:1000") == inside, stranger, "{kind}");
    }
    assert_eq!(lets_in("EIM/APDF", "203.0.113.9:2000"), Err(Why::Filtered));
}

#[test]
fn a_mapping_lives_as_long_as_it_is_used_to_send() {
    let mut router = Router::new("EIM/EIF");
    let external = router.send("192.168.1.2:5000", "203.0.113.9:1000");
    router.now += Duration::from_secs(119);
    router.send("192.168.1.2:5000", "203.0.113.9:1000");
    router.now += Duration::from_secs(119);
    assert!(router.receive("203.0.113.9:1000", external).is_ok());
    // Having received does not count (RFC 4787 section 4.3 leaves it open; most routers do so).
    router.now += Duration::from_secs(2);
    assert_eq!(router.receive("203.0.113.9:1000", external), Err(Why::NoMapping));
    assert_eq!(router.nat.mappings(router.now), 0);
}

#[test]
fn those_inside_reach_each_other_by_their_external_addresses_only_where_the_router_hairpins() {
    for hairpin in [true, false] {
        let kind = "EIM/EIF".parse().expect("a kind");
        let mut router = Router::with(Behaviour { hairpin, ..Behaviour::of(kind) });
        let external = router.send("192.168.1.3:7000", "203.0.113.9:1000");
        let mut packet = udp(at("192.168.1.2:5000"), external, b"over there");
        let verdict = router.nat.from_inside(&mut packet, router.now);
        if hairpin {
            assert_eq!(verdict, Verdict::In);
            // RFC 4787 REQ-9: the source is the external address.
            assert_eq!(flow(&packet).source, SocketAddrV4::new(OUTSIDE, 5000));
            assert_eq!(flow(&packet).destination, at("192.168.1.3:7000"));
        } else {
            assert_eq!(verdict, Verdict::Drop(Why::Hairpin));
        }
    }
}

#[test]
fn a_forwarded_port_is_open_to_everybody_and_keeps_its_number_outward() {
    let mut router = Router::new("APDM/APDF");
    router.nat.forward(Protocol::Udp, 45_000, at("192.168.1.2:5000"));
    let external = SocketAddrV4::new(OUTSIDE, 45_000);
    assert_eq!(router.receive("203.0.113.8:9", external), Ok(at("192.168.1.2:5000")));
    assert_eq!(router.send("192.168.1.2:5000", "203.0.113.9:1000"), external);
    router.nat.reboot(OUTSIDE);
    assert!(router.receive("203.0.113.8:9", external).is_ok());
}

#[test]
fn a_reboot_forgets_mappings_and_gives_other_ports() {
    for kind in Kind::ALL {
        let mut router = Router::with(Behaviour::of(kind));
        let before = router.send("192.168.1.2:5000", "203.0.113.9:1000");
        router.nat.reboot(OUTSIDE);
        assert_eq!(router.receive("203.0.113.9:1000", before), Err(Why::NoMapping));
        let after = router.send("192.168.1.2:5000", "203.0.113.9:1000");
        assert_ne!(before, after, "{kind}");
    }
}

#[test]
fn a_table_that_is_full_says_so_and_keeps_what_it_has() {
    let mut router = Router::new("APDM/APDF");
    let first = router.send("192.168.1.2:5000", "203.0.113.9:1");
    let mut verdicts = (2..=5000u16).map(|port| {
        let to = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), port);
        let mut packet = udp(at("192.168.1.2:5000"), to, b"x");
        router.nat.from_inside(&mut packet, router.now)
    });
    assert!(verdicts.any(|verdict| verdict == Verdict::Drop(Why::Full)));
    assert!(router.receive("203.0.113.9:1", first).is_ok());
}

/// One side of a call: an address inside, its router, and where it sends checks to.
struct Side {
    inside: SocketAddrV4,
    router: Nat,
    targets: BTreeSet<SocketAddrV4>,
    answered: bool,
}

impl Side {
    fn send(&mut self, to: SocketAddrV4, payload: &[u8], now: Instant, net: &mut Vec<Vec<u8>>) {
        let mut packet = udp(self.inside, to, payload);
        if self.router.from_inside(&mut packet, now) == Verdict::Out {
            net.push(packet);
        }
    }

    /// Takes a packet off the net: answers a check, and checks back at where it came from (RFC 8445 section 7.3.1.3).
    /// An answer counts if it comes from where the check went to (section 7.2.5.2.1).
    fn take(&mut self, mut packet: Vec<u8>, now: Instant, net: &mut Vec<Vec<u8>>) {
        let from = flow(&packet).source;
        if self.router.from_outside(&mut packet, now) != Verdict::In {
            return;
        }
        let payload = udp_payload(&packet).unwrap_or_default();
        if let Some(checked) = payload.strip_prefix(b"check ") {
            self.targets.insert(from);
            self.send(from, &[b"answer ", checked].concat(), now, net);
        } else {
            self.answered |= payload == format!("answer {from}").as_bytes();
        }
    }
}

/// Host and reflexive candidates, one STUN server, no relay: whether both sides get an answer to a check.
fn comes_through(one: Kind, two: Kind) -> bool {
    let now = Instant::now();
    let stun = at("192.0.2.1:3478");
    let mut sides = [(one, "192.168.1.2:5000", "198.51.100.1"), (two, "192.168.2.2:6000", "203.0.113.1")]
        .map(|(kind, inside, external)| Side {
            inside: at(inside),
            router: Nat::new(Behaviour::of(kind), external.parse().expect("an address"), 11),
            targets: BTreeSet::new(),
            answered: false,
        });
    let mut reflexive = sides.each_mut().map(|side| {
        let mut net = Vec::new();
        side.send(stun, b"where am I", now, &mut net);
        flow(&net[0]).source
    });
    reflexive.reverse();
    for (side, other) in sides.iter_mut().zip(reflexive) {
        side.targets.insert(other);
    }
    // Checks are repeated: a hole is punched by a packet that itself gets lost.
    for _ in 0..4 {
        let mut net = Vec::new();
        for side in &mut sides {
            for to in side.targets.clone() {
                side.send(to, format!("check {to}").as_bytes(), now, &mut net);
            }
        }
        while let Some(packet) = net.pop() {
            let to = *flow(&packet).destination.ip();
            if let Some(side) = sides.iter_mut().find(|side| side.router.external() == to) {
                side.take(packet, now, &mut net);
            }
        }
    }
    sides.iter().all(|side| side.answered)
}

#[test]
fn pairs_are_direct_where_the_truth_table_says_so() {
    for one in Kind::ALL {
        for two in Kind::ALL {
            assert_eq!(comes_through(one, two), truth::is_direct(one, two), "{one} with {two}");
        }
    }
}
