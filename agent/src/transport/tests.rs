//! Sessions on the shared port, with real sockets on loopback.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use tokio::{net::UdpSocket, time::timeout};

use super::*;
use crate::config::IceServerConfig;

/// No step takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);

const DTLS: &[u8] = &[22, 254, 253, 0];

async fn transport() -> Transport {
    let config = IceConfig { loopback: true, ..IceConfig::default() };
    Transport::bind(&config, &Metrics::new()).await.unwrap()
}

fn session(transport: &Transport, ufrag: &str) -> Endpoint {
    let endpoint = transport.open(&Servers::new(), IcePolicy::All);
    endpoint.answer_to(ufrag);
    endpoint
}

/// A viewer's socket, connected to the shared port.
async fn viewer(transport: &Transport) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(("127.0.0.1", transport.port())).await.unwrap();
    socket
}

/// A STUN binding message of `kind` with a USERNAME.
fn stun(kind: u16, username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut message = kind.to_be_bytes().to_vec();
    message.extend_from_slice(&u16::try_from(4 + padded).unwrap().to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message.extend_from_slice(&[5; 12]);
    message.extend_from_slice(&[0, 6]);
    message.extend_from_slice(&u16::try_from(username.len()).unwrap().to_be_bytes());
    message.extend_from_slice(username.as_bytes());
    message.resize(24 + padded, 0);
    message
}

/// The next datagram; candidates before it are skipped.
async fn datagram(endpoint: &mut Endpoint) -> (SocketAddr, SocketAddr, Vec<u8>) {
    loop {
        let event = timeout(DEADLINE, endpoint.next()).await.expect("a datagram comes");
        if let EndpointEvent::Datagram { path, data, .. } = event {
            return (path.local, path.remote, data.to_vec());
        }
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn each_viewer_reaches_the_session_that_its_check_names() {
    let transport = transport().await;
    let (mut a, mut b) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let (to_a, to_b) = (viewer(&transport).await, viewer(&transport).await);
    let local = SocketAddr::from(([127, 0, 0, 1], transport.port()));
    for (socket, endpoint, name) in [(&to_a, &mut a, "aaaa:x"), (&to_b, &mut b, "bbbb:x")] {
        socket.send(&stun(1, name)).await.unwrap();
        socket.send(DTLS).await.unwrap();
        let from = socket.local_addr().unwrap();
        assert_eq!(datagram(endpoint).await, (local, from, stun(1, name)));
        assert_eq!(datagram(endpoint).await, (local, from, DTLS.to_vec()));
    }
    let mut buffer = [0; 100];
    a.send(Path::udp(local, to_a.local_addr().unwrap()), b"to a");
    let length = timeout(DEADLINE, to_a.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], b"to a");
}

#[tokio::test]
async fn a_stranger_gets_no_answer_and_is_counted() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let stranger = viewer(&transport).await;
    stranger.send(&stun(1, "nobody:x")).await.unwrap();
    stranger.send(DTLS).await.unwrap();
    stranger.send(&stun(1, "aaaa:x")).await.unwrap();
    assert_eq!(datagram(&mut a).await.2, stun(1, "aaaa:x"));
    assert_eq!(transport.metrics().dropped(DropReason::Unknown), 2);
    assert_eq!(transport.metrics().datagrams_out.get(), 0);
}

#[tokio::test]
async fn a_flood_from_one_source_keeps_no_other_viewer_out() {
    let transport = transport().await;
    let (mut before, mut after) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let known = viewer(&transport).await;
    known.send(&stun(1, "aaaa:x")).await.unwrap();
    let (local, from, check) = datagram(&mut before).await;
    assert_eq!(check, stun(1, "aaaa:x"));
    // It was signed.
    before.send(Path::udp(local, from), &stun(0x0101, ""));
    // From the viewer's own address, as others behind its NAT, and with a name that is right.
    let flood = viewer(&transport).await;
    until("the flood is cut off", || {
        for n in 0..100 {
            let _ = flood.try_send(&stun(1, if n % 2 == 0 { "nobody:x" } else { "cccc:x" }));
        }
        transport.metrics().dropped(DropReason::RateLimit) > 1000
    })
    .await;
    assert_eq!(transport.metrics().datagrams_out.get(), 1, "nothing but the answer");
    known.send(&stun(1, "aaaa:y")).await.unwrap();
    assert_eq!(datagram(&mut before).await.2, stun(1, "aaaa:y"));
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.send_to(&stun(1, "bbbb:x"), ("127.0.0.1", transport.port())).await.unwrap();
    assert_eq!(datagram(&mut after).await.2, stun(1, "bbbb:x"));
}

/// As many as one camera has at most; the answer of each reaches its own viewer, all at the same time.
#[tokio::test]
async fn thirty_two_sessions_share_one_port() {
    let transport = transport().await;
    let mut running = tokio::task::JoinSet::new();
    for n in 0..32 {
        let (ufrag, socket) = (format!("ufrag{n}"), viewer(&transport).await);
        let mut endpoint = session(&transport, &ufrag);
        running.spawn(async move {
            socket.send(&stun(1, &format!("{ufrag}:x"))).await.unwrap();
            let (local, from, _) = datagram(&mut endpoint).await;
            assert_eq!(from, socket.local_addr().unwrap());
            for round in 0..20u8 {
                socket.send(&[0x80, n, round]).await.unwrap();
                assert_eq!(datagram(&mut endpoint).await, (local, from, vec![0x80, n, round]));
                let packets = (0..10).flat_map(|packet| [0x80, n, round, packet]);
                endpoint.send_media(Path::udp(local, from), &packets.collect::<Vec<_>>(), 4);
                for packet in 0..10 {
                    let mut buffer = [0; 10];
                    let length = timeout(DEADLINE, socket.recv(&mut buffer)).await.unwrap().unwrap();
                    assert_eq!(buffer[..length], [0x80, n, round, packet]);
                }
            }
            endpoint
        });
    }
    let sessions = running.join_all().await;
    assert_eq!(transport.metrics().endpoints.get(), 32);
    let metrics = transport.metrics();
    assert_eq!((metrics.datagrams_in.get(), metrics.datagrams_out.get()), (32 * 21, 32 * 200));
    assert_eq!(metrics.send_calls.get(), 32 * 20);
    drop(sessions);
    assert_eq!(transport.metrics().endpoints.get(), 0);
}

/// What eight viewers report, and more: it is taken a few at a time, and soon; and when it has ended, at once again.
#[tokio::test]
async fn many_datagrams_a_second_wake_up_less_often_than_they_come_and_none_is_lost() {
    let transport = transport().await;
    let mut session = session(&transport, "aaaa");
    let viewer = viewer(&transport).await;
    viewer.send(&stun(1, "aaaa:x")).await.unwrap();
    assert_eq!(datagram(&mut session).await.2, stun(1, "aaaa:x"));
    let sending = tokio::spawn(async move {
        let mut each = tokio::time::interval(Duration::from_millis(2));
        for n in 0..500u16 {
            each.tick().await;
            viewer.send(&[&[0x80], &n.to_be_bytes()[..]].concat()).await.unwrap();
        }
        viewer
    });
    for n in 0..500u16 {
        assert_eq!(datagram(&mut session).await.2, [&[0x80], &n.to_be_bytes()[..]].concat());
    }
    let calls = transport.metrics().receive_calls.get();
    assert!(calls < 300, "{calls} calls");
    let viewer = sending.await.unwrap();
    // A window without anything.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        viewer.send(DTLS).await.unwrap();
        assert_eq!(datagram(&mut session).await.2, DTLS);
    }
    assert_eq!(transport.metrics().receive_calls.get(), calls + 3);
}

