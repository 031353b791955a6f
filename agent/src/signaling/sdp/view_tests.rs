//! Tests of the view of an SDP.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::signaling::{
    message::{Body, read_inner},
    sdp::codecs_in_words,
};

const OFFER: &[u8] = include_bytes!("../../../tests/fixtures/offer-vp8-vp9-only.json");

fn offer() -> SdpView {
    let Ok(Body::Description(description)) = read_inner(OFFER) else { panic!("the fixture is an offer") };
    SdpView::parse(&description.sdp).unwrap()
}

#[test]
fn the_fixtures_offer_is_taken_apart() {
    let view = offer();
    assert_eq!(view.bundle, ["0", "1"]);
    let [audio, video] = view.sections.as_slice() else { panic!("two sections") };

    assert_eq!((&audio.kind, audio.mid.as_deref(), audio.port), (&MediaKind::Audio, Some("0"), 9));
    let opus = audio.payload(111).unwrap();
    assert_eq!((opus.name.as_str(), opus.clock, opus.channels), ("opus", 48_000, 2));
    assert_eq!(opus.fmtp.as_deref(), Some("minptime=10;useinbandfec=1"));
    assert_eq!(opus.feedback, ["transport-cc"]);
    assert_eq!(audio.payloads.len(), 14);
    assert!(audio.rtcp_mux && !audio.rtcp_rsize);

    assert_eq!((&video.kind, video.direction), (&MediaKind::Video, Direction::SendRecv));
    assert_eq!(
        video.payload(96).unwrap().feedback,
        ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"]
    );
    assert_eq!(video.payload(97).unwrap().fmtp.as_deref(), Some("apt=96"));
    assert_eq!(video.extensions.len(), 8);
    assert_eq!(video.extensions[0], Extension { id: 2, uri: "urn:ietf:params:rtp-hdrext:toffset".into() });
    let cname = Some("Zk3Lw8TqYv1Rb5Nd".to_owned());
    assert_eq!(video.ssrcs[0], SsrcLine { ssrc: 3_019_283_746, attribute: "cname".into(), value: cname });
    assert_eq!(video.ice_ufrag.as_deref(), Some("pQ9z"));
    assert_eq!(video.setup.as_deref(), Some("actpass"));
    assert_eq!(video.fingerprint.as_ref().unwrap().algorithm, "sha-256");
    assert!(video.rtcp_rsize && !video.rejected());
}

#[test]
fn the_fixtures_codecs_are_told_in_words() {
    assert_eq!(codecs_in_words(&offer()), "video: VP8, VP9; audio: opus, ISAC, G722, ILBC, PCMU, PCMA");
}

#[test]
fn session_level_values_count_for_each_section() {
    let view = SdpView::parse(
        "v=0\na=ice-ufrag:abcd\na=setup:active\na=recvonly\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\na=ice-ufrag:efgh\na=sendonly\n",
    )
    .unwrap();
    let [audio, video] = view.sections.as_slice() else { panic!("two sections") };
    assert_eq!((audio.ice_ufrag.as_deref(), audio.direction), (Some("abcd"), Direction::RecvOnly));
    assert_eq!((video.ice_ufrag.as_deref(), video.direction), (Some("efgh"), Direction::SendOnly));
    assert_eq!(video.setup.as_deref(), Some("active"));
}

#[test]
fn static_payload_types_need_no_rtpmap() {
    let view = SdpView::parse("v=0\nm=audio 9 RTP/SAVPF 0 8\n").unwrap();
    let names: Vec<&str> = view.sections[0].payloads.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["PCMU", "PCMA"]);
}

#[test]
fn feedback_for_all_payload_types_reaches_each() {
    let view = SdpView::parse("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96 98\na=rtcp-fb:* nack pli\n").unwrap();
    assert!(view.sections[0].payloads.iter().all(|p| p.feedback == ["nack pli"]));
}

#[test]
fn bundle_only_with_port_zero_is_not_rejected() {
    let view = SdpView::parse("v=0\nm=video 0 UDP/TLS/RTP/SAVPF 96\na=bundle-only\n").unwrap();
    assert!(view.first(&MediaKind::Video).is_some());
}

#[test]
fn candidates_inside_the_sdp_are_collected() {
    let view =
        SdpView::parse("v=0\nm=audio 9 RTP/SAVPF 0\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\n").unwrap();
    assert_eq!(view.sections[0].candidates, ["candidate:1 1 udp 1 192.0.2.1 9 typ host"]);
}

#[test]
fn an_attribute_out_of_shape_is_refused_with_its_line() {
    for attribute in [
        "rtpmap:96",
        "rtpmap:96 VP8",
        "rtpmap:x VP8/90000",
        "rtpmap:96 VP8/fast",
        "rtcp-fb:96",
        "fmtp:999 a=b",
        "extmap:x urn:y",
        "ssrc:one cname:x",
        "fingerprint:sha-256",
    ] {
        let text = format!("v=0\ns=-\nm=video 9 UDP/TLS/RTP/SAVPF 96\na={attribute}\n");
        let problem = SdpView::parse(&text).unwrap_err();
        assert_eq!(problem.line, 4, "{attribute}: {problem}");
    }
}

#[test]
fn a_payload_type_out_of_range_is_refused() {
    assert_eq!(SdpView::parse("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 128\n").unwrap_err().line, 2);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = SdpView::parse(&text);
    }

    #[test]
    fn no_attribute_makes_it_panic(attributes in proptest::collection::vec("a=(rtpmap|fmtp|rtcp-fb|extmap|ssrc|mid|candidate|fingerprint|group)[: /]?[ -~]{0,24}", 0..12)) {
        let text = format!("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\n{}", attributes.join("\n"));
        if let Ok(view) = SdpView::parse(&text) {
            prop_assert!(!codecs_in_words(&view).is_empty());
        }
    }
}
