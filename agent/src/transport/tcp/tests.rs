//! Viewers over TCP at the shared port, friendly and not, with real sockets on loopback.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    Refusal,
    book::{MAX_PER_SESSION, MAX_UNNAMED_PER_SOURCE},
    frame::{Frames, MAX_FRAME, header},
    patience::TO_NAME,
};
use crate::{
    config::{IceConfig, IcePolicy},
    telemetry::metrics::Metrics,
    transport::{CandidateKind, DropReason, Endpoint, EndpointEvent, Path, Protocol, Servers, Transport},
};

/// No step takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);
const DTLS: &[u8] = &[22, 254, 253, 0];

async fn transport() -> Transport {
    let config = IceConfig { loopback: true, ..IceConfig::default() };
    loop {
        let transport = Transport::bind(&config, &Metrics::new()).await.unwrap();
        // The number that was free over UDP may be taken over TCP, by a connection of another test for one.
        if transport.local_addresses().iter().all(|local| transport.0.shared.tcp.listens(*local)) {
            return transport;
        }
    }
}

fn session(transport: &Transport, ufrag: &str) -> Endpoint {
    let endpoint = transport.open(&Servers::new(), IcePolicy::All);
    endpoint.answer_to(ufrag);
    endpoint
}

/// A STUN binding request that names a session.
fn check(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let mut message = vec![0, 1];
    message.extend_from_slice(&u16::try_from(4 + padded).unwrap().to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message.extend_from_slice(&[5; 12]);
    message.extend_from_slice(&[0, 6]);
    message.extend_from_slice(&u16::try_from(username.len()).unwrap().to_be_bytes());
    message.extend_from_slice(username.as_bytes());
    message.resize(24 + padded, 0);
    message
}

/// A picture's packet.
fn rtp(timestamp: u32, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96, 0, 0];
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.resize(length, 1);
    packet
}

/// A viewer's connection.
struct Viewer {
    stream: TcpStream,
    frames: Frames,
}

impl Viewer {
    async fn connect(transport: &Transport) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", transport.port())).await.unwrap();
        Self { stream, frames: Frames::default() }
    }

    fn path(&self) -> Path {
        let (local, remote) = (self.stream.peer_addr().unwrap(), self.stream.local_addr().unwrap());
        Path { protocol: Protocol::Tcp, local, remote }
    }

    async fn send(&mut self, datagram: &[u8]) {
        let frame = [&header(datagram).unwrap()[..], datagram].concat();
        // Who was cut off finds out when it reads.
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next datagram; `None`: the connection is closed.
    async fn receive(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(datagram) = self.frames.take().unwrap() {
                return Some(datagram);
            }
            let read = timeout(DEADLINE, self.stream.read_buf(&mut self.frames.buffer)).await;
            if !matches!(read.expect("it is closed, or something comes"), Ok(1..)) {
                assert!(self.frames.buffer.is_empty(), "half a frame came");
                return None;
            }
        }
    }
}