#[tokio::test]
async fn after_an_ice_restart_checks_name_the_new_ufrag_and_the_old_path_still_delivers() {
    let transport = transport().await;
    let mut session = session(&transport, "aaaa");
    let (before, after) = (viewer(&transport).await, viewer(&transport).await);
    before.send(&stun(1, "aaaa:x")).await.unwrap();
    assert_eq!(datagram(&mut session).await.2, stun(1, "aaaa:x"));
    session.answer_to("bbbb");
    after.send(&stun(1, "bbbb:x")).await.unwrap();
    assert_eq!(datagram(&mut session).await.2, stun(1, "bbbb:x"));
    before.send(DTLS).await.unwrap();
    assert_eq!(datagram(&mut session).await.2, DTLS);
    after.send(&stun(1, "aaaa:x")).await.unwrap();
    until("the old name is nobody's", || transport.metrics().dropped(DropReason::Unknown) == 1).await;
}

#[tokio::test]
async fn the_answer_to_a_check_finds_its_session() {
    let transport = transport().await;
    let (_a, mut b) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let peer = viewer(&transport).await;
    b.send(Path::udp(peer.peer_addr().unwrap(), peer.local_addr().unwrap()), &stun(1, "x:bbbb"));
    let mut buffer = [0; 100];
    timeout(DEADLINE, peer.recv(&mut buffer)).await.unwrap().unwrap();
    peer.send(&stun(0x0101, "")).await.unwrap();
    assert_eq!(datagram(&mut b).await.2, stun(0x0101, ""));
}

