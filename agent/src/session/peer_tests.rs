//! The answers of a peer: which lines a viewer gets back.

use std::time::{Duration, Instant};

use super::*;
use crate::{
    session::negotiation::{choose_audio, choose_video},
    signaling::sdp::{self, MediaKind, SdpView},
};

const OFFER: &str = include_str!("../../tests/fixtures/offer-vp8-vp9-only.json");

fn answer_to(offer: &str) -> String {
    let offer = sdp::clean(offer).expect("an SDP");
    let view = SdpView::parse(&offer).expect("an SDP");
    let payloads = |kind| view.first(&kind).map(|s| s.payloads.clone()).unwrap_or_default();
    let ice = IceCredentials::generate().expect("randomness");
    let certificate = new_certificate().expect("a key");
    let video = choose_video(&payloads(MediaKind::Video), &[VideoCodec::H264, VideoCodec::Vp8]);
    let audio =
        choose_audio(&payloads(MediaKind::Audio), &[AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma]);
    let with = Answering {
        offer: &offer,
        video: video.map(|c| ("1", c)),
        audio: audio.map(|c| ("0", c)),
        ice: &ice,
        certificate: &certificate,
        timeouts: PathTimeouts { disconnected: Duration::from_secs(5), failed: Duration::from_secs(25) },
    };
    let (_, sdp) = Peer::answer(Instant::now(), with).expect("an answer");
    assert!(sdp.contains(&format!("a=ice-ufrag:{}\r\n", ice.ufrag)), "{sdp}");
    sdp
}

#[test]
fn the_offer_of_the_capture_is_answered_with_all_that_is_common() {
    let offer: serde_json::Value = serde_json::from_str(OFFER).expect("JSON");
    let sdp = answer_to(offer["sdp"].as_str().expect("text"));
    for line in [
        "a=group:BUNDLE 0 1",
        "a=setup:active",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=sendrecv",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=extmap:6 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 ccm fir",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    ] {
        assert!(sdp.lines().any(|l| l.trim() == line), "no {line} in\n{sdp}");
    }
    assert_eq!(sdp.matches("a=sendrecv").count(), 2, "{sdp}");
    assert!(!sdp.contains("VP9") && !sdp.contains("ISAC"), "{sdp}");
}
