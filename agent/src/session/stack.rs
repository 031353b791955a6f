//! How the WebRTC stack is set up for one viewer: codecs, header extensions, feedback, ICE and DTLS.

use std::time::{Duration, Instant};

use rtc::{
    interceptor::Registry,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        certificate::RTCCertificate,
        configuration::{
            RTCConfigurationBuilder, media_engine::MediaEngine, setting_engine::SettingEngineBuilder,
        },
        transport::RTCDtlsRole,
    },
    rtp_transceiver::rtp_sender::{RTCRtpHeaderExtensionCapability, RtpCodecKind},
};

use super::{peer::Answering, send::uri, srtp::KeyTap, tracks};

/// Keeps NAT bindings alive; RFC 7675 section 5.1 wants a consent check every 5 s, and loss is noticed sooner this way.
const ICE_KEEPALIVE: Duration = Duration::from_secs(2);
/// Between rounds of connectivity checks: a lost first check costs only this (RFC 8445 section 14.2: 50 ms at least).
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// With 50 ms between them, checks of a pair go on for 10 s.
const ICE_MAX_CHECKS: u16 = 200;
/// How long a relayed pair waits for a direct one.
const RELAY_PATIENCE: Duration = Duration::from_millis(500);

/// A connection that takes `with`, without tracks, and where its keys turn up.
pub(super) fn connection(
    now: Instant,
    with: &Answering<'_>,
) -> Result<(RTCPeerConnection, KeyTap), rtc::shared::error::Error> {
    let mut engine = MediaEngine::default();
    if let Some((_, choice)) = &with.video {
        tracks::register_video(&mut engine, choice)?;
    }
    if let Some((_, choice)) = &with.audio {
        tracks::register_audio(&mut engine, choice)?;
    }
    for (uri, kind) in [
        (uri::MID, RtpCodecKind::Video),
        (uri::MID, RtpCodecKind::Audio),
        (uri::ABS_SEND_TIME, RtpCodecKind::Video),
        (uri::ABS_SEND_TIME, RtpCodecKind::Audio),
        (uri::TRANSPORT_CC, RtpCodecKind::Video),
        (uri::TRANSPORT_CC, RtpCodecKind::Audio),
        (uri::PLAYOUT_DELAY, RtpCodecKind::Video),
        (uri::AUDIO_LEVEL, RtpCodecKind::Audio),
    ] {
        engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: uri.into() }, kind, None)?;
    }
    let settings = SettingEngineBuilder::new()
        .with_answering_dtls_role(answering_role(with.setup))
        .with_ice_timeouts(Some(with.timeouts.disconnected), Some(with.timeouts.failed), Some(ICE_KEEPALIVE))
        .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_MAX_CHECKS))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_relay_acceptance_min_wait(Some(RELAY_PATIENCE))
        // Those that live are told again; an address that is gone is not to be checked from.
        .with_discard_local_candidates_during_ice_restart(true);
    let (settings, tap) = KeyTap::install(settings)
        .map_err(|e| rtc::shared::error::Error::Other(format!("no cryptography: {e}")))?;
    let settings = settings.build();
    // No interceptors: what they do, the session's own flow does for all streams at less cost.
    let connection = RTCPeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new().with_certificates(vec![with.certificate.clone()]).build(),
        )
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(Registry::new())
        .build(now)?;
    Ok((connection, tap))
}

/// The other side of what the offer takes; where it leaves the choice, the stack's rules hold.
fn answering_role(setup: Option<&str>) -> RTCDtlsRole {
    match setup {
        Some("active") => RTCDtlsRole::Server,
        Some("passive") => RTCDtlsRole::Client,
        _ => RTCDtlsRole::Unspecified,
    }
}

/// A DTLS certificate for the life of the process: browsers check its fingerprint only, which the answer carries.
pub fn new_certificate() -> anyhow::Result<RTCCertificate> {
    let provider = rtc::crypto::default_provider()?;
    let params = rtc::peer_connection::certificate::CertificateParams::new(vec!["p2pcam".to_owned()])?;
    let scheme = rtc::crypto::SignatureScheme::EcdsaP256Sha256;
    Ok(RTCCertificate::generate(provider.crypto(), scheme, params)?)
}
