//! A device whose stack is tapped against a viewer on the plain stack: a real handshake, for each profile and role.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc::{
    dtls::extension::extension_use_srtp::SrtpProtectionProfile,
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{
            media_engine::{MIME_TYPE_VP8, MediaEngine},
            setting_engine::SettingEngineBuilder,
        },
        event::RTCPeerConnectionEvent,
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::{RTCDtlsRole, RTCIceCandidateInit},
    },
    rtcp::{self, payload_feedbacks::picture_loss_indication::PictureLossIndication},
    rtp_transceiver::{
        RTCRtpReceiverId,
        rtp_sender::{
            RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
            RtpCodecKind,
        },
    },
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};

use super::{KeyTap, Keys, Outbound, Profile, Srtcp, SrtcpError};

const DEVICE: &str = "192.0.2.1:5000";
const VIEWER: &str = "198.51.100.1:6000";
const SSRC: u32 = 0x7032_7063;
const PAYLOAD_TYPE: u8 = 96;

struct Pair {
    now: Instant,
    device: RTCPeerConnection,
    viewer: RTCPeerConnection,
    tap: KeyTap,
    /// Device, viewer.
    connected: [bool; 2],
    /// SRTP and SRTCP that the device's stack sent by itself.
    by_itself: usize,
    /// SRTCP that the viewer sent, as it came.
    reports: Vec<BytesMut>,
}

fn codec() -> RTCRtpCodec {
    RTCRtpCodec { mime_type: MIME_TYPE_VP8.into(), clock_rate: 90_000, ..Default::default() }
}

fn engine() -> MediaEngine {
    let mut engine = MediaEngine::default();
    let parameters = RTCRtpCodecParameters { rtp_codec: codec(), payload_type: PAYLOAD_TYPE };
    engine.register_codec(parameters, RtpCodecKind::Video).expect("a codec");
    engine
}

fn candidate(address: &str) -> RTCIceCandidateInit {
    let (ip, port) = address.split_once(':').expect("address and port");
    RTCIceCandidateInit {
        candidate: format!("candidate:1 1 udp 2130706431 {ip} {port} typ host"),
        ..Default::default()
    }
}

fn track() -> MediaStreamTrack {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
        active: true,
        codec: codec(),
        ..Default::default()
    };
    MediaStreamTrack::new(
        "p2pcam".into(),
        "video".into(),
        "video".into(),
        RtpCodecKind::Video,
        vec![encoding],
    )
}

impl Pair {
    /// The viewer, on the plain stack, offers one profile; the device has this role in the handshake.
    fn new(profile: Profile, role: RTCDtlsRole) -> Self {
        Self::with(SettingEngineBuilder::new().with_srtp_protection_profiles(vec![profile.in_dtls()]), role)
    }

    fn with(viewer: SettingEngineBuilder, role: RTCDtlsRole) -> Self {
        let now = Instant::now();
        let settings = viewer.build();
        let mut viewer = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine())
            .with_setting_engine(settings)
            .build(now)
            .expect("a viewer");
        viewer.add_transceiver_from_kind(RtpCodecKind::Video, None).expect("video");
        let (settings, tap) =
            KeyTap::install(SettingEngineBuilder::new().with_answering_dtls_role(role)).expect("a provider");
        let mut device = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine())
            .with_setting_engine(settings.build())
            .build(now)
            .expect("a device");
        device.add_track(track()).expect("a track");

        let offer = viewer.create_offer(None).expect("an offer");
        viewer.set_local_description(now, offer.clone()).expect("taken");
        let offer = RTCSessionDescription::offer(offer.sdp).expect("an offer");
        device.set_remote_description(now, offer).expect("taken");
        let answer = device.create_answer(None).expect("an answer");
        device.set_local_description(now, answer.clone()).expect("taken");
        let answer = RTCSessionDescription::answer(answer.sdp).expect("an answer");
        viewer.set_remote_description(now, answer).expect("taken");
        for (pc, own, other) in [(&mut device, DEVICE, VIEWER), (&mut viewer, VIEWER, DEVICE)] {
            pc.add_local_candidate(candidate(own)).expect("taken");
            pc.add_remote_candidate(candidate(other)).expect("taken");
        }
        Self { now, device, viewer, tap, connected: [false; 2], by_itself: 0, reports: Vec::new() }
    }

    fn send(&mut self, message: BytesMut) {
        read(&mut self.viewer, self.now, (VIEWER, DEVICE), message);
    }

    /// Moves what is ready, then the clock.
    fn step(&mut self) {
        while let Some(out) = self.device.poll_write() {
            self.by_itself += usize::from(is_media(&out.message));
            self.send(out.message);
        }
        while let Some(out) = self.viewer.poll_write() {
            if is_media(&out.message) {
                self.reports.push(out.message.clone());
            }
            read(&mut self.device, self.now, (DEVICE, VIEWER), out.message);
        }
        for (pc, connected) in [&mut self.device, &mut self.viewer].into_iter().zip(&mut self.connected) {
            while let Some(event) = pc.poll_event() {
                *connected |= matches!(
                    event,
                    RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected)
                );
            }
        }
        self.now += Duration::from_millis(10);
        for pc in [&mut self.device, &mut self.viewer] {
            let _ = pc.handle_timeout(self.now);
        }
    }

    fn connect(&mut self) -> Keys {
        assert!(self.tap.keys().is_none(), "keys before the handshake");
        for _ in 0..1000 {
            self.step();
            if self.connected == [true; 2] {
                return self.tap.keys().expect("the handshake is done");
            }
        }
        panic!("no connection within 10 s");
    }

    fn heard(&mut self) -> Vec<RTCMessage> {
        std::iter::from_fn(|| self.viewer.poll_read())
            .map(|TaggedRTCMessage { message, .. }| message)
            .collect()
    }
}

