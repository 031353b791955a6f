//! The lab for real: namespaces, TUN devices, sockets. Takes root; without it, says so and runs nothing.
#![allow(clippy::expect_used)]

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use p2pcam_hil::lab::{
    driver::{Device, Port, Running},
    fabric::{Fabric, RouterId, Translation},
    link::{Attachment, attach},
    namespace::{Namespace, NamespaceError},
    nat::{Behaviour, Filtering, Kind, Mapping, Nat, PortChoice},
    probe::{Places, probe},
    wire::Faults,
};

const PUBLIC: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// A device behind a router, and the internet.
struct Lab {
    running: Running,
    router: RouterId,
    internet: Namespace,
    device: Namespace,
}

impl Lab {
    /// `None`, and a word, where namespaces cannot be made.
    fn build(name: &str, behaviour: Behaviour) -> Option<Self> {
        let internet = match Namespace::create(&format!("{name}-net")) {
            Err(NamespaceError::NotRoot) => {
                println!("not run: namespaces take root");
                return None;
            }
            made => made.expect("a namespace"),
        };
        let device = Namespace::create(&format!("{name}-dev")).expect("a namespace");
        let mut fabric = Fabric::default();
        let (outside, inside) = (fabric.segment(), fabric.segment());
        let mut ports = Vec::new();
        for (namespace, segment, addresses, prefix) in
            [(&internet, outside, PUBLIC.to_vec(), 32), (&device, inside, vec![DEVICE], 24)]
        {
            let net = |address: &Ipv4Addr| IpNet::new((*address).into(), prefix).expect("a prefix");
            let attachment = Attachment::new(addresses.iter().map(net).collect());
            let tun = attach(namespace, &attachment).expect("a TUN device");
            let prefixes = addresses.iter().map(|address| IpNet::from(IpAddr::V4(*address))).collect();
            ports.push(Port { endpoint: fabric.endpoint(segment, prefixes), device: Device(tun) });
        }
        let router = fabric.nat_router(inside, outside, Nat::new(behaviour, HOME, 1), 2);
        let running = Running::start(fabric, ports).expect("a thread");
        Some(Self { running, router, internet, device })
    }

    fn places() -> Places {
        Places::new(DEVICE, PUBLIC)
    }
}

#[test]
fn every_kind_of_router_measures_as_what_it_was_built_as() {
    let Some(lab) = Lab::build("kinds", Behaviour::of(Kind::ALL[0])) else { return };
    for (kind, hairpin) in Kind::ALL.into_iter().zip([true, false].into_iter().cycle()) {
        let behaviour = Behaviour { hairpin, ..Behaviour::of(kind) };
        lab.running.with(|fabric| {
            fabric.set_translation(lab.router, Translation::Nat44(Nat::new(behaviour, HOME, 7)));
        });
        // A port of its own for each destination lets in nobody else, unless it lets in everybody.
        let seen =
            hairpin && (kind.0 == Mapping::EndpointIndependent || kind.1 == Filtering::EndpointIndependent);
        let measured = probe(&lab.device, &lab.internet, Lab::places()).expect("a measurement");
        assert_eq!(
            (measured.kind, measured.hairpins, measured.external),
            (kind, seen, HOME.into()),
            "{measured}"
        );
        assert_eq!(measured.preserves_ports, behaviour.ports == PortChoice::Preserve, "{measured}");
    }
}

#[test]
fn a_round_trip_takes_the_time_of_the_line() {
    let Some(lab) = Lab::build("delay", Behaviour::of(Kind::ALL[2])) else { return };
    let delay = Duration::from_millis(20);
    let faults = Faults { delay, ..Faults::default() };
    lab.running.with(|fabric| fabric.set_faults(lab.router, faults, faults));
    let server = lab.internet.run(|| UdpSocket::bind((PUBLIC[0], 3478))).expect("a socket");
    let client = lab.device.run(|| UdpSocket::bind((DEVICE, 5000))).expect("a socket");
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    }
    let mut buffer = [0; 16];
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        client.send_to(b"ping", (PUBLIC[0], 3478)).expect("sent");
        let (length, from) = server.recv_from(&mut buffer).expect("it arrives");
        assert_eq!((&buffer[..length], from), (&b"ping"[..], (HOME, 5000).into()));
        server.send_to(b"pong", from).expect("sent");
        client.recv_from(&mut buffer).expect("it arrives");
        best = best.min(start.elapsed());
    }
    // Never faster than the line; how much slower depends on how busy the machine is.
    assert!(best >= 2 * delay, "{best:?}");
}
