//! Answers by the real stack: which lines a viewer gets back, also for odd offers.

use super::*;
use crate::session::stack::new_certificate;

const CAPTURE: &str = include_str!("../../tests/fixtures/offer-vp8-vp9-only.json");

fn capture() -> String {
    let offer: serde_json::Value = serde_json::from_str(CAPTURE).expect("JSON");
    offer["sdp"].as_str().expect("text").to_owned()
}

fn try_answer(offer: &str) -> Result<(Offer, Peer, String), WireError> {
    let certificate = new_certificate().expect("a key");
    let with = Answer {
        codecs: Codecs {
            video: vec![VideoCodec::H264, VideoCodec::Vp8],
            audio: vec![AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma],
        },
        certificate: &certificate,
        disconnect_timeout: Duration::from_secs(25),
    };
    let offer = Offer::read(offer)?;
    let (peer, answer) = offer.answer(Instant::now(), &with)?;
    Ok((offer, peer, answer))
}

/// The answer, which every viewer's parser must take: as many sections as the offer, in its order.
fn answer_to(offer: &str) -> (Peer, String, SdpView) {
    let (read, peer, answer) = try_answer(offer).expect("an answer");
    let view = SdpView::parse(&answer).expect("an SDP");
    let kinds = |view: &SdpView| {
        view.sections.iter().map(|s| (s.kind.clone(), s.protocol.clone())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&view), kinds(&read.view), "{answer}");
    let (mid, number) = read.place(&peer);
    let place = &view.sections[usize::from(number)];
    assert!(
        !place.rejected() && place.mid.as_deref() == Some(&*mid),
        "candidates for {mid} {number}: {answer}"
    );
    (peer, answer, view)
}

/// Of each section: its tag, and its direction unless it is rejected.
fn outcome(view: &SdpView) -> Vec<(&str, Option<Direction>)> {
    view.sections
        .iter()
        .map(|s| (s.mid.as_deref().unwrap_or("-"), (!s.rejected()).then_some(s.direction)))
        .collect()
}

/// The capture's offer with `from` replaced by `to` in the section with the number.
fn changed(section: usize, from: &str, to: &str) -> String {
    let offer = capture();
    let mut parts: Vec<String> = offer.split("m=").map(ToOwned::to_owned).collect();
    assert!(parts[section + 1].contains(from), "{offer}");
    parts[section + 1] = parts[section + 1].replace(from, to);
    parts.join("m=")
}

/// The capture's offer and one more section.
fn with_section(section: &str) -> String {
    format!("{}{section}", capture())
}

const ICE: &str = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:pQ9z\r\na=ice-pwd:h0Vx+2MwKzCWqbf5RUxBd1Fm\r\n";

#[test]
fn the_offer_of_the_capture_is_answered_with_all_that_is_common() {
    let (peer, sdp, _) = answer_to(&capture());
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
    assert!(peer.ufrag().len() >= 4 && sdp.contains(&format!("a=ice-ufrag:{}\r\n", peer.ufrag())), "{sdp}");
}

#[test]
fn a_viewer_that_only_receives_is_only_sent_to() {
    let offer = capture().replace("a=sendrecv", "a=recvonly");
    let (peer, sdp, view) = answer_to(&offer);
    assert_eq!(outcome(&view), [("0", Some(Direction::SendOnly)), ("1", Some(Direction::SendOnly))], "{sdp}");
    assert!(peer.video_codec().is_some() && peer.audio_codec().is_some());
}

#[test]
fn sections_without_a_direction_go_both_ways() {
    let offer = capture().replace("a=sendrecv\r\n", "");
    let (_, sdp, view) = answer_to(&offer);
    assert_eq!(outcome(&view), [("0", Some(Direction::SendRecv)), ("1", Some(Direction::SendRecv))], "{sdp}");
}

#[test]
fn a_viewer_that_only_talks_is_heard_and_not_sent_sound() {
    let (peer, sdp, view) = answer_to(&changed(0, "a=sendrecv", "a=sendonly"));
    assert_eq!(outcome(&view), [("0", Some(Direction::RecvOnly)), ("1", Some(Direction::SendRecv))], "{sdp}");
    assert_eq!(peer.audio_codec(), None);
}

