//! The viewer's end of a session: the `webrtc` crate's peer connection, and what it tells.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use rtc::{
    ice::mdns::MulticastDnsMode,
    interceptor::Slot,
    peer_connection::configuration::{
        RTCConfigurationBuilder, RTCOfferOptions, interceptor_registry::register_default_interceptors,
        media_engine::MediaEngine, setting_engine::SettingEngineBuilder,
    },
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp,
    rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit, rtp_sender::RtpCodecKind},
    statistics::report::RTCStatsReportEntry,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use webrtc::{
    media_stream::track_remote::{TrackRemote, TrackRemoteEvent},
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
        RTCIceCandidateType, RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy,
        RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription, Registry, StatsSelector,
    },
};

use super::{
    nack::Nack,
    reports::{Listening, Reports, SLOT},
};

/// What the stack may have to tell before we listen: a second of packets at 20 Mbit/s. More are dropped.
const QUEUE: usize = 2048;
/// As browsers have it, so that the rig's viewer notices a lost path when a person's would.
const DISCONNECTED: Duration = Duration::from_millis(2500);
/// After that; both together are also the time to find a first path in.
const FAILED: Duration = Duration::from_millis(12_500);
/// Often enough for [`DISCONNECTED`] where no media flows.
const KEEPALIVE: Duration = Duration::from_millis(500);
/// From the start of the checks on, a direct pair is taken as soon as it works ...
const ACCEPT_DIRECT: Duration = Duration::ZERO;
/// ... one of an address that was not signalled yet, where it may be a relay's, when direct ones had two checks ...
const ACCEPT_UNKNOWN: Duration = Duration::from_millis(100);
/// ... and a relay when they had three and did not answer: the stack does not change over from a relay that was taken
/// too early.
const ACCEPT_RELAY: Duration = Duration::from_millis(150);
/// Pause between checks of a pair, as Chromium's (48 ms); the stack's own 200 ms cost that much for a check that a NAT
/// swallows.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Checks of a pair until it counts as failed: 10 s of them, for a device whose candidates are slow to be found.
const MAX_CHECKS: u16 = 200;
/// Candidates that come before the answer. The page keeps as many.
const MAX_EARLY: usize = 64;

/// What the stack tells.
pub enum Told {
    /// A candidate of this side.
    Candidate(String),
    /// No more candidates come.
    AllCandidates,
    /// The connection's state.
    State(RTCPeerConnectionState),
    /// The track of the picture is there.
    Track(Arc<dyn TrackRemote>),
    /// A packet of the picture, and when it came.
    Picture(Instant, rtp::Packet),
    /// A packet of sound, and when it came.
    Sound(Instant, rtp::Packet),
}

/// Candidates in use.
#[derive(Clone, Debug, PartialEq)]
pub struct PathInUse {
    /// Type of the own one.
    pub local: String,
    /// Type of the device's.
    pub remote: String,
    /// Names the pair.
    pub pair: String,
    /// Round trip in milliseconds, if measured.
    pub rtt_ms: Option<f64>,
}

struct Handler(mpsc::Sender<Told>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let _ = self.0.try_send(Told::Candidate(candidate.candidate));
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.0.try_send(Told::AllCandidates);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.0.try_send(Told::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let video = track.kind().await == RtpCodecKind::Video;
        let told = self.0.clone();
        if video {
            let _ = told.try_send(Told::Track(track.clone()));
        }
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let make = if video { Told::Picture } else { Told::Sound };
                    let _ = told.try_send(make(Instant::now(), packet));
                }
            }
        });
    }
}

/// See the module. Dropping it without [`Peer::close`] leaves the stack running till the process ends.
pub struct Peer {
    connection: Box<dyn PeerConnection>,
    told: mpsc::Receiver<Told>,
    reports: Reports,
    early: Option<Vec<RTCIceCandidateInit>>,
    unanswered: bool,
}

impl Peer {
    /// A connection that will receive picture and sound; it gathers from `addresses`.
    pub async fn open(
        addresses: &[IpAddr],
        servers: Vec<RTCIceServer>,
        relay_only: bool,
    ) -> anyhow::Result<Self> {
        let (tell, told) = mpsc::channel(QUEUE);
        let reports = Reports::default();
        let connection = build(addresses, servers, relay_only, Handler(tell), reports.clone())
            .await
            .context("the viewer's WebRTC stack")?;
        Ok(Self { connection, told, reports, early: Some(Vec::new()), unanswered: false })
    }

    /// What happens next; `None` when the stack has ended.
    pub async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// The device's sender reports.
    pub fn reports(&self) -> &Reports {
        &self.reports
    }

    /// An offer as the body of an envelope; with `restart` one with new ICE credentials. One that has no answer yet is
    /// taken back.
    pub async fn offer(&mut self, restart: bool) -> anyhow::Result<Value> {
        if self.unanswered {
            self.connection.set_local_description(RTCSessionDescription::rollback(None)?).await?;
        }
        let options = restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.connection.create_offer(options).await?;
        self.connection.set_local_description(offer.clone()).await?;
        self.unanswered = true;
        Ok(json!(offer))
    }

