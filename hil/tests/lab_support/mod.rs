//! Plans and sockets for tests of whole labs.
#![allow(dead_code, reason = "no test uses all of it")]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use p2pcam_hil::{
    lab::{
        build::{DeviceHost, Lab, LabError},
        namespace::{Namespace, NamespaceError},
    },
    scenario::plan::{Plan, RouterPlan, Side},
};

/// Until what should come has come, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub fn computed(kind: &str) -> RouterPlan {
    RouterPlan::computed(kind.parse().expect("a kind"))
}

/// A side behind these routers, from the host outwards.
pub fn behind(kinds: &[&str]) -> Side {
    Side::behind(kinds.iter().map(|kind| computed(kind)))
}

pub fn plan(device: Side, viewer: Side) -> Plan {
    Plan::between(device, viewer)
}

/// `None`, and a word, where namespaces cannot be made.
pub fn build(name: &str, plan: &Plan, host: DeviceHost) -> Option<Lab> {
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

pub fn socket(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let address = address.into();
    let socket = namespace.run(|| UdpSocket::bind((address, port))).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    socket
}

/// Asks a server until it has heard; who it was asked by.
pub fn ask(client: &UdpSocket, server: &UdpSocket) -> Option<SocketAddr> {
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