#[tokio::test]
async fn a_session_that_hangs_loses_its_own_packets_and_nobody_elses() {
    let transport = transport().await;
    let (_hangs, mut lives) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let (to_hanging, to_living) = (viewer(&transport).await, viewer(&transport).await);
    to_hanging.send(&stun(1, "aaaa:x")).await.unwrap();
    until("its queue is full", || {
        for _ in 0..100 {
            let _ = to_hanging.try_send(DTLS);
        }
        transport.metrics().dropped(DropReason::SessionQueue) > 10
    })
    .await;
    to_living.send(&stun(1, "bbbb:x")).await.unwrap();
    assert_eq!(datagram(&mut lives).await.2, stun(1, "bbbb:x"));
}

#[tokio::test]
async fn with_the_relay_policy_the_devices_own_addresses_do_not_answer() {
    let transport = transport().await;
    let mut hidden = transport.open(&Servers::new(), IcePolicy::Relay);
    hidden.answer_to("aaaa");
    let event = timeout(DEADLINE, hidden.next()).await.unwrap();
    assert!(matches!(event, EndpointEvent::GatheringDone), "{event:?}");
    let peer = viewer(&transport).await;
    peer.send(&stun(1, "aaaa:x")).await.unwrap();
    until("the check is dropped", || transport.metrics().dropped(DropReason::Unknown) == 1).await;
    hidden.send(Path::udp(peer.peer_addr().unwrap(), peer.local_addr().unwrap()), DTLS);
    assert_eq!(transport.metrics().dropped(DropReason::NoSuchLocal), 1);
}

#[tokio::test]
async fn with_the_host_policy_no_server_is_asked() {
    let transport = transport().await;
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let mut servers = Servers::new();
    assert!(servers.add_stun(&address.ip().to_string(), address.port()).is_empty());
    let mut closed = transport.open(&servers, IcePolicy::Host);
    let mut kinds = Vec::new();
    while let EndpointEvent::Candidate(found) = timeout(DEADLINE, closed.next()).await.unwrap() {
        kinds.push(found.kind);
    }
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == CandidateKind::Host), "{kinds:?}");
    assert!(server.try_recv(&mut [0; 64]).is_err(), "something was asked");
}

#[tokio::test]
async fn a_dropped_session_frees_all_that_it_had() {
    let transport = transport().await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut servers = Servers::new();
    servers.add_stun("127.0.0.1", silent.local_addr().unwrap().port());
    let endpoint = transport.open(&servers, IcePolicy::All);
    endpoint.answer_to("aaaa");
    assert_eq!(transport.metrics().endpoints.get(), 1);
    timeout(DEADLINE, silent.recv_from(&mut [0; 100])).await.expect("the server is asked").unwrap();
    drop(endpoint);
    assert_eq!(transport.metrics().endpoints.get(), 0);
    // Its gathering ends too, which would wait for the server's answer for longer.
    timeout(query::GIVE_UP * 4 / 5, transport.released()).await.unwrap();
    assert!(session(&transport, "aaaa").next().await.is_candidate());
}

#[tokio::test]
async fn the_port_is_free_when_transport_and_sessions_are_gone() {
    let transport = transport().await;
    let (port, endpoint) = (transport.port(), session(&transport, "aaaa"));
    drop(transport);
    assert!(std::net::UdpSocket::bind(("127.0.0.1", port)).is_err(), "a session keeps the port");
    drop(endpoint);
    until("the port is free", || std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()).await;
}

#[tokio::test]
async fn metrics_are_found_under_the_transports_name() {
    let metrics = Metrics::new();
    let config = IceConfig { loopback: true, ..IceConfig::default() };
    let transport = Transport::bind(&config, &metrics).await.unwrap();
    let mut endpoint = session(&transport, "aaaa");
    while !matches!(timeout(DEADLINE, endpoint.next()).await.unwrap(), EndpointEvent::GatheringDone) {}
    let text = metrics.encode();
    let hosts = transport.local_addresses().len();
    assert!(text.contains(&format!("p2pcam_transport_candidates_total{{kind=\"host\"}} {hosts}")), "{text}");
    assert!(text.contains("p2pcam_transport_endpoints 1"), "{text}");
}

const PACKET: usize = 1000;

/// 40 packets of a picture, the last of them shorter, each marked with its number.
fn picture() -> Vec<u8> {
    (0..40u8).flat_map(|n| vec![[0x80, n]; if n == 39 { 20 } else { PACKET / 2 }].concat()).collect()
}

