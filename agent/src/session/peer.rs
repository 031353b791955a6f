//! One WebRTC peer, the answering side, without input or output: datagrams, pictures, sound and time go in,
//! datagrams and events come out.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use rtc::{
    interceptor::{Registry, Slot},
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        certificate::RTCCertificate,
        configuration::{
            RTCConfigurationBuilder,
            interceptor_registry::{configure_nack, configure_rtcp_reports, configure_twcc},
            media_engine::{
                MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_PCMA, MIME_TYPE_PCMU, MIME_TYPE_RTX, MIME_TYPE_VP8,
                MediaEngine,
            },
            setting_engine::SettingEngineBuilder,
        },
        event::RTCPeerConnectionEvent,
        message::{RTCMessage, TaggedRTCMessage},
        sdp::RTCSessionDescription,
        state::RTCPeerConnectionState,
        transport::RTCIceCandidateInit,
    },
    rtcp::payload_feedbacks::{
        full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
        receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate,
    },
    rtp_transceiver::{
        RTCRtpSenderId,
        rtp_sender::{
            RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
            RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
        },
    },
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
    statistics::{StatsSelector, report::RTCStatsReportEntry},
};

use super::{
    feedback::{GUARD_SLOT, Inbound, NackGuard, RequestTap, TAP_SLOT},
    negotiation::{AudioChoice, VideoChoice},
    packets::{AudioPackets, ExtensionIds, RtpStream, VideoPackets, uri},
};
use crate::media::{
    audio::{AudioCodec, AudioFrame},
    video::{AccessUnit, VideoCodec},
};

/// ICE credentials of one session (RFC 8839 section 5.4), made at `connect` so that gathering can start before the offer.
#[derive(Clone)]
pub struct IceCredentials {
    /// Username fragment, 8 ice-chars.
    pub ufrag: String,
    /// Password, 24 ice-chars.
    pub password: String,
}

impl IceCredentials {
    /// Fresh ones from the operating system's randomness.
    pub fn generate() -> anyhow::Result<Self> {
        // 64 ice-chars (RFC 8839 section 5.4) less the two that look odd in logs.
        const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("no randomness from the system: {e}"))?;
        let text: String = random.iter().map(|b| char::from(CHARS[usize::from(b & 63)])).collect();
        Ok(Self { ufrag: text[..8].into(), password: text[8..].into() })
    }
}

/// How long a peer may be without any packet before its path counts as lost, and before it counts as gone.
#[derive(Clone, Copy, Debug)]
pub struct PathTimeouts {
    /// To `Disconnected`.
    pub disconnected: Duration,
    /// From there to `Failed`.
    pub failed: Duration,
}

/// What is needed to answer an offer.
pub struct Answering<'a> {
    /// The cleaned offer (CRLF, BUNDLE).
    pub offer: &'a str,
    /// The video m-section's identification tag and choice.
    pub video: Option<(&'a str, VideoChoice)>,
    /// The audio m-section's identification tag and choice.
    pub audio: Option<(&'a str, AudioChoice)>,
    /// Made at `connect`.
    pub ice: &'a IceCredentials,
    /// The agent's DTLS certificate.
    pub certificate: &'a RTCCertificate,
    /// See there.
    pub timeouts: PathTimeouts,
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// The local candidate's address that it goes out from.
    pub local: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
    /// DTLS, STUN, SRTP or SRTCP.
    pub data: BytesMut,
}

/// A packet of talk-back.
#[derive(Clone, Debug)]
pub struct Heard {
    /// By its payload type.
    pub codec: AudioCodec,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP time in the codec's clock.
    pub timestamp: u32,
    /// RTP payload.
    pub payload: Bytes,
}

/// What happened inside.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are done: media flows.
    Connected,
    /// No packet for a while; it may come back.
    Disconnected,
    /// There is no path, or none any more.
    Failed,
    /// The viewer closed the DTLS association.
    Closed,
    /// PLI or FIR: the viewer needs a key frame.
    KeyframeRequest,
    /// The viewer's estimate of what its path carries, bits a second.
    Remb(u64),
    /// Sound from the viewer.
    Heard(Heard),
}