/// The next datagram; candidates before it are skipped.
async fn datagram(endpoint: &mut Endpoint) -> (Path, Vec<u8>) {
    loop {
        let event = timeout(DEADLINE, endpoint.next()).await.expect("a datagram comes");
        if let EndpointEvent::Datagram { path, data, .. } = event {
            return (path, data.to_vec());
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
async fn a_viewer_reaches_its_session_and_hears_from_it() {
    let transport = transport().await;
    let (mut a, _b) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let mut viewer = Viewer::connect(&transport).await;
    for packet in [&check("aaaa:x")[..], DTLS, &rtp(1, 1200)] {
        viewer.send(packet).await;
        assert_eq!(datagram(&mut a).await, (viewer.path(), packet.to_vec()));
    }
    a.send(viewer.path(), DTLS);
    a.send(viewer.path(), &rtp(2, 1300));
    assert_eq!(viewer.receive().await.unwrap(), DTLS);
    assert_eq!(viewer.receive().await.unwrap(), rtp(2, 1300));
    a.send_media(viewer.path(), &[rtp(3, 1300), rtp(3, 1300), rtp(3, 40)].concat(), 1300);
    for length in [1300, 1300, 40] {
        assert_eq!(viewer.receive().await.unwrap(), rtp(3, length));
    }
    assert_eq!(transport.metrics().tcp_frames_in.get(), 3);
    until("all are counted", || transport.metrics().tcp_frames_out.get() == 5).await;
}

#[tokio::test]
async fn the_port_is_told_as_a_passive_candidate_beside_that_of_udp() {
    let transport = transport().await;
    let mut session = session(&transport, "aaaa");
    let mut found = Vec::new();
    while let EndpointEvent::Candidate(candidate) = timeout(DEADLINE, session.next()).await.unwrap() {
        found.push(candidate);
    }
    for local in transport.local_addresses() {
        let at = |protocol| found.iter().find(|c| (c.protocol, c.address) == (protocol, local)).unwrap();
        let (udp, tcp) = (at(Protocol::Udp), at(Protocol::Tcp));
        assert_eq!((tcp.kind, tcp.base), (CandidateKind::Host, local));
        assert!(tcp.priority() < udp.priority());
    }
}

#[tokio::test]
async fn what_names_no_session_is_closed_without_an_answer() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let firsts = [check("nobody:x"), DTLS.to_vec(), rtp(1, 100), b"what is this".to_vec()];
    for first in &firsts {
        let mut stranger = Viewer::connect(&transport).await;
        stranger.send(first).await;
        stranger.send(&check("aaaa:x")).await;
        assert_eq!(stranger.receive().await, None);
    }
    until("all are counted", || transport.metrics().tcp_refusals(Refusal::Stranger) == firsts.len() as u64)
        .await;
    assert_eq!(transport.metrics().tcp_frames_out.get(), 0);
    let mut viewer = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:y")).await;
    assert_eq!(datagram(&mut a).await.1, check("aaaa:y"), "nothing of theirs came before");
}

#[tokio::test]
async fn a_huge_frame_is_refused_when_it_is_announced() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    for named in [false, true] {
        let mut viewer = Viewer::connect(&transport).await;
        if named {
            viewer.send(&check("aaaa:x")).await;
            datagram(&mut a).await;
        }
        let length = u16::try_from(MAX_FRAME + 1).unwrap();
        viewer.stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(viewer.receive().await, None);
    }
    assert_eq!(transport.metrics().tcp_refusals(Refusal::Framing), 2);
}

#[tokio::test]
async fn who_writes_a_byte_now_and_then_is_cut_off_in_time() {
    let transport = transport().await;
    let _a = session(&transport, "aaaa");
    let mut slow = Viewer::connect(&transport).await;
    let frame = check("aaaa:x");
    let bytes = [&header(&frame).unwrap()[..], &frame].concat();
    for byte in &bytes[..bytes.len() - 1] {
        // Cut off, the next byte or the one after it cannot be written any more.
        if slow.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(2 * TO_NAME / 20).await;
    }
    until("it is cut off", || transport.metrics().tcp_connections.get() == 0).await;
    assert_eq!(transport.metrics().tcp_refusals(Refusal::Silent), 1);
}

#[tokio::test]
async fn many_connections_of_one_source_push_out_each_other_and_no_viewer() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let mut viewer = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:x")).await;
    datagram(&mut a).await;
    let mut crowd = Vec::new();
    for _ in 0..4 * MAX_UNNAMED_PER_SOURCE {
        crowd.push(Viewer::connect(&transport).await);
    }
    let bound = i64::try_from(MAX_UNNAMED_PER_SOURCE).unwrap() + 1;
    until("most are closed", || {
        transport.metrics().tcp_refusals(Refusal::Limit) == 3 * MAX_UNNAMED_PER_SOURCE as u64
            && transport.metrics().tcp_connections.get() == bound
    })
    .await;
    viewer.send(DTLS).await;
    assert_eq!(datagram(&mut a).await.1, DTLS);
}

#[tokio::test]
async fn a_session_has_only_so_many_connections() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let mut viewers = Vec::new();
    for _ in 0..MAX_PER_SESSION {
        let mut viewer = Viewer::connect(&transport).await;
        viewer.send(&check("aaaa:x")).await;
        datagram(&mut a).await;
        a.send(viewer.path(), DTLS);
        viewers.push(viewer);
    }
    let mut late = Viewer::connect(&transport).await;
    late.send(&check("aaaa:x")).await;
    assert_eq!(late.receive().await, None);
    assert_eq!(transport.metrics().tcp_refusals(Refusal::Limit), 1);
}

#[tokio::test]
async fn a_connection_that_names_another_session_later_is_cut_off() {
    let transport = transport().await;
    let (mut a, mut b) = (session(&transport, "aaaa"), session(&transport, "bbbb"));
    let mut viewer = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:x")).await;
    datagram(&mut a).await;
    b.send(viewer.path(), DTLS);
    assert_eq!(transport.metrics().dropped(DropReason::NoConnection), 1, "it is not the other session's");
    viewer.send(&check("bbbb:x")).await;
    assert_eq!(viewer.receive().await, None);
    assert_eq!(transport.metrics().tcp_refusals(Refusal::Foreign), 1);
    let mut honest = Viewer::connect(&transport).await;
    honest.send(&check("bbbb:y")).await;
    assert_eq!(datagram(&mut b).await.1, check("bbbb:y"), "the foreign check was not passed on");
}

