//! A peer against a viewer on the same stack, over a simulated network under a virtual clock.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use rtc::{
    interceptor::Registry,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{interceptor_registry::register_default_interceptors, media_engine::MediaEngine},
        event::{RTCPeerConnectionEvent, RTCTrackEvent},
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::RTCIceCandidateInit,
    },
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp_transceiver::{RTCRtpReceiverId, rtp_sender::RtpCodecKind},
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};

use super::*;
use crate::{
    media::{audio::AudioFrame, video::AccessUnit},
    session::offer::{Answer, Codecs, Offer},
    transport::{
        self,
        demux::{Packet, classify},
    },
};

const DEVICE: &str = "192.0.2.1:5000";
const VIEWER: &str = "198.51.100.1:6000";

/// The viewer's side: the same stack, as a browser would use it.
struct Viewer {
    pc: RTCPeerConnection,
    connected: bool,
    receiver: Option<RTCRtpReceiverId>,
    media_ssrc: u32,
    /// Payload bytes of each RTP packet by (payload type, sequence number).
    heard: BTreeMap<(u8, u16), usize>,
}

/// Both sides, the wires between them and the time.
struct Net {
    now: Instant,
    peer: Peer,
    viewer: Viewer,
    events: Vec<PeerEvent>,
    /// One way.
    delay: Duration,
    /// Every n-th datagram from the device to the viewer is lost; 0: none.
    lose_every: u64,
    sent: u64,
    /// Datagrams under way: arrival, to the viewer?, content.
    wire: Vec<(Instant, bool, BytesMut)>,
    /// What carries them.
    protocol: transport::Protocol,
    /// The device's ufrag in each check that came to it, as the transport sees them.
    requests: Vec<String>,
}

impl Peer {
    /// All that it wants sent at once.
    fn all_out(&mut self, now: Instant) -> Vec<Transmit> {
        let mut out: Vec<_> = std::iter::from_fn(|| self.poll_transmit(now)).collect();
        while let Some((path, train)) = self.next_train(now) {
            let packets = train.data.chunks(train.segment).map(BytesMut::from);
            out.extend(packets.map(|data| Transmit { path, data }));
        }
        out
    }
}

fn line(address: &str) -> String {
    let (ip, port) = address.split_once(':').expect("address and port");
    format!("candidate:1 1 udp 2130706431 {ip} {port} typ host")
}

fn init(address: &str) -> RTCIceCandidateInit {
    RTCIceCandidateInit { candidate: line(address), ..Default::default() }
}

impl Net {
    fn new(delay: Duration) -> Self {
        Self::over(transport::Protocol::Udp, [&line(DEVICE), &line(VIEWER)], delay)
    }

    /// With these candidates of device and viewer.
    fn over(protocol: transport::Protocol, [device, viewer]: [&str; 2], delay: Duration) -> Self {
        let init = |line: &str| RTCIceCandidateInit { candidate: line.into(), ..Default::default() };
        let now = Instant::now();
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().expect("codecs");
        let registry = register_default_interceptors(Registry::new(), &mut engine).expect("interceptors");
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .build(now)
            .expect("a viewer");
        pc.add_transceiver_from_kind(RtpCodecKind::Video, None).expect("video");
        pc.add_transceiver_from_kind(RtpCodecKind::Audio, None).expect("audio");
        let offer = pc.create_offer(None).expect("an offer");
        pc.set_local_description(now, offer.clone()).expect("taken");

        let certificate = stack::new_certificate().expect("a key");
        let with = Answer {
            codecs: Codecs { video: vec![VideoCodec::H264], audio: vec![AudioCodec::Opus] },
            certificate: &certificate,
            disconnect_timeout: Duration::from_secs(10),
        };
        let offer = Offer::read(&offer.sdp).expect("an SDP");
        let (mut peer, answer) = offer.answer(now, &with).expect("an answer");
        pc.set_remote_description(now, RTCSessionDescription::answer(answer).expect("an SDP"))
            .expect("taken");
        peer.add_local_candidate(device).expect("taken");
        peer.add_remote_candidate(viewer).expect("taken");
        pc.add_local_candidate(init(viewer)).expect("taken");
        pc.add_remote_candidate(init(device)).expect("taken");
        let viewer = Viewer { pc, connected: false, receiver: None, media_ssrc: 0, heard: BTreeMap::new() };
        Self {
            now,
            peer,
            viewer,
            events: Vec::new(),
            delay,
            lose_every: 0,
            sent: 0,
            wire: Vec::new(),
            protocol,
            requests: Vec::new(),
        }
    }

