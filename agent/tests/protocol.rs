//! The protocol from outside: fixtures from the field, the documented examples, the JSON Schema.
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use jsonschema::Validator;
use p2pcam_agent::signaling::{
    candidate::{self, Address, CandidateType},
    message::{
        Body, Bye, Candidate, Connect, Description, Envelope, IceServer, Restart, SdpType, SessionId,
        StunAddress, WireNotice, code, notice, read, read_inner,
    },
    sdp::{self, SdpView, codecs_in_words},
};
use serde_json::Value;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture(name: &str) -> Vec<u8> {
    let path = repository().join("agent/tests/fixtures").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn schema() -> Validator {
    let text = fs::read_to_string(repository().join("docs/protocol.schema.json")).unwrap();
    jsonschema::draft202012::new(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// The ```json blocks of docs/protocol.md.
fn examples() -> Vec<String> {
    let text = fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    text.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

fn description(bytes: &[u8]) -> Description {
    match read_inner(bytes) {
        Ok(Body::Description(description)) => description,
        other => panic!("a description, not {other:?}"),
    }
}

fn candidate_of(bytes: &[u8]) -> Candidate {
    match read_inner(bytes) {
        Ok(Body::Candidate(Some(candidate))) => candidate,
        other => panic!("a candidate, not {other:?}"),
    }
}

fn session() -> SessionId {
    SessionId::new("01JD3Z8Q7M").unwrap()
}

/// The inner object as the strict writer makes it.
fn written(body: Body, key: &str) -> Value {
    let mut value: Value = serde_json::from_str(&Envelope::new(session(), body).to_json()).unwrap();
    value[key].take()
}

/// The objects that stand in the field note, from a line `{` to a line `}`.
fn note_objects() -> Vec<String> {
    let note = String::from_utf8(fixture("field-note.txt")).unwrap();
    let mut objects: Vec<String> = Vec::new();
    let mut open = false;
    for line in note.split_inclusive('\n') {
        if line.trim_end() == "{" {
            open = true;
            objects.push(String::new());
        }
        if open {
            objects.last_mut().unwrap().push_str(line);
        }
        open &= line.trim_end() != "}";
    }
    objects
}

#[test]
fn the_capture_is_read_verbatim_with_its_raw_breaks_and_tabs() {
    let verbatim = fixture("capture-answer-verbatim.txt");
    assert!(serde_json::from_slice::<Value>(&verbatim).is_err(), "the capture is no JSON as it stands");
    assert_eq!(description(&verbatim), description(&fixture("capture-answer.json")));
}

#[test]
fn the_captured_answer_goes_in_and_comes_out_key_for_key() {
    let text = fixture("capture-answer.json");
    let out = written(Body::Description(description(&text)), "description");
    assert_eq!(out, serde_json::from_slice::<Value>(&text).unwrap());
}

#[test]
fn the_captured_candidate_goes_in_and_comes_out_key_for_key() {
    let text = fixture("capture-candidate.json");
    let candidate = candidate_of(&text);
    let line = candidate::parse(&candidate.candidate).unwrap();
    assert_eq!(line.address, Address::Ip("192.168.0.170".parse().unwrap()));
    assert_eq!((line.port, line.typ), (54653, CandidateType::Host));

    let json = Envelope::new(session(), Body::Candidate(Some(candidate))).to_json();
    let captured: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["candidate"], captured);
    let order: Vec<usize> =
        ["\"candidate\":\"", "sdpMLineIndex", "sdpMid"].iter().map(|key| json.find(key).unwrap()).collect();
    assert!(order.is_sorted(), "the keys keep the capture's order: {json}");
}

#[test]
fn both_messages_inside_the_field_note_are_read() {
    let objects = note_objects();
    assert_eq!(objects.len(), 2);
    assert_eq!(description(objects[0].as_bytes()), description(&fixture("capture-answer.json")));
    assert_eq!(candidate_of(objects[1].as_bytes()), candidate_of(&fixture("capture-candidate.json")));
}

#[test]
fn the_capture_in_an_envelope_is_read_too() {
    let inner = String::from_utf8(fixture("capture-answer-verbatim.txt")).unwrap();
    let text = format!("{{\"session\": \"01JD3Z8Q7M\",\n\"description\": {inner}}}");
    let wanted = Body::Description(description(inner.as_bytes()));
    assert_eq!(read(text.as_bytes()), Ok(Envelope::new(session(), wanted)));
}

#[test]
fn a_bare_inner_object_is_refused_on_a_link_with_advice() {
    for name in ["capture-answer.json", "capture-candidate.json", "offer-vp8-vp9-only.json"] {
        let refusal = read(&fixture(name)).unwrap_err();
        assert_eq!((refusal.code, refusal.session.as_ref()), (code::MALFORMED, None));
        assert!(refusal.message.contains("\"session\""), "{name}: {}", refusal.message);
    }
}

#[test]
fn the_old_style_offer_needs_no_cleaning_and_is_told_in_words() {
    let offer = description(&fixture("offer-vp8-vp9-only.json"));
    assert_eq!(offer.kind, SdpType::Offer);
    assert_eq!(sdp::clean(&offer.sdp).as_ref(), Ok(&offer.sdp));
    let words = codecs_in_words(&SdpView::parse(&offer.sdp).unwrap());
    assert!(words.starts_with("video: VP8, VP9; audio: opus"), "{words}");
}

#[test]
fn every_documented_example_follows_the_schema_and_is_read() {
    let schema = schema();
    let examples = examples();
    assert!(examples.len() >= 7, "an example of each message");
    for example in examples {
        let value: Value = serde_json::from_str(&example).unwrap();
        if let Err(e) = schema.validate(&value) {
            panic!("{example}\n{e}");
        }
        let envelope = read(example.as_bytes()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&envelope.to_json()).unwrap(),
            value,
            "comes out as documented"
        );
    }
}

#[test]
fn every_error_code_is_documented_and_in_the_schema() {
    let text = fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    let schema = schema();
    for code in code::ALL {
        assert!(text.contains(&format!("\n| `{code}` |")), "{code} has a row in docs/protocol.md");
        let json = Envelope::error(None, code, "words").to_json();
        assert!(schema.is_valid(&serde_json::from_str(&json).unwrap()), "{json}");
    }
}

#[test]
fn every_notice_code_is_documented_and_in_the_schema() {
    let text = fs::read_to_string(repository().join("docs/protocol.md")).unwrap();
    for code in [notice::PRIVACY_ON, notice::PRIVACY_OFF] {
        assert!(text.contains(&format!("\n| `{code}` |")), "{code} has a row in docs/protocol.md");
        let body = Body::Notice(WireNotice { code: code.into(), message: "words".into() });
        let json = Envelope::new(SessionId::new("s").unwrap(), body).to_json();
        assert!(schema().is_valid(&serde_json::from_str(&json).unwrap()), "{json}");
    }
}

#[test]
fn what_the_writer_writes_follows_the_schema() {
    let connect = Connect {
        stun: Some(StunAddress { ip: "2001:db8::1".into(), port: 3478 }),
        ice_servers: vec![IceServer {
            urls: vec!["TURN:t.example".into()],
            username: Some("u".into()),
            credential: None,
        }],
    };
    let candidate = |index, mid: Option<&str>| {
        let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned();
        Body::Candidate(Some(Candidate { candidate, sdp_m_line_index: index, sdp_mid: mid.map(Into::into) }))
    };
    let lf_only =
        Description { sdp: "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n".into(), kind: SdpType::Answer };
    let schema = schema();
    for body in [
        Body::Connect(connect),
        Body::Connect(Connect::default()),
        Body::Description(lf_only),
        candidate(Some(0), Some("0")),
        candidate(None, Some("video")),
        candidate(Some(1), None),
        candidate(None, None),
        Body::Candidate(None),
        Body::Restart(Restart::default()),
        Body::Bye(Bye::default()),
    ] {
        let json = Envelope::new(session(), body).to_json();
        if let Err(e) = schema.validate(&serde_json::from_str(&json).unwrap()) {
            panic!("{json}\n{e}");
        }
    }
}

#[test]
fn the_schema_refuses_what_the_writer_never_writes() {
    let schema = schema();
    for json in [
        r#"{"bye":{"reason":""}}"#,
        r#"{"session":null,"bye":{"reason":""}}"#,
        r#"{"session":"s"}"#,
        r#"{"session":"s","bye":{"reason":""},"candidate":null}"#,
        r#"{"session":"s","candidate":{"candidate":""}}"#,
        r#"{"session":"s","description":{"sdp":"v=0\n","type":"offer"}}"#,
        r#"{"session":"a b","bye":{"reason":""}}"#,
        r#"{"session":"s","connect":{"stun":{"ip":"a","port":"3478"}}}"#,
    ] {
        assert!(!schema.is_valid(&serde_json::from_str(json).unwrap()), "{json}");
    }
}