#[tokio::test]
async fn after_an_ice_restart_the_connection_goes_on_with_either_name() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let mut viewer = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:x")).await;
    datagram(&mut a).await;
    a.answer_to("cccc");
    viewer.send(&check("aaaa:x")).await;
    viewer.send(&check("cccc:x")).await;
    assert_eq!(datagram(&mut a).await.1, check("cccc:x"));
    assert_eq!(transport.metrics().dropped(DropReason::Unknown), 1, "the old name is nobody's");
}

#[tokio::test]
async fn a_slow_viewer_loses_whole_pictures_and_reads_whole_frames() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    // A viewer with little room, which does not read.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], transport.port()));
    let mut viewer = Viewer { stream: socket.connect(to).await.unwrap(), frames: Frames::default() };
    viewer.send(&check("aaaa:x")).await;
    datagram(&mut a).await;
    let pictures = 2000;
    for timestamp in 0..pictures {
        for _ in 0..5 {
            a.send(viewer.path(), &rtp(timestamp, 1200));
        }
        tokio::task::yield_now().await;
    }
    let dropped = transport.metrics().dropped(DropReason::TcpQueue);
    assert!(dropped > 0, "all went into some queue");
    a.send(viewer.path(), DTLS);
    let mut came = vec![0; pictures as usize];
    loop {
        let frame = viewer.receive().await.unwrap();
        if frame == DTLS {
            break;
        }
        assert_eq!(frame.len(), 1200);
        came[u32::from_be_bytes(frame[4..8].try_into().unwrap()) as usize] += 1;
    }
    let broken = came.iter().filter(|count| !matches!(count, 0 | 5)).count();
    // The one that was on its way when the room was used up.
    assert!(broken <= 1, "{broken} pictures came in part");
    assert!(came.contains(&5) && came.contains(&0));
}

#[tokio::test]
async fn connections_end_with_their_session_after_its_last_words() {
    let transport = transport().await;
    let mut a = session(&transport, "aaaa");
    let mut viewer = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:x")).await;
    datagram(&mut a).await;
    a.send(viewer.path(), &rtp(1, 1200));
    a.send(viewer.path(), DTLS);
    drop(a);
    assert_eq!(viewer.receive().await.unwrap(), rtp(1, 1200));
    assert_eq!(viewer.receive().await.unwrap(), DTLS);
    assert_eq!(viewer.receive().await, None);
    until("it is counted", || transport.metrics().tcp_connections.get() == 0).await;
}

#[tokio::test]
async fn sending_to_where_no_connection_is_is_counted_and_harmless() {
    let transport = transport().await;
    let a = session(&transport, "aaaa");
    let viewer = Viewer::connect(&transport).await;
    a.send(viewer.path(), &check("x:aaaa"));
    assert_eq!(transport.metrics().dropped(DropReason::NoConnection), 1, "it has named nobody");
}

#[tokio::test]
async fn a_taken_port_costs_only_tcp() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = IceConfig { loopback: true, port, ..IceConfig::default() };
    let transport = Transport::bind(&config, &Metrics::new()).await.unwrap();
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    assert!(transport.local_addresses().contains(&local));
    let mut session = session(&transport, "aaaa");
    while let EndpointEvent::Candidate(found) = timeout(DEADLINE, session.next()).await.unwrap() {
        assert_ne!((found.protocol, found.address), (Protocol::Tcp, local));
    }
    drop(taken);
}

#[tokio::test]
async fn nothing_listens_where_tcp_is_off_or_only_relays_are_told() {
    let off = IceConfig { tcp: false, ..IceConfig::default() };
    let hidden = IceConfig { policy: IcePolicy::Relay, ..IceConfig::default() };
    for config in [off, hidden] {
        let transport =
            Transport::bind(&IceConfig { loopback: true, ..config }, &Metrics::new()).await.unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], transport.port()));
        let refused = TcpStream::connect(to).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn the_port_is_free_over_tcp_when_transport_and_sessions_are_gone() {
    let transport = transport().await;
    let (port, a) = (transport.port(), session(&transport, "aaaa"));
    let mut viewer = Viewer::connect(&transport).await;
    let silent = Viewer::connect(&transport).await;
    viewer.send(&check("aaaa:x")).await;
    drop((transport, a));
    assert_eq!(viewer.receive().await, None);
    until("nobody listens", || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()).await;
    drop(silent);
}