    /// Moves what is ready, then the clock to the next thing that happens, at most to `until`.
    fn step(&mut self, until: Instant) {
        while let Some(event) = self.peer.poll_event(self.now) {
            self.events.push(event);
        }
        for out in self.peer.all_out(self.now) {
            assert_eq!(
                (out.path.local.to_string().as_str(), out.path.remote.to_string().as_str()),
                (DEVICE, VIEWER)
            );
            assert_eq!(out.path.protocol, self.protocol);
            self.sent += 1;
            if self.lose_every == 0 || !self.sent.is_multiple_of(self.lose_every) {
                self.wire.push((self.now + self.delay, true, out.data));
            }
        }
        self.viewer.pump();
        while let Some(out) = self.viewer.pc.poll_write() {
            self.wire.push((self.now + self.delay, false, out.message));
        }
        let timers = [self.peer.poll_timeout(self.now), self.viewer.pc.poll_timeout()];
        let next = timers.into_iter().flatten().chain(self.wire.iter().map(|w| w.0)).min();
        self.now = next.map_or(until, |next| next.clamp(self.now, until));
        let (due, later) = std::mem::take(&mut self.wire).into_iter().partition(|w| w.0 <= self.now);
        self.wire = later;
        for (_, to_viewer, data) in due {
            let (local, from) = if to_viewer { (VIEWER, DEVICE) } else { (DEVICE, VIEWER) };
            let (local, from) = (local.parse().expect("address"), from.parse().expect("address"));
            if to_viewer {
                self.viewer.read(self.now, Path { protocol: self.protocol, local, remote: from }, data);
            } else {
                if let Packet::StunRequest { ufrag, .. } = classify(&data) {
                    self.requests.extend(ufrag.map(ToOwned::to_owned));
                }
                self.peer.handle_datagram(
                    self.now,
                    Path { protocol: self.protocol, local, remote: from },
                    data,
                );
            }
        }
        self.peer.handle_timeout(self.now);
        let _ = self.viewer.pc.handle_timeout(self.now);
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step(until);
        }
        self.step(until);
    }

    /// Lets the path come up; gives the time that it took.
    fn connect(&mut self) -> Duration {
        let started = self.now;
        let deadline = started + Duration::from_secs(10);
        let up =
            |net: &Self| net.viewer.connected && net.events.iter().any(|e| matches!(e, PeerEvent::Connected));
        while !up(self) {
            assert!(self.now < deadline, "no path: {:?}", self.events);
            self.step(deadline);
        }
        self.now - started
    }

    fn push_picture(&mut self, size: usize) {
        // An IDR slice NAL unit; what is in it does not matter to the packets.
        let mut data = vec![0, 0, 0, 1, 0x65];
        data.resize(size, 0xaa);
        let unit = AccessUnit::passed(VideoCodec::H264, data.into(), true, (2, 2), (self.now, self.now));
        self.peer.flow().push_video(self.now, Arc::new(unit));
    }
}

impl Viewer {
    fn read(&mut self, now: Instant, path: Path, message: BytesMut) {
        let transport = TransportContext {
            local_addr: path.local,
            peer_addr: path.remote,
            ecn: None,
            transport_protocol: match path.protocol {
                transport::Protocol::Udp => TransportProtocol::UDP,
                transport::Protocol::Tcp => TransportProtocol::TCP,
            },
        };
        let _ = self.pc.handle_read(TaggedBytesMut { now, transport, message });
    }

