//! The tracks that a peer sends: their codecs as the stack wants them, their random identities.

use rtc::{
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection,
        configuration::media_engine::{
            MIME_TYPE_FLEX_FEC03, MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_PCMA, MIME_TYPE_PCMU,
            MIME_TYPE_RTX, MIME_TYPE_VP8, MediaEngine,
        },
    },
    rtp_transceiver::{
        RTCRtpSenderId,
        rtp_sender::{
            RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
            RTCRtpEncodingParameters, RTCRtpFecParameters, RTCRtpRtxParameters, RtpCodecKind,
        },
    },
};

use super::{
    negotiation::{AudioChoice, VideoChoice},
    send::{ExtensionIds, SoundStream, VideoStream},
};
use crate::media::{audio::AudioCodec, video::VideoCodec};

type Result<T> = std::result::Result<T, rtc::shared::error::Error>;

const STREAM: &str = "p2pcam";
const VIDEO_TRACK: &str = "video";
const AUDIO_TRACK: &str = "audio";

/// Random identities and starts of the RTP streams (RFC 3550 section 5.1).
pub(super) struct Seeds {
    pub video_ssrc: u32,
    pub rtx_ssrc: u32,
    pub audio_ssrc: u32,
    pub video_start: u64,
    pub audio_start: u64,
}

impl Seeds {
    pub(super) fn new() -> Self {
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

/// Teaches the stack the codec that is sent, and that of its retransmissions.
pub(super) fn register_video(engine: &mut MediaEngine, choice: &VideoChoice) -> Result<()> {
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
    if let Some(fec) = &choice.fec {
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_FLEX_FEC03.into(),
            clock_rate: 90_000,
            sdp_fmtp_line: fec.fmtp.clone().unwrap_or_default(),
            // Counted in the estimates of the path as all that is sent.
            rtcp_feedback: feedback(&[("goog-remb", ""), ("transport-cc", "")]),
            ..Default::default()
        };
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: codec, payload_type: fec.number },
            RtpCodecKind::Video,
        )?;
    }
    Ok(())
}

/// The stream of repair packets that goes with a stream of pictures (`a=ssrc-group:FEC-FR`, RFC 5956 section 4.3).
pub(super) fn fec_ssrc(video: u32) -> u32 {
    video ^ 0x0404_0404
}

/// Teaches the stack the codecs that may come and go.
pub(super) fn register_audio(engine: &mut MediaEngine, choice: &AudioChoice) -> Result<()> {
    for (codec, offered) in &choice.common {
        let parameters = RTCRtpCodecParameters {
            rtp_codec: audio_codec(*codec, offered.fmtp.as_deref()),
            payload_type: offered.number,
        };
        engine.register_codec(parameters, RtpCodecKind::Audio)?;
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

/// The picture, with streams for retransmissions and for repair packets where the viewer knows those.
pub(super) fn video_track(choice: &VideoChoice, ssrc: u32, rtx: u32) -> MediaStreamTrack {
    let rtx = choice.rtx.map(|_| RTCRtpRtxParameters { ssrc: rtx });
    let fec = choice.fec.as_ref().map(|_| RTCRtpFecParameters { ssrc: fec_ssrc(ssrc) });
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), rtx, fec, ..Default::default() };
    track(VIDEO_TRACK, RtpCodecKind::Video, coding, video_codec(choice))
}

/// The sound.
pub(super) fn audio_track(choice: &AudioChoice, ssrc: u32) -> MediaStreamTrack {
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

/// What the pictures' packets look like, as was agreed on.
pub(super) fn video_stream(
    pc: &mut RTCPeerConnection,
    sender: RTCRtpSenderId,
    mid: &str,
    choice: &VideoChoice,
    seeds: &Seeds,
) -> VideoStream {
    VideoStream {
        ssrc: seeds.video_ssrc,
        payload_type: choice.offered.number,
        rtx: choice.rtx.map(|payload_type| (seeds.rtx_ssrc, payload_type)),
        repair: choice.fec.as_ref().map(|fec| (fec_ssrc(seeds.video_ssrc), fec.number)),
        mid: mid.to_owned(),
        extensions: extension_ids(pc, sender),
        random: seeds.video_start,
    }
}

/// What the sound's packets look like, as was agreed on.
pub(super) fn sound_stream(
    pc: &mut RTCPeerConnection,
    sender: RTCRtpSenderId,
    mid: &str,
    choice: &AudioChoice,
    seeds: &Seeds,
) -> SoundStream {
    SoundStream {
        ssrc: seeds.audio_ssrc,
        payload_type: choice.common[0].1.number,
        clock_rate: choice.send.clock_rate(),
        mid: mid.to_owned(),
        extensions: extension_ids(pc, sender),
        random: seeds.audio_start,
    }
}

/// The header extensions that were agreed on for a track.
fn extension_ids(pc: &mut RTCPeerConnection, sender: RTCRtpSenderId) -> ExtensionIds {
    let Some(mut sender) = pc.rtp_sender(sender) else { return ExtensionIds::default() };
    let extensions = &sender.get_parameters().rtp_parameters.header_extensions;
    ExtensionIds::from_negotiated(extensions.iter().map(|e| (e.id, e.uri.as_str())))
}