/// A track that is sent.
struct Sending<P> {
    track: String,
    packets: P,
}

/// The answering side of one session.
pub struct Peer {
    pc: RTCPeerConnection,
    video: Option<(Sending<VideoPackets>, VideoCodec)>,
    audio: Option<(Sending<AudioPackets>, AudioCodec)>,
    heard: Vec<(u8, AudioCodec)>,
    events: VecDeque<PeerEvent>,
}

type Result<T> = std::result::Result<T, rtc::shared::error::Error>;

impl Peer {
    /// Answers an offer; gives the peer and the answer's SDP. Nothing here waits for anything.
    pub fn answer(now: Instant, with: Answering<'_>) -> Result<(Self, String)> {
        let mut engine = MediaEngine::default();
        if let Some((_, choice)) = &with.video {
            register_video(&mut engine, choice)?;
        }
        if let Some((_, choice)) = &with.audio {
            for (codec, offered) in &choice.common {
                let parameters = RTCRtpCodecParameters {
                    rtp_codec: audio_codec(*codec, offered.fmtp.as_deref()),
                    payload_type: offered.number,
                };
                engine.register_codec(parameters, RtpCodecKind::Audio)?;
            }
        }
        let registry = configure_rtcp_reports(configure_nack(Registry::new(), &mut engine));
        let registry = configure_twcc(registry, &mut engine)?
            .with(Slot::Custom(GUARD_SLOT), Inbound::<NackGuard>::new())
            .with(Slot::Custom(TAP_SLOT), Inbound::<RequestTap>::new());
        for (uri, kind) in [
            (uri::MID, RtpCodecKind::Video),
            (uri::MID, RtpCodecKind::Audio),
            (uri::ABS_SEND_TIME, RtpCodecKind::Video),
            (uri::ABS_SEND_TIME, RtpCodecKind::Audio),
            (uri::PLAYOUT_DELAY, RtpCodecKind::Video),
            (uri::AUDIO_LEVEL, RtpCodecKind::Audio),
        ] {
            engine.register_header_extension(
                RTCRtpHeaderExtensionCapability { uri: uri.into() },
                kind,
                None,
            )?;
        }
        let settings = SettingEngineBuilder::new()
            .with_ice_credentials(with.ice.ufrag.clone(), with.ice.password.clone())
            .with_ice_timeouts(
                Some(with.timeouts.disconnected),
                Some(with.timeouts.failed),
                Some(ICE_KEEPALIVE),
            )
            .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_MAX_CHECKS))
            .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_relay_acceptance_min_wait(Some(RELAY_PATIENCE))
            .build();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new().with_certificates(vec![with.certificate.clone()]).build(),
            )
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .build(now)?;

        let seeds = Seeds::new();
        let video_sender = match &with.video {
            Some((_, choice)) => Some(pc.add_track(video_track(choice, seeds.video_ssrc, seeds.rtx_ssrc))?),
            None => None,
        };
        let audio_sender = match &with.audio {
            Some((_, choice)) => Some(pc.add_track(audio_track(choice, seeds.audio_ssrc))?),
            None => None,
        };
        pc.set_remote_description(now, RTCSessionDescription::offer(with.offer.to_owned())?)?;
        let answer = pc.create_answer(None)?;
        let sdp = answer.sdp.clone();
        pc.set_local_description(now, answer)?;

        let video = with.video.zip(video_sender).map(|((mid, choice), sender)| {
            let ids = extension_ids(&mut pc, sender);
            let stream = RtpStream::new(
                seeds.video_ssrc,
                choice.offered.number,
                90_000,
                now,
                seeds.video_start,
                mid,
                ids,
            );
            let packets = VideoPackets::new(stream, choice.codec);
            (Sending { track: VIDEO_TRACK.into(), packets }, choice.codec)
        });
        let heard = with.audio.iter().flat_map(|(_, c)| &c.common).map(|(c, o)| (o.number, *c)).collect();
        let audio = with.audio.zip(audio_sender).map(|((mid, choice), sender)| {
            let ids = extension_ids(&mut pc, sender);
            let payload_type = choice.common[0].1.number;
            let clock = choice.send.clock_rate();
            let stream =
                RtpStream::new(seeds.audio_ssrc, payload_type, clock, now, seeds.audio_start, mid, ids);
            (Sending { track: AUDIO_TRACK.into(), packets: AudioPackets::new(stream) }, choice.send)
        });
        Ok((Self { pc, video, audio, heard, events: VecDeque::new() }, sdp))
    }

    /// Answers a later offer of the same session: an ICE restart or a change of direction. The codecs stay.
    pub fn answer_again(&mut self, now: Instant, offer: &str) -> Result<String> {
        self.pc.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        let answer = self.pc.create_answer(None)?;
        let sdp = answer.sdp.clone();
        self.pc.set_local_description(now, answer)?;
        Ok(sdp)
    }

    /// What is sent, if video was agreed on.
    pub fn video_codec(&self) -> Option<VideoCodec> {
        self.video.as_ref().map(|(_, codec)| *codec)
    }

    /// What is sent, if audio was agreed on.
    pub fn audio_codec(&self) -> Option<AudioCodec> {
        self.audio.as_ref().map(|(_, codec)| *codec)
    }

    /// What was agreed on, in words: "video H264, audio Opus".
    pub fn words(&self) -> String {
        let video = self.video_codec().map_or("none".into(), |c| format!("{c:?}"));
        let audio = self.audio_codec().map_or("none".into(), |c| format!("{c:?}"));
        format!("video {video}, audio {audio}")
    }

    /// A local candidate, as `candidate:...`.
    pub fn add_local_candidate(&mut self, line: &str) -> Result<()> {
        self.pc.add_local_candidate(RTCIceCandidateInit { candidate: line.into(), ..Default::default() })
    }

    /// A remote candidate, as `candidate:...`.
    pub fn add_remote_candidate(&mut self, line: &str) -> Result<()> {
        self.pc.add_remote_candidate(RTCIceCandidateInit { candidate: line.into(), ..Default::default() })
    }

    /// A datagram that came to the local candidate's address `local`.
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, from: SocketAddr, data: BytesMut) {
        let transport = TransportContext {
            local_addr: local,
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        if let Err(e) = self.pc.handle_read(TaggedBytesMut { now, transport, message: data }) {
            // A peer's bytes: what cannot be read is dropped.
            tracing::trace!("datagram from {from} dropped: {e}");
        }
    }

    /// Time has come that [`Self::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(e) = self.pc.handle_timeout(now) {
            tracing::debug!("timer: {e}");
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.pc.poll_timeout()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let out = self.pc.poll_write()?;
        Some(Transmit { local: out.transport.local_addr, to: out.transport.peer_addr, data: out.message })
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        while let Some(TaggedRTCMessage { message, .. }) = self.pc.poll_read() {
            match message {
                RTCMessage::RtpPacket(_, packet) => self.heard(packet),
                RTCMessage::RtcpPacket(_, packets) => self.feedback(&packets),
                _ => {}
            }
        }
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.events.extend(match state {
                    RTCPeerConnectionState::Connected => Some(PeerEvent::Connected),
                    RTCPeerConnectionState::Disconnected => Some(PeerEvent::Disconnected),
                    RTCPeerConnectionState::Failed => Some(PeerEvent::Failed),
                    RTCPeerConnectionState::Closed => Some(PeerEvent::Closed),
                    _ => None,
                });
            }
        }
        self.events.pop_front()
    }

    fn heard(&mut self, packet: rtc::rtp::Packet) {
        // Pictures from the viewer have payload types that are not in the table: they are not looked at.
        if let Some((_, codec)) = self.heard.iter().find(|(pt, _)| *pt == packet.header.payload_type) {
            self.events.push_back(PeerEvent::Heard(Heard {
                codec: *codec,
                sequence: packet.header.sequence_number,
                timestamp: packet.header.timestamp,
                payload: packet.payload,
            }));
        }
    }

    fn feedback(&mut self, packets: &[Box<dyn rtc::rtcp::Packet>]) {
        for packet in packets {
            let packet = packet.as_any();
            if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                self.events.push_back(PeerEvent::KeyframeRequest);
            } else if let Some(remb) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                self.events.push_back(PeerEvent::Remb(remb.bitrate as u64));
            }
        }
    }

    /// Sends a picture.
    pub fn send_video(&mut self, now: Instant, unit: &AccessUnit) -> Result<()> {
        let Some((sending, _)) = &mut self.video else { return Ok(()) };
        for packet in sending.packets.packetize(&unit.data, unit.captured, now)? {
            let message = RTCMessage::RtpPacket(sending.track.clone(), packet);
            self.pc.handle_write(TaggedRTCMessage { now, message })?;
        }
        Ok(())
    }

    /// Sends 20 ms of sound.
    pub fn send_audio(&mut self, now: Instant, frame: &AudioFrame) -> Result<()> {
        let Some((sending, _)) = &mut self.audio else { return Ok(()) };
        let packet = sending.packets.packetize(frame.data.clone(), frame.level, frame.captured, now);
        let message = RTCMessage::RtpPacket(sending.track.clone(), packet);
        self.pc.handle_write(TaggedRTCMessage { now, message })
    }

    /// The path in words, as in "host to prflx over udp".
    pub fn path(&mut self, now: Instant) -> String {
        let report = self.pc.get_stats(now, StatsSelector::None);
        let kind = |id: &str| match report.get(id) {
            Some(RTCStatsReportEntry::LocalCandidate(c) | RTCStatsReportEntry::RemoteCandidate(c)) => {
                c.candidate_type.to_string()
            }
            _ => "unknown".into(),
        };
        let pair = report.candidate_pairs().find(|pair| pair.nominated);
        match pair {
            Some(pair) => {
                format!("{} to {}", kind(&pair.local_candidate_id), kind(&pair.remote_candidate_id))
            }
            None => "path unknown".into(),
        }
    }

    /// Ends the session: the last datagrams (DTLS close_notify) come out of [`Self::poll_transmit`].
    pub fn close(&mut self) {
        if let Err(e) = self.pc.close() {
            tracing::debug!("close: {e}");
        }
    }
}