    fn pump(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected) => {
                    self.connected = true
                }
                RTCPeerConnectionEvent::OnTrack(RTCTrackEvent::OnOpen(track)) => {
                    self.receiver = Some(track.receiver_id)
                }
                _ => {}
            }
        }
        while let Some(TaggedRTCMessage { message, .. }) = self.pc.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = message {
                self.media_ssrc = packet.header.ssrc;
                self.heard.insert(
                    (packet.header.payload_type, packet.header.sequence_number),
                    packet.payload.len(),
                );
            }
        }
    }
}

#[test]
fn a_path_is_up_within_a_few_round_trips() {
    let mut net = Net::new(Duration::from_millis(20));
    let took = net.connect();
    // A check, the nomination, and four flights of DTLS 1.2: not a timer in between.
    assert!(took <= Duration::from_millis(400), "{took:?}");
}

#[test]
fn the_handshake_begins_when_the_path_is_chosen() {
    let mut net = Net::new(Duration::from_millis(20));
    let deadline = net.now + Duration::from_secs(5);
    while net.peer.path() == "path unknown" {
        assert!(net.now < deadline, "no path: {:?}", net.events);
        net.step(deadline);
    }
    while net.peer.poll_event(net.now).is_some() {}
    let sent = net.peer.all_out(net.now);
    assert!(sent.iter().any(|out| classify(&out.data) == Packet::Dtls), "it waits: {sent:?}");
}

#[test]
fn the_path_is_told_in_words() {
    let mut net = Net::new(Duration::from_millis(5));
    assert_eq!(net.peer.path(), "path unknown");
    net.connect();
    assert_eq!(net.peer.path(), format!("host {DEVICE} to host {VIEWER}"));
}

#[test]
fn an_ice_restart_by_the_viewer_makes_a_new_path_and_the_picture_goes_on() {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    net.push_picture(2_000);
    net.run_for(Duration::from_millis(100));
    let (before, heard) = (net.peer.ufrag().to_owned(), net.viewer.heard.len());
    net.events.clear();

    let pc = &mut net.viewer.pc;
    pc.restart_ice();
    let text = pc.create_offer(None).expect("an offer");
    pc.set_local_description(net.now, text.clone()).expect("taken");
    let answer =
        Offer::read(&text.sdp).expect("read").answer_again(net.now, &mut net.peer).expect("an answer");
    let after = net.peer.ufrag().to_owned();
    assert_ne!(before, after, "RFC 8839 section 4.4.1.1.1: a restart changes the credentials of both sides");
    assert!(answer.contains(&format!("a=ice-ufrag:{after}\r\n")), "{answer}");
    // RFC 8445 section 9: until there is a new path, the old one is used.
    net.push_picture(2_000);
    let sent = net.peer.all_out(net.now);
    assert!(sent.iter().any(|out| classify(&out.data) == Packet::Media), "media waits for the new path");
    assert!(
        net.peer.poll_timeout(net.now).is_none_or(|due| due > net.now),
        "it would be called again and again"
    );
    let pc = &mut net.viewer.pc;
    pc.set_remote_description(net.now, RTCSessionDescription::answer(answer).expect("an SDP"))
        .expect("taken");
    // Both sides tell their candidates again.
    pc.add_remote_candidate(init(DEVICE)).expect("taken");
    net.peer.add_local_candidate(&line(DEVICE)).expect("taken");
    net.peer.add_remote_candidate(&line(VIEWER)).expect("taken");
    net.requests.clear();
    net.run_for(Duration::from_secs(1));

    assert!(net.events.iter().any(|e| matches!(e, PeerEvent::Connected)), "{:?}", net.events);
    assert!(!net.requests.is_empty() && net.requests.iter().all(|r| *r == after), "{:?}", net.requests);
    net.push_picture(2_000);
    net.run_for(Duration::from_millis(100));
    assert!(net.viewer.heard.len() > heard, "no picture after the restart");
}