#[test]
fn sound_that_is_inactive_or_rejected_is_rejected_and_the_picture_stays() {
    for offer in [changed(0, "a=sendrecv", "a=inactive"), changed(0, "audio 9", "audio 0")] {
        let (peer, sdp, view) = answer_to(&offer);
        assert_eq!(outcome(&view), [("0", None), ("1", Some(Direction::SendRecv))], "{sdp}");
        assert_eq!((view.bundle.as_slice(), peer.audio_codec()), (&["1".to_owned()][..], None));
    }
}

#[test]
fn a_viewer_that_wants_no_picture_gets_sound_alone() {
    for offer in [
        changed(1, "a=sendrecv", "a=sendonly"),
        changed(1, "a=sendrecv", "a=inactive"),
        changed(1, "video 9", "video 0"),
    ] {
        let (peer, sdp, view) = answer_to(&offer);
        assert_eq!(outcome(&view), [("0", Some(Direction::SendRecv)), ("1", None)], "{sdp}");
        assert!(peer.video_codec().is_none() && peer.audio_codec().is_some());
    }
}

#[test]
fn an_offer_that_wants_nothing_is_refused_with_words() {
    let error = try_answer(&capture().replace("a=sendrecv", "a=inactive")).err().expect("refused");
    assert!(error.code == code::BAD_SDP && error.message.contains("inactive"), "{error:?}");
}

#[test]
fn sound_with_nothing_in_common_is_rejected_and_the_picture_stays() {
    let offer = changed(0, "opus", "lyra").replace("PCM", "XCM").replace(" 0 8 ", " ");
    let (_, sdp, view) = answer_to(&offer);
    assert_eq!(outcome(&view), [("0", None), ("1", Some(Direction::SendRecv))], "{sdp}");
}

#[test]
fn of_two_pictures_the_first_that_can_be_shown_is_taken() {
    let second = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 120\r\n{ICE}a=mid:2\r\na=recvonly\r\na=rtpmap:120 VP8/90000\r\n"
    );
    let offer = with_section(&second).replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let (_, sdp, view) = answer_to(&offer);
    let taken = Some(Direction::SendRecv);
    assert_eq!(outcome(&view), [("0", taken), ("1", taken), ("2", None)], "{sdp}");
    // The viewer's own camera first, the place for ours behind it.
    let fingerprint = "a=fingerprint:sha-256 4B:0C:9D:7E:21:5F:A8:13:66:F0:2D:B7:94:3A:CE:58:71:E4:0B:9C:D6:35:8F:12:A9:47:60:FB:3E:85:C1:DA\r\n";
    let offer = offer.replacen("a=mid:1\r\n", "a=mid:1\r\na=sendonly\r\n", 1);
    let video = offer.find("m=video").expect("there");
    let offer = format!("{}{}{fingerprint}", &offer[..video], offer[video..].replace("a=sendrecv\r\n", ""));
    let (_, sdp, view) = answer_to(&offer);
    assert_eq!(outcome(&view), [("0", taken), ("1", None), ("2", Some(Direction::SendOnly))], "{sdp}");
}

#[test]
fn data_channels_and_unknown_sections_are_rejected_in_their_places() {
    for section in [
        format!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{ICE}a=mid:2\r\na=sctp-port:5000\r\n"),
        format!("m=text 9 UDP/TLS/RTP/SAVPF 99\r\n{ICE}a=mid:2\r\na=rtpmap:99 t140/1000\r\n"),
        "m=application 9 DTLS/SCTP 5000\r\na=mid:2\r\n".to_owned(),
    ] {
        let offer = with_section(&section).replace("BUNDLE 0 1", "BUNDLE 0 1 2");
        let (_, _, answer) = try_answer(&offer).expect("an answer");
        let view = SdpView::parse(&answer).expect("an SDP");
        let taken = Some(Direction::SendRecv);
        assert_eq!(outcome(&view), [("0", taken), ("1", taken), ("2", None)], "{answer}");
        assert_eq!(view.bundle, ["0", "1"], "{answer}");
    }
}

#[test]
fn without_bundle_there_is_one_transport_and_it_carries_the_picture() {
    let (peer, sdp, view) = answer_to(&capture().replace("a=group:BUNDLE 0 1\r\n", ""));
    assert_eq!(outcome(&view), [("0", None), ("1", Some(Direction::SendRecv))], "{sdp}");
    assert!(!sdp.contains("BUNDLE") && peer.audio_codec().is_none(), "{sdp}");
}