/// Keeps NAT bindings alive; RFC 7675 section 5.1 wants a consent check every 5 s, and loss is noticed sooner this way.
const ICE_KEEPALIVE: Duration = Duration::from_secs(2);
/// Between rounds of connectivity checks: a lost first check costs only this (RFC 8445 section 14.2: 50 ms at least).
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// With 50 ms between them, checks of a pair go on for 10 s.
const ICE_MAX_CHECKS: u16 = 200;
/// How long a relayed pair waits for a direct one.
const RELAY_PATIENCE: Duration = Duration::from_millis(500);

const STREAM: &str = "p2pcam";
const VIDEO_TRACK: &str = "video";
const AUDIO_TRACK: &str = "audio";

/// Random identities and starts of the RTP streams (RFC 3550 section 5.1).
struct Seeds {
    video_ssrc: u32,
    rtx_ssrc: u32,
    audio_ssrc: u32,
    video_start: u64,
    audio_start: u64,
}

impl Seeds {
    fn new() -> Self {
        let ssrc = || getrandom::u32().unwrap_or(0x7032_7063).max(1);
        let video_ssrc = ssrc();
        Self {
            video_ssrc,
            // Distinct by construction, wherever the randomness came from.
            rtx_ssrc: video_ssrc ^ 0x0101_0101,
            audio_ssrc: video_ssrc ^ 0x0202_0202,
            video_start: getrandom::u64().unwrap_or_default(),
            audio_start: getrandom::u64().unwrap_or_default(),
        }
    }
}