#[test]
fn the_end_of_a_session_is_told_at_once() {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    net.run_for(Duration::from_millis(100));
    net.peer.close();
    let sent = net.peer.all_out(net.now);
    assert!(sent.iter().any(|out| classify(&out.data) == Packet::Dtls), "no close_notify: {sent:?}");
}

#[test]
fn packets_that_get_lost_are_asked_for_and_sent_again() {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    net.lose_every = 10;
    for _ in 0..60 {
        net.push_picture(8_000);
        net.run_for(Duration::from_millis(33));
    }
    net.lose_every = 0;
    for _ in 0..10 {
        net.push_picture(8_000);
        net.run_for(Duration::from_millis(33));
    }
    let sequence: Vec<u16> = net.viewer.heard.keys().map(|k| k.1).collect();
    let first = *sequence.first().expect("packets");
    let mut numbers: Vec<u16> = sequence.iter().map(|s| s.wrapping_sub(first)).collect();
    numbers.sort_unstable();
    let gaps: Vec<_> = numbers.windows(2).filter(|w| w[1] - w[0] > 1).map(|w| (w[0], w[1])).collect();
    assert!(numbers.len() > 400 && gaps.is_empty(), "{} packets from {first}, gaps: {gaps:?}", numbers.len());
}

#[test]
fn a_picture_loss_indication_becomes_a_keyframe_request() {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    net.push_picture(2_000);
    // Before, it would be answered by the key frame that is on its way.
    net.run_for(Duration::from_millis(400));
    let receiver = net.viewer.receiver.expect("a track");
    let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: net.viewer.media_ssrc };
    let now = net.now;
    net.viewer.pc.rtp_receiver(receiver).expect("it").write_rtcp(now, vec![Box::new(pli)]).expect("sent");
    net.run_for(Duration::from_millis(100));
    assert!(net.events.iter().any(|e| matches!(e, PeerEvent::KeyframeRequest)), "{:?}", net.events);
}

#[test]
fn a_viewer_that_falls_silent_is_disconnected_then_failed() {
    let mut net = Net::new(Duration::from_millis(10));
    net.connect();
    net.events.clear();
    let started = net.now;
    // Only the device's side lives on.
    let deadline = started + Duration::from_secs(60);
    let mut seen = Vec::new();
    while net.now < deadline && seen.len() < 2 {
        while let Some(event) = net.peer.poll_event(net.now) {
            match event {
                PeerEvent::Disconnected | PeerEvent::Failed => {
                    seen.push((net.now - started, format!("{event:?}")))
                }
                _ => {}
            }
        }
        net.peer.all_out(net.now);
        net.now = net.peer.poll_timeout(net.now).map_or(deadline, |t| t.max(net.now)).min(deadline);
        net.peer.handle_timeout(net.now);
    }
    assert_eq!(seen.iter().map(|s| s.1.as_str()).collect::<Vec<_>>(), ["Disconnected", "Failed"], "{seen:?}");
    assert!(seen[1].0 < Duration::from_secs(20), "{seen:?}");
}

#[test]
fn sound_goes_out_with_the_negotiated_payload_type() {
    let mut net = Net::new(Duration::from_millis(5));
    net.connect();
    for _ in 0..5 {
        let frame = AudioFrame {
            codec: AudioCodec::Opus,
            data: Bytes::from_static(&[0xf8, 0xff, 0xfe]),
            level: 40,
            captured: net.now,
        };
        net.peer.flow().push_sound(Instant::now(), Arc::new(frame));
        net.run_for(Duration::from_millis(20));
    }
    assert_eq!(
        net.viewer.heard.iter().filter(|(k, size)| k.0 == 111 && **size == 3).count(),
        5,
        "{:?}",
        net.viewer.heard
    );
}

#[path = "peer_tcp_tests.rs"]
mod tcp;

#[path = "peer_moves_tests.rs"]
mod moves;
