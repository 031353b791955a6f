//! The probe, in labs and between places. Takes root; without it, says so and runs nothing.
#![allow(clippy::expect_used)]

mod lab_support;

use std::{net::IpAddr, process::Command, time::Duration};

use lab_support::{behind, build, plan};
use p2pcam_hil::{
    lab::{
        build::{DeviceHost, INTERNET, Lab},
        nat::Behaviour,
        probe::{Place, Places, ProbeError, probe, probe_between, probe_lifetime},
    },
    scenario::plan::{RouterKind, RouterPlan, Side},
};

fn with(change: impl FnOnce(&mut Behaviour)) -> Side {
    let mut behaviour = Behaviour::of("EIM/APDF".parse().expect("a kind"));
    change(&mut behaviour);
    let mut side = behind(&[]);
    side.uplink.routers = vec![RouterPlan { kind: RouterKind::Computed(behaviour), forwards: Vec::new() }];
    side
}

fn places(lab: &Lab) -> Places {
    Places::new(lab.addresses().device.v4.expect("IPv4"), INTERNET)
}

#[test]
fn the_life_of_a_mapping_is_found() {
    let life = Duration::from_millis(1500);
    let side = with(|behaviour| behaviour.udp_life = life);
    let Some(lab) = build("life", &plan(side, behind(&[])), DeviceHost::Process) else { return };
    let (device, internet) = (lab.device(), lab.internet());
    let up_to = Duration::from_secs(4);
    let found = probe_lifetime(device, internet, places(&lab), up_to).expect("a measurement");
    println!("{found}");
    let gone = found.gone_after.expect("it goes");
    assert!((found.at_least..=gone).contains(&life), "{found}");
    assert!(gone - found.at_least < Duration::from_millis(500), "{found}");
    let short = Duration::from_millis(700);
    let found = probe_lifetime(device, internet, places(&lab), short).expect("a measurement");
    assert_eq!(found.gone_after, None, "{found}");
    assert!(found.at_least >= short, "{found}");
}

#[test]
fn hairpinning_and_ports_are_found() {
    let side = with(|behaviour| {
        behaviour.hairpin = true;
        behaviour.ports = p2pcam_hil::lab::nat::PortChoice::Sequential;
    });
    let Some(lab) = build("hairpin", &plan(side, behind(&[])), DeviceHost::Process) else { return };
    let measured = probe(lab.device(), lab.internet(), places(&lab)).expect("a measurement");
    assert!(measured.hairpins && !measured.preserves_ports, "{measured}");
    assert!(measured.to_string().contains("hairpins"), "{measured}");
}

#[test]
fn a_router_is_measured_between_places_by_name() {
    let Some(lab) = build("places", &plan(behind(&["ADM/ADF"]), behind(&[])), DeviceHost::Process) else {
        return;
    };
    let inside = Place::Namespace(lab.device().name().into(), vec![IpAddr::from([192, 168, 1, 2])]);
    let outside = Place::Namespace(lab.internet().name().into(), INTERNET.map(IpAddr::from).to_vec());
    let (measured, _) = probe_between(&inside, &outside, None).expect("a measurement");
    assert_eq!(measured.kind.to_string(), "ADM/ADF");
    let nowhere = Place::Namespace("p2phil-nosuch".into(), vec![IpAddr::from([192, 168, 1, 2])]);
    let error = probe_between(&nowhere, &outside, None).expect_err("there is no such place");
    assert!(matches!(&error, ProbeError::Place { place, .. } if place == "p2phil-nosuch"), "{error}");
    assert!(error.to_string().contains("ip netns"), "{error}");
}

#[test]
fn a_router_on_two_cables_is_measured_with_the_cards_of_this_machine() {
    let Some(lab) = build("cables", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else { return };
    // A router of the kernel's own, in a namespace with two cards: as one that was bought.
    let router = p2pcam_hil::lab::namespace::Namespace::create("cables-router").expect("a namespace");
    drop(lab);
    let ip =
        |words: String| Command::new("ip").args(words.split_whitespace()).status().is_ok_and(|s| s.success());
    let mut cables = Vec::new();
    for name in ["pin", "pout"] {
        if !ip(format!("link add {name}0 type veth peer name {name}1")) {
            return println!("not run: the kernel has no virtual cables (veth)");
        }
        cables.push(Gone(format!("{name}0")));
        assert!(ip(format!("link set {name}1 netns {}", router.name())));
    }
    let inside = |program: &str, words: &str| {
        let status = router.command(program).args(words.split_whitespace()).status();
        status.is_ok_and(|status| status.success())
    };
    for words in [
        "addr add 192.168.77.1/24 dev pin1",
        "addr add 198.51.100.77/24 dev pout1",
        "link set pin1 up",
        "link set pout1 up",
    ] {
        assert!(inside("ip", words), "{words}");
    }
    router.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).expect("it forwards");
    let rules = [
        "add table ip nat",
        "add chain ip nat post { type nat hook postrouting priority srcnat; }",
        "add rule ip nat post oifname pout1 masquerade",
        "add chain ip nat in { type filter hook input priority filter; }",
        "add rule ip nat in iifname pout1 ct state new drop",
    ];
    if !rules.iter().all(|rule| inside("nft", rule)) {
        return println!("not run: nft is not there, or cannot do NAT");
    }
    let net = |text: &str| text.parse().expect("an address");
    let inner = Place::Interface {
        interface: "pin0".into(),
        addresses: vec![net("192.168.77.2/24")],
        gateway: Some(IpAddr::from([192, 168, 77, 1])),
    };
    let outer = Place::Interface {
        interface: "pout0".into(),
        addresses: vec![net("198.51.100.1/24"), net("198.51.100.2/24")],
        gateway: None,
    };
    let (measured, _) = probe_between(&inner, &outer, None).expect("a measurement");
    println!("{measured}");
    assert_eq!(
        (measured.kind.to_string().as_str(), measured.preserves_ports),
        ("EIM/APDF", true),
        "{measured}"
    );
    assert!(ip("link show pin0".into()) && ip("link show pout0".into()), "both cards came back");
}

/// An interface of this machine's that goes when this is dropped.
struct Gone(String);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).status();
    }
}
