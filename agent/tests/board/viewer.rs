//! A viewer on the board itself: asks the agent's hub for a session, makes the path, and counts the packets that come.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rtc::{
    interceptor::Registry,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{interceptor_registry::register_default_interceptors, media_engine::MediaEngine},
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        transport::RTCIceCandidateInit,
    },
    rtp_transceiver::rtp_sender::RtpCodecKind,
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

/// The hub answers within this, on an emulated board under load too.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A viewer with its session; the session ends when it is dropped.
pub struct Viewer {
    /// As the hub named it.
    pub session: String,
    hub: Hub,
    pc: RTCPeerConnection,
    socket: UdpSocket,
    local: SocketAddr,
    /// What the answer chose for the picture.
    video: u8,
    seen: BTreeSet<u16>,
}

impl Viewer {
    /// Asks for picture and sound at a plain HTTP address of the hub, as in `127.0.0.1:8080`.
    pub fn connect(hub: &str, token: &str) -> Self {
        let tcp = TcpStream::connect(hub).unwrap_or_else(|e| panic!("the hub at {hub}: {e}"));
        tcp.set_read_timeout(Some(ANSWER_TIME)).unwrap();
        let mut request = format!("ws://{hub}/v1/viewer").into_client_request().unwrap();
        let protocols = format!("p2pcam.v1, bearer.{token}").parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let (socket, _) = tungstenite::client(request, tcp).expect("the hub takes the viewer");
        let mut hub = Hub { socket, unread: VecDeque::new() };
        let session = hub.said("connect")["session"].as_str().expect("a session id").to_owned();

        let now = Instant::now();
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .build(now)
            .unwrap();
        pc.add_transceiver_from_kind(RtpCodecKind::Video, None).unwrap();
        pc.add_transceiver_from_kind(RtpCodecKind::Audio, None).unwrap();
        let offer = pc.create_offer(None).unwrap();
        pc.set_local_description(now, offer.clone()).unwrap();
        hub.say(&json!({"session": session, "description": {"type": "offer", "sdp": offer.sdp}}));

        let answer = hub.said("description")["description"]["sdp"].as_str().unwrap().to_owned();
        pc.set_remote_description(now, RTCSessionDescription::answer(answer.clone()).unwrap()).unwrap();
        // Both are on one board: the first of its addresses is as good as any.
        let candidate = loop {
            let line = hub.said("candidate")["candidate"]["candidate"].clone();
            let line = line.as_str().expect("an IPv4 address before the end of the candidates").to_owned();
            if address(&line).is_some_and(|ip| ip.is_ipv4()) {
                break line;
            }
        };
        let ip = address(&candidate).unwrap();
        let socket = UdpSocket::bind((ip, 0)).expect("the board's own address");
        let local = socket.local_addr().unwrap();
        let own = format!("candidate:1 1 udp 2130706431 {ip} {} typ host", local.port());
        let init =
            |candidate: &str| RTCIceCandidateInit { candidate: candidate.into(), ..Default::default() };
        pc.add_local_candidate(init(&own)).unwrap();
        pc.add_remote_candidate(init(&candidate)).unwrap();
        let trickled = json!({"candidate": own, "sdpMid": "0", "sdpMLineIndex": 0});
        hub.say(&json!({"session": session, "candidate": trickled}));
        let video = payload_type(&answer).expect("the answer has a picture");
        Self { session, hub, pc, socket, local, video, seen: BTreeSet::new() }
    }

    /// Watches until so many packets of the picture have come; gives the time that it took.
    pub fn watch(&mut self, packets: usize, within: Duration) -> Duration {
        let started = Instant::now();
        self.seen.clear();
        while self.seen.len() < packets {
            let got = self.seen.len();
            assert!(
                started.elapsed() < within,
                "{got} of {packets} packets of the picture within {within:?}"
            );
            self.step();
        }
        started.elapsed()
    }

    /// The next message of the hub with such a body.
    pub fn hears(&mut self, body: &str) -> Value {
        self.hub.said(body)
    }

    /// The next notice that tells of no path: that of privacy.
    pub fn hears_of_privacy(&mut self) -> Value {
        loop {
            let heard = self.hears("notice");
            if !heard["notice"]["code"].as_str().is_some_and(|code| code.starts_with("path-")) {
                return heard;
            }
        }
    }

    /// Sends what is due, then waits for a datagram or the next timer, 20 ms at most.
    fn step(&mut self) {
        while let Some(out) = self.pc.poll_write() {
            let _ = self.socket.send_to(&out.message, out.transport.peer_addr);
        }
        while self.pc.poll_event().is_some() {}
        while let Some(TaggedRTCMessage { message, .. }) = self.pc.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message
                && packet.header.payload_type == self.video
            {
                self.seen.insert(packet.header.sequence_number);
            }
        }
        let now = Instant::now();
        let due = self.pc.poll_timeout().map_or(Duration::MAX, |due| due.saturating_duration_since(now));
        let wait = due.clamp(Duration::from_millis(1), Duration::from_millis(20));
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 2048];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let transport = TransportContext {
                local_addr: self.local,
                peer_addr: from,
                ecn: None,
                transport_protocol: TransportProtocol::UDP,
            };
            let message = BytesMut::from(&buffer[..length]);
            let _ = self.pc.handle_read(TaggedBytesMut { now: Instant::now(), transport, message });
        }
        let _ = self.pc.handle_timeout(Instant::now());
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // The hub may be gone, which is what some tests are about.
        let bye = json!({"session": self.session, "bye": {}});
        let _ = self.hub.socket.send(Message::text(bye.to_string()));
        let _ = self.hub.socket.flush();
    }
}

/// The link to the hub, and what came before it was asked for: a notice may come between two candidates.
struct Hub {
    socket: WebSocket<TcpStream>,
    unread: VecDeque<Value>,
}

impl Hub {
    fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the hub listens");
    }

    /// The next message with such a body.
    fn said(&mut self, body: &str) -> Value {
        if let Some(place) = self.unread.iter().position(|message| message.get(body).is_some()) {
            return self.unread.remove(place).expect("it is there");
        }
        loop {
            let Message::Text(text) = self.socket.read().expect("the hub speaks") else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            assert!(message.get("error").is_none(), "{message}");
            if message.get(body).is_some() {
                return message;
            }
            self.unread.push_back(message);
        }
    }
}

/// The address of a candidate line (RFC 8839 section 5.1).
fn address(line: &str) -> Option<IpAddr> {
    line.split(' ').nth(4)?.parse().ok()
}

/// The first payload type of the video section.
fn payload_type(sdp: &str) -> Option<u8> {
    sdp.lines().find_map(|line| line.strip_prefix("m=video ")?.split(' ').nth(2)?.parse().ok())
}