fn feedback(pairs: &[(&str, &str)]) -> Vec<RTCPFeedback> {
    pairs
        .iter()
        .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).into(), parameter: (*parameter).into() })
        .collect()
}

fn video_codec(choice: &VideoChoice) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: match choice.codec {
            VideoCodec::H264 => MIME_TYPE_H264.into(),
            VideoCodec::Vp8 => MIME_TYPE_VP8.into(),
        },
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: choice.offered.fmtp.clone().unwrap_or_default(),
        rtcp_feedback: feedback(&[
            ("goog-remb", ""),
            ("transport-cc", ""),
            ("ccm", "fir"),
            ("nack", ""),
            ("nack", "pli"),
        ]),
    }
}

fn register_video(engine: &mut MediaEngine, choice: &VideoChoice) -> Result<()> {
    let payload_type = choice.offered.number;
    engine.register_codec(
        RTCRtpCodecParameters { rtp_codec: video_codec(choice), payload_type },
        RtpCodecKind::Video,
    )?;
    if let Some(rtx) = choice.rtx {
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.into(),
            clock_rate: 90_000,
            sdp_fmtp_line: format!("apt={payload_type}"),
            ..Default::default()
        };
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: codec, payload_type: rtx },
            RtpCodecKind::Video,
        )?;
    }
    Ok(())
}