fn read(pc: &mut RTCPeerConnection, now: Instant, (local, peer): (&str, &str), message: BytesMut) {
    let transport = TransportContext {
        local_addr: local.parse().expect("an address"),
        peer_addr: peer.parse().expect("an address"),
        ecn: None,
        transport_protocol: TransportProtocol::UDP,
    };
    let _ = pc.handle_read(TaggedBytesMut { now, transport, message });
}

/// RFC 7983 section 7.
fn is_media(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (128..192).contains(first))
}

fn packet(sequence: u16, payload: &[u8], overhead: usize) -> Vec<u8> {
    let mut packet = vec![0x80, PAYLOAD_TYPE];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + overhead, 0);
    packet
}

fn hears_what_we_protect(profile: Profile, role: RTCDtlsRole) {
    let mut pair = Pair::new(profile, role);
    let keys = pair.connect();
    assert_eq!(keys.profile(), profile);

    let mut outbound = Outbound::new(&keys);
    // Over the end of the sequence numbers.
    for index in 65_530u64..65_560 {
        let mut sent = packet(index as u16, &[index as u8; 700], outbound.overhead());
        outbound.protect(&mut sent, 12, index);
        pair.send(sent.as_slice().into());
    }
    let heard: Vec<_> = pair
        .heard()
        .into_iter()
        .filter_map(|message| match message {
            RTCMessage::RtpPacket(_, packet) => Some((packet.header.sequence_number, packet.payload)),
            _ => None,
        })
        .collect();
    let expected = (65_530u64..65_560).map(|index| (index as u16, vec![index as u8; 700]));
    assert!(
        heard.iter().map(|(number, payload)| (*number, payload.to_vec())).eq(expected),
        "{}",
        heard.len()
    );
}

fn understands_the_viewers_reports(profile: Profile, role: RTCDtlsRole) {
    let mut pair = Pair::new(profile, role);
    let keys = pair.connect();
    let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: SSRC };
    let receiver: RTCRtpReceiverId = pair.viewer.get_receivers().next().expect("a receiver");
    let now = pair.now;
    pair.viewer
        .rtp_receiver(receiver)
        .expect("it")
        .write_rtcp(now, vec![Box::new(pli.clone())])
        .expect("sent");
    pair.step();

    let mut srtcp = Srtcp::new(&keys);
    let report = pair.reports.first().expect("a report").clone();
    let mut plain = srtcp.unprotect(&report).expect("authentic");
    let packets = rtcp::packet::unmarshal(&mut plain).expect("a compound");
    assert_eq!(packets.first().and_then(|p| p.as_any().downcast_ref()), Some(&pli));
    assert_eq!(srtcp.unprotect(&report), Err(SrtcpError::Replayed));
    assert_eq!(pair.by_itself, 0);
}

#[test]
fn a_viewer_hears_what_we_protect_whatever_the_profile_and_the_role() {
    for profile in Profile::ALL {
        for role in [RTCDtlsRole::Client, RTCDtlsRole::Server] {
            hears_what_we_protect(profile, role);
        }
    }
}

#[test]
fn the_viewers_reports_are_understood_whatever_the_profile_and_the_role() {
    for profile in Profile::ALL {
        for role in [RTCDtlsRole::Client, RTCDtlsRole::Server] {
            understands_the_viewers_reports(profile, role);
        }
    }
}

#[test]
fn both_sides_of_a_handshake_get_the_same_keys_crosswise() {
    for profile in Profile::ALL {
        for role in [RTCDtlsRole::Client, RTCDtlsRole::Server] {
            let (settings, other) = KeyTap::install(SettingEngineBuilder::new()).expect("a provider");
            let settings = settings.with_srtp_protection_profiles(vec![profile.in_dtls()]);
            let device = Pair::with(settings, role).connect();
            let viewer = other.keys().expect("the handshake is done");
            let plain = [0x80, 201, 0, 1, 0, 0, 0, 9];
            let (mut ours, mut theirs) = (Srtcp::new(&device), Srtcp::new(&viewer));
            let sent = ours.protect(&plain).expect("protected");
            assert_eq!(theirs.unprotect(&sent).expect("authentic"), plain[..]);
            let sent = theirs.protect(&plain).expect("protected");
            assert_eq!(ours.unprotect(&sent).expect("authentic"), plain[..]);
        }
    }
}

#[test]
fn of_several_profiles_one_that_we_can_do_is_taken() {
    let (short, long) = (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    );
    for role in [RTCDtlsRole::Client, RTCDtlsRole::Server] {
        let settings = SettingEngineBuilder::new().with_srtp_protection_profiles(vec![short, long]);
        let mut pair = Pair::with(settings, role);
        assert_eq!(pair.connect().profile(), Profile::Aes128CmHmacSha1);
        // What a viewer of the same stack knows: all, and the one with the short tag besides.
        let mut pair = Pair::with(SettingEngineBuilder::new(), role);
        assert_eq!(pair.connect().profile(), Profile::AeadAes128Gcm);
    }
}
