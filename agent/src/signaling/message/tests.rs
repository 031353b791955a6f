//! Tests of reader and writer together.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
const CANDIDATE: &str = "candidate:1 1 udp 1 192.0.2.1 5000 typ host";

fn id(text: &str) -> SessionId {
    SessionId::new(text).unwrap()
}

fn body(json: &str) -> Body {
    read(json.as_bytes()).unwrap().body
}

fn refused(json: &str) -> Refusal {
    read(json.as_bytes()).expect_err(json)
}

fn candidate(json: &str) -> Option<Candidate> {
    match body(&format!(r#"{{"session":"s","candidate":{json}}}"#)) {
        Body::Candidate(candidate) => candidate,
        other => panic!("a candidate, not {other:?}"),
    }
}

fn connect(json: &str) -> Connect {
    match body(&format!(r#"{{"session":"s","connect":{json}}}"#)) {
        Body::Connect(connect) => connect,
        other => panic!("a connect, not {other:?}"),
    }
}

#[test]
fn every_way_to_say_that_no_candidate_will_come_is_understood() {
    for json in [
        "null",
        "\"\"",
        "{}",
        r#"{"candidate":""}"#,
        r#"{"candidate":null,"sdpMid":"0"}"#,
        r#"{"candidate":"a="}"#,
    ] {
        assert_eq!(candidate(json), None, "{json}");
    }
}

#[test]
fn a_candidate_of_no_m_line_is_of_the_first() {
    let c = candidate(&format!(r#"{{"candidate":"a={CANDIDATE}"}}"#)).unwrap();
    assert_eq!((c.candidate.as_str(), c.sdp_m_line_index, c.sdp_mid), (CANDIDATE, Some(0), None));
}

#[test]
fn m_line_and_mid_may_come_as_the_other_type() {
    let c = candidate(&format!(r#"{{"candidate":"{CANDIDATE}","sdpMLineIndex":"1","sdpMid":1}}"#)).unwrap();
    assert_eq!((c.sdp_m_line_index, c.sdp_mid.as_deref()), (Some(1), Some("1")));
    let c =
        candidate(&format!(r#"{{"candidate":"{CANDIDATE}","sdpMLineIndex":null,"sdpMid":"v"}}"#)).unwrap();
    assert_eq!((c.sdp_m_line_index, c.sdp_mid.as_deref()), (None, Some("v")));
}

#[test]
fn the_stun_address_comes_in_many_forms() {
    let wanted = Some(StunAddress { ip: "203.0.113.10".into(), port: 3478 });
    for json in [
        r#"{"stun":{"ip":"203.0.113.10","port":3478}}"#,
        r#"{"stun":{"ip":"203.0.113.10","port":"3478"}}"#,
        r#"{"stun":{"host":"203.0.113.10"}}"#,
        r#"{"stun":{"url":"stun:203.0.113.10"}}"#,
        r#"{"stun":"stun:203.0.113.10:3478","more":[1,{}]}"#,
        r#"{"stun":"203.0.113.10:3478","iceServers":null}"#,
    ] {
        assert_eq!(connect(json).stun, wanted, "{json}");
    }
    let v6 = Some(StunAddress { ip: "2001:db8::1".into(), port: 5349 });
    assert_eq!(connect(r#"{"stun":"stun:[2001:db8::1]:5349"}"#).stun, v6);
    for json in ["{}", "null", r#"{"stun":null}"#] {
        assert_eq!(connect(json), Connect::default(), "{json}");
    }
}

#[test]
fn ice_servers_may_have_one_url_as_a_string() {
    let urls = |json| connect(json).ice_servers.into_iter().map(|s| s.urls).collect::<Vec<_>>();
    assert_eq!(urls(r#"{"iceServers":[{"urls":"stun:a.example"}]}"#), [["stun:a.example"]]);
    assert_eq!(
        urls(r#"{"iceServers":{"url":"turn:a.example?transport=tcp"}}"#),
        [["turn:a.example?transport=tcp"]]
    );
}

#[test]
fn keys_sent_as_null_do_not_count_as_bodies() {
    let json = r#"{"session":"s","connect":null,"description":null,"bye":{"reason":"done"}}"#;
    assert_eq!(body(json), Body::Bye(Bye { reason: "done".into() }));
}

#[test]
fn the_device_asks_for_a_restart_in_one_line() {
    let asked = Envelope::new(id("s"), Body::Restart(Restart { reason: "the uplink changed".into() }));
    assert_eq!(asked.to_json(), r#"{"session":"s","restart":{"reason":"the uplink changed"}}"#);
    for json in ["{}", "null", "[]"] {
        let read = body(&format!(r#"{{"session":"s","restart":{json}}}"#));
        assert_eq!(read, Body::Restart(Restart::default()), "{json}");
    }
    assert_eq!(body(r#"{"session":"s","restart":"why"}"#), Body::Restart(Restart { reason: "why".into() }));
}

#[test]
fn a_refusal_names_field_line_and_session() {
    for (json, code, words) in [
        (
            r#"{"session":"s","connect":{"stun":{"ip":"a.b","port":99999}}}"#,
            code::MALFORMED,
            "`connect.stun.port` (line 1) is `99999`",
        ),
        (
            "{\"session\":\"s\",\n\"connect\":{\n\"stun\":{\"ip\":7}}}",
            code::MALFORMED,
            "`connect.stun.ip` (line 3)",
        ),
        (r#"{"session":"s","connect":{"stun":{"ip":"a b","port":1}}}"#, code::MALFORMED, "host name"),
        (r#"{"session":"s","connect":{"stun":{"ip":"a","port":0}}}"#, code::MALFORMED, "from 1"),
        (
            r#"{"session":"s","connect":{"iceServers":[{"urls":["stun:a","http://x"]}]}}"#,
            code::MALFORMED,
            "`connect.iceServers[0].urls[1]`",
        ),
        (r#"{"session":"s","connect":{"iceServers":[{"username":"u"}]}}"#, code::MALFORMED, "lacks `urls`"),
        (r#"{"session":"s","description":{"type":"offer"}}"#, code::MALFORMED, "lacks `sdp`"),
        (
            r#"{"session":"s","description":{"type":"rollback","sdp":"v=0"}}"#,
            code::MALFORMED,
            "`description.type`",
        ),
        (
            r#"{"session":"s","description":{"type":"offer","sdp":"v=0\no=x\nbad"}}"#,
            code::BAD_SDP,
            "`description.sdp` (line 1) SDP line 3",
        ),
        (
            r#"{"session":"s","candidate":{"candidate":"candidate:1 1 udp"}}"#,
            code::BAD_CANDIDATE,
            "`candidate.candidate`",
        ),
        (r#"{"session":"s","candidate":{"sdpMid":"0"}}"#, code::MALFORMED, "lacks `candidate`"),
        (r#"{"session":"s","candidate":"candidate:1"}"#, code::MALFORMED, "send the object"),
        (r#"{"session":"s","bye":{},"candidate":null}"#, code::MALFORMED, "second body"),
        (r#"{"session":"s"}"#, code::MALFORMED, "no body"),
    ] {
        let refusal = refused(json);
        assert_eq!((refusal.code, refusal.session.as_ref()), (code, Some(&id("s"))), "{}", refusal.message);
        assert!(refusal.message.contains(words), "{json}\n{}", refusal.message);
    }
}

#[test]
fn what_names_no_session_is_refused_without_one() {
    for (json, words) in [
        (r#"{"bye":{}}"#, "names no session"),
        (r#"{"session":"","bye":{}}"#, "1 to 64 characters"),
        (r#"{"session":"a b","bye":{}}"#, "1 to 64 characters"),
        (r#"{"session":7,"bye":{}}"#, "`session` (line 1) is a number"),
        (r#"{"sdp":"v=0","type":"offer"}"#, "\"description\""),
        (r#"{"candidate":"candidate:1","sdpMid":"0"}"#, "without its envelope"),
        ("{\n\"session\":\"s\",\n\"bye\":{},}", "line 3: not JSON"),
        ("[]", "is an array; send an object"),
        ("", "not JSON"),
        ("{\"session\":\"s\",\"session\":\"t\",\"bye\":{}}", "`session` comes twice"),
    ] {
        let refusal = refused(json);
        assert_eq!((refusal.code, refusal.session), (code::MALFORMED, None), "{json}");
        assert!(refusal.message.contains(words), "{json}\n{}", refusal.message);
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_at_any_depth_that_is_read() {
    let refusal =
        refused("{\"session\":\"s\",\"description\":{\"type\":\"offer\",\n\"sdp\":\"v=0\",\"sdp\":\"v=0\"}}");
    assert!(refusal.message.contains("line 2: the key `sdp` comes twice"), "{}", refusal.message);
}

#[test]
fn an_error_is_never_refused() {
    let error =
        |code: &str, message: &str| Body::Error(WireError { code: code.into(), message: message.into() });
    assert_eq!(body(r#"{"session":null,"error":{"code":"x","message":"m"}}"#), error("x", "m"));
    assert_eq!(body(r#"{"error":"broken"}"#), error("internal", "broken"));
    assert_eq!(body(r#"{"session":"no good","error":[]}"#), error("internal", ""));
}

#[test]
fn credentials_are_not_quoted_in_refusals() {
    let json = r#"{"session":"s","connect":{"iceServers":[{"urls":"turn:a","credential":["hunter2"]}]}}"#;
    assert!(!refused(json).message.contains("hunter2"));
}

#[test]
fn too_large_messages_are_refused_before_they_are_read() {
    let mut json = br#"{"session":"s","bye":{"reason":""}}"#.to_vec();
    json.resize(MAX_MESSAGE, b' ');
    assert!(read(&json).is_ok());
    json.push(b' ');
    assert_eq!(read(&json).unwrap_err().code, code::TOO_LARGE);
}

#[test]
fn an_sdp_of_ten_thousand_lines_is_too_large() {
    let json = format!(
        r#"{{"session":"s","description":{{"type":"offer","sdp":"v=0\n{}"}}}}"#,
        r"a=x\n".repeat(10_000)
    );
    let refusal = refused(&json);
    assert_eq!((refusal.code, refusal.session), (code::TOO_LARGE, Some(id("s"))));
}

#[test]
fn more_than_32_ice_servers_are_too_many() {
    let servers = vec![r#"{"urls":"stun:a"}"#; MAX_ICE_SERVERS + 1].join(",");
    let json = format!(r#"{{"session":"s","connect":{{"iceServers":[{servers}]}}}}"#);
    assert_eq!(refused(&json).code, code::TOO_LARGE);
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let json = format!(r#"{{"session":"s","bye":{{}},"x":{}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
    assert!(refused(&json).message.contains("deeper"));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_line() {
    let refusal = read(b"{\"session\":\"s\",\n\"bye\":{\"reason\":\"\xff\"}}").unwrap_err();
    assert!(refusal.message.starts_with("line 2:"), "{}", refusal.message);
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    assert_eq!(refused(r#"{"session":"\ud800","bye":{}}"#).code, code::MALFORMED);
}

#[test]
fn an_inner_body_needs_no_envelope() {
    let inner = |json: &str| read_inner(json.as_bytes()).unwrap();
    assert!(matches!(inner(r#"{"stun":{"ip":"a","port":1}}"#), Body::Connect(_)));
    assert_eq!(inner(r#"{"candidate":null}"#), Body::Candidate(None));
    assert_eq!(inner(r#"{"bye":{"reason":"r"}}"#), Body::Bye(Bye { reason: "r".into() }));
    assert!(matches!(
        inner(&format!(r#"{{"candidate":{{"candidate":"{CANDIDATE}"}}}}"#)),
        Body::Candidate(Some(_))
    ));
    assert_eq!(read_inner(b"{}").unwrap_err().code, code::MALFORMED);
}

#[test]
fn the_writer_keeps_the_captures_order_on_one_line() {
    let sdp = SDP.replace("\r\n", "\n");
    let text =
        Envelope::new(id("s"), Body::Description(Description { sdp, kind: SdpType::Answer })).to_json();
    assert_eq!(
        text,
        format!(
            r#"{{"session":"s","description":{{"sdp":"{}","type":"answer"}}}}"#,
            SDP.replace("\r\n", "\\r\\n")
        )
    );
    let c = Candidate { candidate: CANDIDATE.into(), sdp_m_line_index: Some(0), sdp_mid: Some("0".into()) };
    let text = Envelope::new(id("s"), Body::Candidate(Some(c))).to_json();
    assert_eq!(
        text,
        format!(
            r#"{{"session":"s","candidate":{{"candidate":"{CANDIDATE}","sdpMLineIndex":0,"sdpMid":"0"}}}}"#
        )
    );
    let text = Envelope::error(None, code::MALFORMED, "line 1").to_json();
    assert_eq!(text, r#"{"session":null,"error":{"code":"malformed","message":"line 1"}}"#);
    assert_eq!(
        Envelope::new(id("s"), Body::Candidate(None)).to_json(),
        r#"{"session":"s","candidate":null}"#
    );
}

fn any_body() -> impl Strategy<Value = Body> {
    let text = || any::<String>();
    let stun = ("[a-z0-9.-]{1,40}", 1..=u16::MAX).prop_map(|(ip, port)| StunAddress { ip, port });
    let url = "(stun|stuns|turn|turns):[!-~]{1,60}";
    let server =
        (proptest::collection::vec(url, 1..4), proptest::option::of(text()), proptest::option::of(text()))
            .prop_map(|(urls, username, credential)| IceServer { urls, username, credential });
    let connect = (proptest::option::of(stun), proptest::collection::vec(server, 0..4))
        .prop_map(|(stun, ice_servers)| Body::Connect(Connect { stun, ice_servers }));
    let line = "[a-z]=[!-~]([ -~]{0,30}[!-~])?"
        .prop_filter("m-lines have a shape of their own", |l| !l.starts_with("m="));
    let description = (proptest::collection::vec(line, 0..20), any::<bool>()).prop_map(|(lines, offer)| {
        let sdp = std::iter::once("v=0")
            .chain(lines.iter().map(String::as_str))
            .fold(String::new(), |s, l| s + l + "\r\n");
        Body::Description(Description { sdp, kind: if offer { SdpType::Offer } else { SdpType::Answer } })
    });
    let candidate = (
        "[a-z0-9+/]{1,32}",
        any::<u32>(),
        any::<[u8; 4]>(),
        any::<u16>(),
        any::<u16>(),
        proptest::option::of(text()),
    )
        .prop_map(|(foundation, priority, ip, port, index, sdp_mid)| {
            let ip = std::net::Ipv4Addr::from(ip);
            let candidate =
                format!("candidate:{foundation} 1 udp {priority} {ip} {port} typ host generation 0");
            Body::Candidate(Some(Candidate { candidate, sdp_m_line_index: Some(index), sdp_mid }))
        });
    let error =
        ("[a-z-]{1,30}", "\\PC{0,200}").prop_map(|(code, message)| Body::Error(WireError { code, message }));
    let notice = ("[a-z-]{1,30}", "\\PC{0,200}")
        .prop_map(|(code, message)| Body::Notice(WireNotice { code, message }));
    let restart = "\\PC{0,200}".prop_map(|reason| Body::Restart(Restart { reason }));
    let bye = "\\PC{0,200}".prop_map(|reason| Body::Bye(Bye { reason }));
    prop_oneof![connect, description, candidate, Just(Body::Candidate(None)), restart, notice, error, bye]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(session in "[A-Za-z0-9._~-]{1,64}", body in any_body()) {
        let envelope = Envelope::new(id(&session), body);
        let text = envelope.to_json();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(read(text.as_bytes()), Ok(envelope));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read_inner(&bytes);
    }

    #[test]
    fn no_damage_to_a_message_makes_it_panic(body in any_body(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Envelope::new(id("s"), body).to_json().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = read(&bytes);
        bytes.truncate(place);
        let _ = read(&bytes);
    }
}
