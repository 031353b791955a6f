//! Whole labs for real. Takes root; without it, says so and runs nothing.
#![allow(clippy::expect_used)]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use p2pcam_hil::{
    lab::{
        build::{DeviceHost, INTERNET, Lab, LabError},
        namespace::{Namespace, NamespaceError},
        nat::{Behaviour, Kind},
    },
    scenario::plan::{
        BoardPlan, Expect, Network, Plan, RouterKind, RouterPlan, Servers, Side, SideName, Uplink,
        ViewerKind, ViewerPlan,
    },
};

/// Until what should come has come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

fn computed(kind: &str) -> RouterPlan {
    let behaviour = Behaviour::of(kind.parse::<Kind>().expect("a kind"));
    RouterPlan { kind: RouterKind::Computed(behaviour), forwards: Vec::new() }
}

/// A side behind these routers, from the host outwards.
fn behind(kinds: &[&str]) -> Side {
    let routers = kinds.iter().map(|kind| computed(kind)).collect();
    Side { network: Network::Ipv4, uplink: Uplink { routers, ..Uplink::default() }, spare: None }
}

fn plan(device: Side, viewer: Side) -> Plan {
    let viewers = vec![ViewerPlan {
        name: "one".into(),
        kind: ViewerKind::Headless,
        at: Duration::ZERO,
        relay_only: false,
    }];
    Plan {
        name: "lab-build".into(),
        about: "A lab is built.".into(),
        seed: 7,
        time: Duration::from_secs(1),
        device,
        viewer,
        shared_cgn: None,
        servers: Servers { stun: true, turn: Default::default(), turn_port: 3478, turns_port: 443 },
        board: BoardPlan::default(),
        viewers,
        events: Vec::new(),
        expect: Expect::default(),
        plant: None,
    }
}

/// `None`, and a word, where namespaces cannot be made.
fn build(name: &str, plan: &Plan, host: DeviceHost) -> Option<Lab> {
    let start = Instant::now();
    match Lab::build(name, plan, host) {
        Err(LabError::Namespace(NamespaceError::NotRoot)) => {
            println!("not run: namespaces take root");
            None
        }
        built => {
            let lab = built.expect("a lab");
            println!("{name}: built in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            Some(lab)
        }
    }
}

fn socket(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let address = address.into();
    let socket = namespace.run(|| UdpSocket::bind((address, port))).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    socket
}

/// Asks a server until it has heard; who it was asked by.
fn ask(client: &UdpSocket, server: &UdpSocket) -> Option<SocketAddr> {
    let to = server.local_addr().expect("an address");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        client.send_to(b"ask", to).expect("sent");
        let mut buffer = [0; 64];
        if let Ok((_, from)) = server.recv_from(&mut buffer) {
            server.send_to(b"answer", from).expect("sent");
            if client.recv_from(&mut buffer).is_ok() {
                return Some(from);
            }
        }
    }
    None
}

/// Asks once from each side; what the internet's host sees.
fn outside(lab: &Lab, side: SideName) -> Option<IpAddr> {
    let addresses = lab.addresses();
    let host = match side {
        SideName::Device => addresses.device,
        SideName::Viewer => addresses.viewer,
    };
    let (Some(v4), true) = (host.v4, lab.device_host() == DeviceHost::Process) else { return None };
    let server = socket(lab.internet(), INTERNET[0], 0);
    let client = socket(lab.side(side), v4, 0);
    ask(&client, &server).map(|from| from.ip())
}

const BOTH: [SideName; 2] = [SideName::Device, SideName::Viewer];

#[test]
fn each_side_reaches_the_internet_by_its_public_address_whatever_is_between() {
    let chains: [&[&str]; 3] = [&[], &["EIM/APDF"], &["EIM/EIF", "APDM/APDF"]];
    let Some(mut lab) = build("reach", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else { return };
    for chain in chains {
        let start = Instant::now();
        lab.rewire(&plan(behind(chain), behind(chain))).expect("another network");
        println!("rewired in {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
        let wan = [Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 1)];
        for (side, wan) in BOTH.into_iter().zip(wan) {
            assert_eq!(lab.wan_address(side), IpAddr::from(wan));
            assert_eq!(outside(&lab, side), Some(wan.into()), "{side:?} behind {chain:?}");
        }
    }
}

#[test]
fn a_switch_of_uplinks_and_a_new_dial_in_change_the_address_outside_and_a_cut_silences() {
    let side = |name: &[&str]| Side { spare: Some(behind(&["EIM/EIF"]).uplink), ..behind(name) };
    let Some(lab) = build("events", &plan(side(&["EIM/APDF"]), side(&[])), DeviceHost::Process) else {
        return;
    };
    for side in BOTH {
        let mut seen = vec![outside(&lab, side).expect("it reaches the internet")];
        lab.switch_uplink(side).expect("there is a spare one");
        seen.push(outside(&lab, side).expect("it reaches the internet"));
        lab.change_wan_address(side).expect("another address");
        seen.push(outside(&lab, side).expect("it reaches the internet"));
        lab.switch_uplink(side).expect("back");
        assert_eq!(outside(&lab, side), Some(seen[0]));
        seen.dedup();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert_eq!(seen[1].to_string().rsplit('.').next(), Some("2"));
    }
}
