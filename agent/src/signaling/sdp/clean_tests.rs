//! Tests of the cleaning of SDP text.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n";
const OLD_DATA: &str = "m=application 9 DTLS/SCTP 5000\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n";

#[test]
fn blanks_before_lines_bare_lf_and_blank_lines_go() {
    let text = "\tv=0\n\n  o=- 1 1 IN IP4 127.0.0.1 \n\ts=-\r\nt=0 0\n\t";
    assert_eq!(normalize(text).unwrap(), HEAD);
}

#[test]
fn bare_cr_is_a_line_end_too() {
    assert_eq!(normalize(&HEAD.replace("\r\n", "\r")).unwrap(), HEAD);
}

#[test]
fn an_empty_session_name_becomes_a_dash() {
    assert_eq!(normalize(&HEAD.replace("s=-", "s= ")).unwrap(), HEAD);
}

#[test]
fn bundle_and_mids_are_added_when_absent() {
    let cleaned = clean(&format!("{HEAD}{AUDIO}a=sendrecv\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n")).unwrap();
    let wanted = format!(
        "{HEAD}a=group:BUNDLE 0 1\r\n{AUDIO}a=mid:0\r\na=sendrecv\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n"
    );
    assert_eq!(cleaned, wanted);
}

#[test]
fn given_mids_are_kept_and_not_given_twice() {
    let cleaned = clean(&format!("{HEAD}{AUDIO}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n")).unwrap();
    assert!(cleaned.contains("a=group:BUNDLE 1 0\r\n"), "{cleaned}");
}

#[test]
fn a_rejected_section_is_not_bundled() {
    let cleaned = clean(&format!("{HEAD}{AUDIO}m=video 0 UDP/TLS/RTP/SAVPF 96\r\n")).unwrap();
    assert!(cleaned.contains("a=group:BUNDLE 0\r\n"), "{cleaned}");
}

#[test]
fn an_old_data_section_is_left_out_and_can_be_put_back_rejected() {
    let offer = format!("{HEAD}a=group:BUNDLE data 0\r\n{OLD_DATA}{AUDIO}a=mid:0\r\n");
    let cleaned = clean_noting(&offer).unwrap();
    assert_eq!(cleaned.sdp, format!("{HEAD}a=group:BUNDLE 0\r\n{AUDIO}a=mid:0\r\n"));
    assert_eq!((cleaned.dropped.len(), cleaned.dropped[0].index), (1, 0));

    let answer = restore(&cleaned.sdp, &cleaned.dropped);
    let rejected = "m=application 0 DTLS/SCTP 5000\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=inactive\r\n";
    assert_eq!(answer, format!("{HEAD}a=group:BUNDLE 0\r\n{rejected}{AUDIO}a=mid:0\r\n"));
}

#[test]
fn todays_data_section_stays() {
    let offer = format!("{HEAD}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n");
    assert!(clean_noting(&offer).unwrap().dropped.is_empty());
}

#[test]
fn what_is_not_sdp_is_refused_with_its_line() {
    for (text, line, words) in [
        ("", 1, "empty"),
        ("\n\t\n", 1, "empty"),
        ("hello", 1, "begins with `v=0`"),
        ("v=0\\r\\no=- 1 1 IN IP4 0.0.0.0\\r\\n", 1, "escaped twice"),
        ("v=0\n\nnonsense", 3, "each line is a letter"),
        ("v=0\ns=-\nm=video", 3, "m-line"),
        ("v=0\nm=video x UDP/TLS/RTP/SAVPF 96", 2, "m-line"),
        ("v=0\nm=video 9 UDP/TLS/RTP/SAVPF", 2, "m-line"),
        ("v=0\na=\u{0}", 2, "control character"),
    ] {
        let problem = normalize(text).unwrap_err();
        assert_eq!(problem.line, line, "{text:?}: {problem}");
        assert!(problem.message.contains(words), "{text:?}: {problem}");
        assert_eq!(problem.code, code::BAD_SDP);
    }
}

#[test]
fn two_sections_of_one_mid_are_refused() {
    let problem = clean(&format!("{HEAD}{AUDIO}a=mid:0\r\n{AUDIO}a=mid:0\r\n")).unwrap_err();
    assert_eq!(problem.line, 10);
}

#[test]
fn ten_thousand_lines_are_too_many() {
    let problem = normalize(&format!("{HEAD}{}", "a=x:1\r\n".repeat(10_000))).unwrap_err();
    assert_eq!((problem.code, problem.line), (code::TOO_LARGE, MAX_LINES + 1));
}

#[test]
fn just_enough_lines_are_taken() {
    assert!(normalize(&format!("{HEAD}{}", "a=x:1\r\n".repeat(MAX_LINES - 4))).is_ok());
}

#[test]
fn a_line_of_nine_kibibytes_is_too_long() {
    let problem = normalize(&format!("{HEAD}a={}", "x".repeat(9 * 1024))).unwrap_err();
    assert_eq!((problem.code, problem.line), (code::TOO_LARGE, 5));
}

/// Texts that look like SDP often enough to come past the first checks.
fn nearly_sdp() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("m=audio 9 UDP/TLS/RTP/SAVPF 0 8".to_owned()),
        Just("m=video 0 UDP/TLS/RTP/SAVPF 96".to_owned()),
        Just("m=application 9 DTLS/SCTP 5000".to_owned()),
        Just("a=group:BUNDLE 0 1 a".to_owned()),
        "a=mid:[0-3a]",
        "a=[a-z:0-9 /]{0,20}",
        "[a-z]=[ -~]{0,12}",
        "[ \t]{0,3}",
    ];
    proptest::collection::vec(line, 0..24).prop_map(|lines| format!("v=0\n{}", lines.join("\n")))
}

proptest! {
    #[test]
    fn cleaning_twice_changes_nothing_more(text in nearly_sdp()) {
        if let Ok(once) = clean(&text) {
            prop_assert_eq!(clean(&once), Ok(once));
        }
    }

    #[test]
    fn restoring_gives_each_dropped_section_its_place(text in nearly_sdp()) {
        if let Ok(cleaned) = clean_noting(&text) {
            let sections = |sdp: &str| sdp.lines().filter(|l| l.starts_with("m=")).map(|l| l[..5].to_owned()).collect::<Vec<_>>();
            let offered = normalize(&text).unwrap();
            prop_assert_eq!(sections(&restore(&cleaned.sdp, &cleaned.dropped)), sections(&offered));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = clean(&text);
    }
}