#[tokio::test]
async fn the_packets_of_a_picture_leave_and_come_in_fewer_calls_than_packets() {
    let (near, far) = (transport().await, transport().await);
    let (here, mut there) = (session(&near, "aaaa"), session(&far, "bbbb"));
    let local = |transport: &Transport| SocketAddr::from(([127, 0, 0, 1], transport.port()));
    let path = Path::udp(local(&near), local(&far));
    here.send(path, &stun(1, "bbbb:x"));
    assert_eq!(datagram(&mut there).await.2, stun(1, "bbbb:x"));
    let (sent, received) = (near.metrics().send_calls.get(), far.metrics().receive_calls.get());
    here.send_media(path, &picture(), PACKET);
    for packet in picture().chunks(PACKET) {
        assert_eq!(datagram(&mut there).await.2, packet);
    }
    assert_eq!(near.metrics().datagrams_out.get(), 41);
    assert_eq!(near.metrics().send_calls.get() - sent, 1);
    let calls = far.metrics().receive_calls.get() - received;
    assert!(calls < 10, "{calls} calls");
}

#[tokio::test]
async fn a_prepared_train_leaves_in_as_few_calls_as_the_kernel_allows() {
    let transport = transport().await;
    let here = session(&transport, "aaaa");
    let peer = viewer(&transport).await;
    let path = Path::udp(peer.peer_addr().unwrap(), peer.local_addr().unwrap());
    // One more than a call can take, and shorter.
    let at_once = here.socket(path).unwrap().wire.max_segments();
    let train: Vec<u8> = (0..at_once * 500 + 20).map(|n| (n / 500) as u8).collect();
    here.send_media(path, &train, 500);
    for packet in train.chunks(500) {
        let mut buffer = [0; 1500];
        let length = timeout(DEADLINE, peer.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(&buffer[..length], packet);
    }
    let metrics = transport.metrics();
    assert_eq!((metrics.datagrams_out.get(), metrics.send_calls.get()), (at_once as u64 + 1, 2));
    assert_eq!(metrics.bytes_out.get(), train.len() as u64);
    let nowhere = Path { local: ([192, 0, 2, 1], 5).into(), ..path };
    here.send_media(nowhere, &train[..1020], 500);
    here.send_media(path, &train, 0);
    assert_eq!((metrics.dropped(DropReason::NoSuchLocal), metrics.send_calls.get()), (3, 2));
}

#[tokio::test]
async fn packets_that_the_kernel_does_not_cut_leave_one_by_one() {
    if !own_network::entered("transport::tests::packets_that_the_kernel_does_not_cut_leave_one_by_one") {
        return;
    }
    // Too narrow for a packet of the picture: the kernel cuts each, but not all of them in one call.
    own_network::ip("link set lo mtu 576");
    let transport = transport().await;
    let here = session(&transport, "aaaa");
    let peer = viewer(&transport).await;
    let path = Path::udp(peer.peer_addr().unwrap(), peer.local_addr().unwrap());
    for _ in 0..2 {
        here.send_media(path, &picture(), PACKET);
        for packet in picture().chunks(PACKET) {
            let mut buffer = [0; 1500];
            let length = timeout(DEADLINE, peer.recv(&mut buffer)).await.unwrap().unwrap();
            assert_eq!(&buffer[..length], packet);
        }
    }
    assert_eq!(transport.metrics().datagrams_out.get(), 80);
    assert!(transport.metrics().send_calls.get() >= 80);
}

#[tokio::test]
async fn datagrams_longer_than_any_path_to_a_browser_carries_are_dropped() {
    let transport = transport().await;
    let mut session = session(&transport, "aaaa");
    let peer = viewer(&transport).await;
    peer.send(&stun(1, "aaaa:x")).await.unwrap();
    peer.send(&[0x80; 9000]).await.unwrap();
    peer.send(DTLS).await.unwrap();
    assert_eq!(datagram(&mut session).await.2, stun(1, "aaaa:x"));
    assert_eq!(datagram(&mut session).await.2, DTLS);
    assert_eq!(transport.metrics().dropped(DropReason::Unknown), 1);
}

#[test]
fn servers_of_the_configuration_are_read_with_their_problems() {
    let server = IceServerConfig {
        urls: vec!["stun:a.example".into(), "turn:a.example".into()],
        ..Default::default()
    };
    let (servers, problems) =
        Servers::from_config(&IceConfig { servers: vec![server], ..IceConfig::default() });
    assert_eq!(servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["stun:a.example:3478"]);
    assert_eq!(problems.len(), 1);
}

impl EndpointEvent {
    fn is_candidate(&self) -> bool {
        matches!(self, Self::Candidate(_))
    }
}