fn audio_codec(codec: AudioCodec, fmtp: Option<&str>) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: match codec {
            AudioCodec::Opus => MIME_TYPE_OPUS,
            AudioCodec::Pcmu => MIME_TYPE_PCMU,
            AudioCodec::Pcma => MIME_TYPE_PCMA,
        }
        .into(),
        clock_rate: codec.clock_rate(),
        channels: if codec == AudioCodec::Opus { 2 } else { 0 },
        sdp_fmtp_line: fmtp.unwrap_or_default().into(),
        rtcp_feedback: feedback(&[("transport-cc", "")]),
    }
}

fn video_track(choice: &VideoChoice, ssrc: u32, rtx: u32) -> MediaStreamTrack {
    let rtx = choice.rtx.map(|_| RTCRtpRtxParameters { ssrc: rtx });
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), rtx, ..Default::default() };
    track(VIDEO_TRACK, RtpCodecKind::Video, coding, video_codec(choice))
}

fn audio_track(choice: &AudioChoice, ssrc: u32) -> MediaStreamTrack {
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let (codec, offered) = &choice.common[0];
    track(AUDIO_TRACK, RtpCodecKind::Audio, coding, audio_codec(*codec, offered.fmtp.as_deref()))
}

fn track(
    id: &str,
    kind: RtpCodecKind,
    coding: RTCRtpCodingParameters,
    codec: RTCRtpCodec,
) -> MediaStreamTrack {
    let encoding =
        RTCRtpEncodingParameters { rtp_coding_parameters: coding, active: true, codec, ..Default::default() };
    MediaStreamTrack::new(STREAM.into(), id.into(), id.into(), kind, vec![encoding])
}

fn extension_ids(pc: &mut RTCPeerConnection, sender: RTCRtpSenderId) -> ExtensionIds {
    let Some(mut sender) = pc.rtp_sender(sender) else { return ExtensionIds::default() };
    let extensions = &sender.get_parameters().rtp_parameters.header_extensions;
    ExtensionIds::from_negotiated(extensions.iter().map(|e| (e.id, e.uri.as_str())))
}

/// A DTLS certificate for the life of the process: browsers check its fingerprint only, which the answer carries.
pub fn new_certificate() -> anyhow::Result<RTCCertificate> {
    let provider = rtc::crypto::default_provider()?;
    let params = rtc::peer_connection::certificate::CertificateParams::new(vec!["p2pcam".to_owned()])?;
    let scheme = rtc::crypto::SignatureScheme::EcdsaP256Sha256;
    Ok(RTCCertificate::generate(provider.crypto(), scheme, params)?)
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "peer_network_tests.rs"]
mod network_tests;
