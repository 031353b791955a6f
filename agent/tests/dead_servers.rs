//! Servers that never answer, all kinds at once, and what they cost a viewer: nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    net::{TcpListener, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{
    agent::{Agent, Start},
    own_network,
};

const OFFER: &str = include_str!("fixtures/offer-vp8-vp9-only.json");
const PATIENCE: Duration = Duration::from_secs(20);
/// What docs promise of an answer.
const PROMISE: Duration = Duration::from_millis(20);

#[test]
fn the_answer_waits_for_neither_stun_nor_turn_nor_dns() {
    if !own_network::entered("the_answer_waits_for_neither_stun_nor_turn_nor_dns") {
        return;
    }
    // Open, and silent: a closed port would say so at once.
    let dns = UdpSocket::bind("127.0.0.1:53").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let resolver = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(resolver.path(), "nameserver 127.0.0.1\n").unwrap();
    let mounted = Command::new("mount").arg("--bind").arg(resolver.path()).arg("/etc/resolv.conf").status();
    assert!(mounted.unwrap().success());

    let more = vec!["--signaling=stdio".to_owned()];
    let mut agent = Agent::start(Start { audio: "none", more, ..Default::default() });
    let (udp_port, tcp_port) = (udp.local_addr().unwrap().port(), tcp.local_addr().unwrap().port());
    let (username, credential) = ("u", "c");
    let urls = [
        format!("turn:127.0.0.1:{udp_port}"),
        format!("turn:127.0.0.1:{tcp_port}?transport=tcp"),
        format!("turns:127.0.0.1:{tcp_port}?transport=tcp"),
        "turn:turn.example:3478".to_owned(),
    ];
    let connect = json!({
        "stun": {"ip": "127.0.0.1", "port": udp_port},
        "iceServers": [
            {"urls": ["stun:stun.example:3478"]},
            {"urls": urls, "username": username, "credential": credential},
        ],
    });
    let offer: Value = serde_json::from_str(OFFER).unwrap();
    let mut times = Vec::new();
    for n in 0..5 {
        let session = format!("dead-{n}");
        agent.write_line(&json!({"session": session, "connect": connect}).to_string());
        let sent = Instant::now();
        agent.write_line(&json!({"session": session, "description": offer}).to_string());
        // The last session's candidates may still come.
        let first = loop {
            let message: Value = serde_json::from_str(&agent.line(PATIENCE)).unwrap();
            if message["session"] == session.as_str() {
                break message;
            }
        };
        times.push(sent.elapsed());
        assert_eq!(first["description"]["type"], "answer", "{first}");
        let candidate: Value = serde_json::from_str(&agent.line(PATIENCE)).unwrap();
        let line = candidate["candidate"]["candidate"].as_str().unwrap();
        assert!(line.contains("typ host"), "{candidate}");
    }
    println!("answers after {times:?}");
    // One that waited for any of them would take seconds, each time. Other work on this machine takes some milliseconds.
    let (best, worst) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*best <= PROMISE && *worst < PROMISE * 50, "{times:?}");

    let complaints = ["the DNS server does not answer", "does not answer on UDP port"];
    let start = Instant::now();
    while !complaints.iter().all(|words| agent.log().contains(words)) {
        assert!(start.elapsed() < PATIENCE, "the log does not say what is dead:\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = |socket: &UdpSocket| {
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut [0; 1500]).is_ok()
    };
    assert!(asked(&dns) && asked(&udp) && tcp.accept().is_ok());
}