#[test]
fn sections_without_mid_are_answered_in_their_places() {
    let offer = capture().replace("a=mid:0\r\n", "").replace("a=mid:1\r\n", "");
    let offer = offer.replace("a=group:BUNDLE 0 1\r\n", "");
    let (_, sdp, view) = answer_to(&offer);
    assert!(view.sections[0].rejected() && !view.sections[1].rejected(), "{sdp}");
}

#[test]
fn the_dtls_role_is_the_one_that_the_viewer_leaves() {
    for (offered, answered) in [("actpass", "active"), ("active", "passive"), ("passive", "active")] {
        let offer = capture().replace("a=setup:actpass", &format!("a=setup:{offered}"));
        let (_, sdp, view) = answer_to(&offer);
        let setups: Vec<_> = view.sections.iter().map(|s| s.setup.as_deref()).collect();
        assert_eq!(setups, [Some(answered); 2], "{sdp}");
    }
}

#[test]
fn an_ice_lite_viewer_is_answered_by_a_full_agent() {
    for offered in ["actpass", "passive"] {
        let offer = capture().replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n");
        let offer = offer.replace("a=setup:actpass", &format!("a=setup:{offered}"));
        let (_, sdp, view) = answer_to(&offer);
        assert!(!sdp.contains("a=ice-lite"), "{sdp}");
        let setup = view.sections[0].setup.as_deref().expect("a role");
        assert!(["active", "passive"].contains(&setup) && setup != offered, "{sdp}");
    }
}

#[test]
fn a_viewer_that_takes_repair_packets_is_told_their_stream() {
    let lines = "a=rtpmap:127 ulpfec/90000\r\na=rtpmap:49 flexfec-03/90000\r\na=rtcp-fb:49 transport-cc\r\n\
                 a=fmtp:49 repair-window=10000000\r\n";
    let offer = changed(1, "101 127\r\n", "101 127 49\r\n");
    let offer = offer.replace("a=rtpmap:127 ulpfec/90000\r\n", lines);
    let (_, sdp, view) = answer_to(&offer);
    let fec = view.sections[1].payloads.iter().find(|p| p.name == "flexfec-03").expect("taken");
    assert_eq!((fec.number, fec.clock, fec.fmtp.as_deref()), (49, 90_000, Some("repair-window=10000000")));
    let video = &sdp[sdp.find("m=video").expect("a picture")..];
    assert!(video.starts_with("m=video 9 UDP/TLS/RTP/SAVPF 96 "), "pictures come first: {sdp}");
    let group = |semantics: &str| -> Vec<u32> {
        let name = format!("a=ssrc-group:{semantics} ");
        let line = video.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
        line.split(' ').filter_map(|ssrc| ssrc.parse().ok()).collect()
    };
    let (repair, again) = (group("FEC-FR"), group("FID"));
    assert!(repair.len() == 2 && again.len() == 2 && repair[0] == again[0], "{sdp}");
    assert_eq!(repair[1], crate::session::tracks::fec_ssrc(repair[0]), "{sdp}");
    assert!(
        repair[1] != again[1] && video.contains(&format!("a=ssrc:{} cname:p2pcam\r\n", repair[1])),
        "{sdp}"
    );
}

#[test]
fn a_viewer_that_knows_no_repair_packets_hears_nothing_of_them() {
    let (_, sdp, _) = answer_to(&capture());
    assert!(!sdp.contains("flexfec") && !sdp.contains("FEC-FR"), "{sdp}");
}

#[test]
fn candidates_in_the_offer_are_handed_over_and_broken_ones_do_not_refuse_it() {
    let lines =
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=candidate:nonsense\r\na=end-of-candidates\r\n";
    let (offer, ..) =
        try_answer(&changed(0, "a=mid:0\r\n", &format!("a=mid:0\r\n{lines}"))).expect("an answer");
    let found: Vec<_> = offer.candidates().collect();
    assert_eq!(found, ["candidate:1 1 udp 1 192.0.2.1 9 typ host", "candidate:nonsense"]);
}

#[test]
fn an_offer_without_credentials_is_refused_with_the_missing_line() {
    let error =
        try_answer(&capture().replace("a=ice-pwd:h0Vx+2MwKzCWqbf5RUxBd1Fm\r\n", "")).err().expect("refused");
    assert!(error.code == code::BAD_SDP && error.message.contains("a=ice-pwd"), "{error:?}");
}
