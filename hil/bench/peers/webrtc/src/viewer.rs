//! One viewer's connection.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::Context;
use bytes::Bytes;
use rtc::{
    interceptor::{Registry, Slot},
    media_stream::MediaStreamTrack,
    peer_connection::{
        configuration::{
            interceptor_registry::{
                CongestionFeedback, configure_congestion_control, register_default_interceptors,
            },
            media_engine::{MIME_TYPE_H264, MediaEngine},
        },
        sdp::RTCSessionDescription,
    },
    rtp,
    rtp_transceiver::rtp_sender::{
        RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
    },
};
use tokio::sync::Notify;
use webrtc::{
    media_stream::track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCPeerConnectionState,
    },
};

use crate::{
    estimator::Told,
    keyframes::{Keyframes, SLOT},
};

/// What the crate's own list of codecs says of constrained baseline.
const PROFILE: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
/// As in the receiver's offer.
const PAYLOAD_TYPE: u8 = 96;

/// A viewer.
pub struct Viewer {
    connection: Arc<dyn PeerConnection>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    seq: u16,
    started: bool,
    state: Arc<State>,
    estimate: Arc<AtomicU64>,
    asked: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    gathered: Notify,
    connected: AtomicBool,
}

struct Handler(Arc<State>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.gathered.notify_one();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.0.connected.store(state == RTCPeerConnectionState::Connected, Ordering::Relaxed);
    }
}

impl Viewer {
    /// From a viewer's offer; gives the answer with it. The estimate begins at `start` bits a second.
    pub async fn accept(
        offer: String,
        address: IpAddr,
        ssrc: u32,
        start: u64,
    ) -> anyhow::Result<(Self, String)> {
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_H264.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: PROFILE.to_owned(),
            rtcp_feedback: vec![],
        };
        let mut engine = MediaEngine::default();
        let parameters = RTCRtpCodecParameters { rtp_codec: codec.clone(), payload_type: PAYLOAD_TYPE };
        engine.register_codec(parameters, RtpCodecKind::Video)?;
        let (estimator, estimate) = Told::new(start);
        let registry =
            configure_congestion_control(Registry::new(), estimator, CongestionFeedback::Twcc, &mut engine)?;
        let registry = register_default_interceptors(registry, &mut engine)?;
        let keyframes = Keyframes::default();
        let asked = keyframes.asked();
        let registry = registry.with(Slot::from(SLOT), keyframes);
        let state = Arc::new(State::default());
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler(state.clone())))
            .with_udp_addrs(vec![format!("{address}:0")])
            .build()
            .await?;
        let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
            "bench".into(),
            "video".into(),
            "video".into(),
            RtpCodecKind::Video,
            vec![RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
                codec,
                ..Default::default()
            }],
        )));
        connection.add_track(track.clone()).await?;
        connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        let answer = connection.create_answer(None).await?;
        connection.set_local_description(answer).await?;
        state.gathered.notified().await;
        let answer = connection.local_description().await.context("an answer")?.sdp;
        let connection = Arc::new(connection);
        Ok((Self { connection, track, ssrc, seq: 0, started: false, state, estimate, asked }, answer))
    }

    /// Whether a path is there.
    pub fn connected(&self) -> bool {
        self.state.connected.load(Ordering::Relaxed)
    }

    /// What its path carries, in bits a second.
    pub fn estimate(&self) -> u64 {
        self.estimate.load(Ordering::Relaxed)
    }

    /// Whether it asked for a key frame since the last call.
    pub fn wants_key(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    /// Sends a picture; what comes before its first key frame is left out.
    pub async fn write(&mut self, payloads: &[Bytes], key: bool, time: u32) {
        self.started |= key && self.connected();
        if !self.started {
            return;
        }
        for (index, payload) in payloads.iter().enumerate() {
            let header = rtp::header::Header {
                version: 2,
                marker: index + 1 == payloads.len(),
                payload_type: PAYLOAD_TYPE,
                sequence_number: self.seq,
                timestamp: time,
                ssrc: self.ssrc,
                ..Default::default()
            };
            self.seq = self.seq.wrapping_add(1);
            // Fails only once the viewer is gone.
            let _ = self.track.write_rtp(rtp::Packet { header, payload: payload.clone() }).await;
        }
    }

    /// Ends it.
    pub async fn close(self) {
        // It is over in any case.
        let _ = self.connection.close().await;
    }
}