    /// Takes in a description of the device; an answer that no offer waits for is passed over.
    pub async fn describe(&mut self, description: &Value) -> anyhow::Result<()> {
        if !std::mem::replace(&mut self.unanswered, false) {
            return Ok(());
        }
        let answer: RTCSessionDescription =
            serde_json::from_value(description.clone()).context("the device's answer cannot be read")?;
        self.connection.set_remote_description(answer).await.context("the device's answer is refused")?;
        for candidate in self.early.take().into_iter().flatten() {
            self.add(candidate).await;
        }
        Ok(())
    }

    /// Takes in a candidate of the device; its attribute.
    pub async fn candidate(&mut self, candidate: &Value) -> anyhow::Result<String> {
        let candidate: RTCIceCandidateInit =
            serde_json::from_value(candidate.clone()).context("the device's candidate cannot be read")?;
        let attribute = candidate.candidate.clone();
        match &mut self.early {
            Some(early) if early.len() < MAX_EARLY => early.push(candidate),
            Some(_) => {}
            None => self.add(candidate).await,
        }
        Ok(attribute)
    }

    /// One that cannot be used, a TCP candidate for one, is no fault of the session.
    async fn add(&self, candidate: RTCIceCandidateInit) {
        if let Err(error) = self.connection.add_ice_candidate(candidate.clone()).await {
            eprintln!("not used: {}: {error}", candidate.candidate);
        }
    }

    /// The pair in use, if there is one.
    pub async fn path(&self) -> Option<PathInUse> {
        let report = self.connection.get_stats(Instant::now(), StatsSelector::None).await;
        let selected = &report.transport()?.selected_candidate_pair_id;
        let pair = report.candidate_pairs().find(|pair| pair.stats.id == *selected)?;
        // The stack lists only candidates that were signalled: one that it met by itself is peer-reflexive.
        let kind = |list: &str, id: &str| match report.get(&format!("{list}_{id}")) {
            Some(
                RTCStatsReportEntry::LocalCandidate(candidate)
                | RTCStatsReportEntry::RemoteCandidate(candidate),
            ) => candidate.candidate_type,
            _ => RTCIceCandidateType::Prflx,
        };
        let local = kind("RTCLocalIceCandidate", &pair.local_candidate_id);
        let mut remote = kind("RTCRemoteIceCandidate", &pair.remote_candidate_id);
        if remote == RTCIceCandidateType::Prflx && self.remote_is_a_known_relay().await {
            remote = RTCIceCandidateType::Relay;
        }
        let rtt = pair.current_round_trip_time;
        Some(PathInUse {
            local: local.to_string(),
            remote: remote.to_string(),
            pair: selected.clone(),
            rtt_ms: (rtt > 0.0).then_some(rtt * 1e3),
        })
    }

    /// Whether the pair in use leads to an address that was signalled as a relay's. A check that came by it before the
    /// signal made it peer-reflexive, and the stack leaves it so.
    async fn remote_is_a_known_relay(&self) -> bool {
        for receiver in self.connection.get_receivers().await {
            let Ok(Some(dtls)) = receiver.transport().await else { continue };
            let ice = dtls.ice_transport();
            let Ok(Some(pair)) = ice.get_selected_candidate_pair().await else { continue };
            let Ok(known) = ice.get_remote_candidates().await else { continue };
            let used = pair.remote();
            return known.iter().any(|known| {
                known.typ == RTCIceCandidateType::Relay
                    && (&known.address, known.port) == (&used.address, used.port)
            });
        }
        false
    }

    /// Ends the connection.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// Asks for a key frame (RFC 4585 section 6.3.1).
pub async fn ask_for_keyframe(track: &dyn TrackRemote, ssrc: u32) {
    let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
    // The connection may just have ended.
    let _ = track.write_rtcp(vec![Box::new(pli)]).await;
}

async fn build(
    addresses: &[IpAddr],
    servers: Vec<RTCIceServer>,
    relay_only: bool,
    handler: Handler,
    reports: Reports,
) -> webrtc::error::Result<Box<dyn PeerConnection>> {
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    // The defaults are RTX, PLI and transport-wide feedback every 100 ms, as a browser has them, and a generator of NACKs.
    let registry = registry.with(Slot::NackGenerator, Nack::default()).with(SLOT, Listening::new(reports));
    let is_relay = |url: &String| url.starts_with("turn");
    let has_relay = servers.iter().any(|server| server.urls.iter().any(is_relay));
    let policy = if relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    let configuration =
        RTCConfigurationBuilder::new().with_ice_servers(servers).with_ice_transport_policy(policy).build();
    let settings = SettingEngineBuilder::new()
        .with_ice_timeouts(Some(DISCONNECTED), Some(FAILED), Some(KEEPALIVE))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
        .with_host_acceptance_min_wait(Some(ACCEPT_DIRECT))
        .with_srflx_acceptance_min_wait(Some(ACCEPT_DIRECT))
        .with_prflx_acceptance_min_wait(Some(if has_relay { ACCEPT_UNKNOWN } else { ACCEPT_DIRECT }))
        .with_relay_acceptance_min_wait(Some(ACCEPT_RELAY))
        // It would not begin at all where there is no multicast, and a device hides no address.
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(addresses.iter().any(IpAddr::is_loopback))
        .build();
    let sockets: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(sockets)
        .build()
        .await?;
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let init =
            RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
        connection.add_transceiver_from_kind(kind, Some(init)).await?;
    }
    Ok(Box::new(connection))
}
