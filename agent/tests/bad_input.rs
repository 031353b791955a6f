//! Bad input, from the outside of the real agent: the right error goes back and everybody else lives on.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Start};

const OFFER: &str = include_str!("fixtures/offer-vp8-vp9-only.json");
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent that is spoken with over stdin and stdout.
struct Lines(Agent);

impl Lines {
    fn start() -> Self {
        Self::start_with(Vec::new())
    }

    fn start_with(env: Vec<(&'static str, String)>) -> Self {
        let more = vec!["--signaling=stdio".to_owned()];
        Self(Agent::start(Start { audio: "none", more, env, ..Default::default() }))
    }

    fn say(&mut self, message: &Value) {
        self.0.write_line(&message.to_string());
    }

    fn hear(&self) -> Value {
        serde_json::from_str(&self.0.line(PATIENCE)).expect("one JSON object a line")
    }

    /// The next message of `session` that has `key`, passing over others (candidates come at any time).
    fn hear_of(&self, session: &str, key: &str) -> Value {
        loop {
            let message = self.hear();
            if message["session"] == session && message.get(key).is_some() {
                return message[key].clone();
            }
        }
    }

    fn connect(&mut self, session: &str) {
        self.say(&json!({"session": session, "connect": {}}));
    }

    fn offer(&mut self, session: &str) {
        let offer: Value = serde_json::from_str(OFFER).unwrap();
        self.say(&json!({"session": session, "description": offer}));
    }

    /// A fresh session is served: the proof that nothing else was hurt.
    fn still_serves(&mut self, session: &str) {
        self.connect(session);
        self.offer(session);
        let answer = self.hear_of(session, "description");
        assert_eq!(answer["type"], "answer");
        self.say(&json!({"session": session, "bye": {}}));
    }
}

#[test]
fn the_order_of_the_field_note_gives_an_answer_and_candidates() {
    let mut agent = Lines::start();
    agent.say(&json!({"session": "one", "connect": {"stun": {"ip": "127.0.0.1", "port": 9}}}));
    agent.offer("one");
    let first = agent.hear();
    assert_eq!(first["description"]["type"], "answer", "the answer comes before any candidate: {first}");
    let sdp = first["description"]["sdp"].as_str().unwrap();
    assert!(sdp.contains("a=rtpmap:96 VP8/90000\r\n"), "{sdp}");
    let candidate = agent.hear_of("one", "candidate");
    let line = candidate["candidate"].as_str().unwrap();
    assert!(line.starts_with("candidate:") && line.contains(" typ host "), "{line}");
    // This agent has no sound, so the first section is rejected and candidates are told for the second.
    assert_eq!((candidate["sdpMLineIndex"].as_u64(), candidate["sdpMid"].as_str()), (Some(1), Some("1")));
}

#[test]
fn malformed_messages_get_an_error_and_the_link_lives_on() {
    let mut agent = Lines::start();
    for bad in [
        "{",
        "[]",
        "\u{1}\u{2}",
        r#"{"session":"x"}"#,
        r#"{"session":"a b","connect":{}}"#,
        r#"{"connect":{}}"#,
    ] {
        agent.0.write_line(bad);
        let reply = agent.hear();
        assert_eq!(reply["error"]["code"], "malformed", "{bad} got {reply}");
    }
    agent.still_serves("after");
}

#[test]
fn oversized_messages_get_an_error_and_the_link_lives_on() {
    let mut agent = Lines::start();
    let sdp = "v=0\r\n".repeat(60_000);
    agent.say(&json!({"session": "big", "description": {"type": "offer", "sdp": sdp}}));
    assert_eq!(agent.hear()["error"]["code"], "too-large");
    agent.still_serves("after");
}

#[test]
fn an_sdp_of_ten_thousand_lines_is_refused_with_words() {
    let mut agent = Lines::start();
    agent.connect("long");
    let offer: Value = serde_json::from_str(OFFER).unwrap();
    let sdp = format!("{}{}", offer["sdp"].as_str().unwrap(), "a=x:1\r\n".repeat(10_000));
    agent.say(&json!({"session": "long", "description": {"type": "offer", "sdp": sdp}}));
    let error = agent.hear_of("long", "error");
    assert_eq!(error["code"], "too-large", "{error}");
    assert!(error["message"].as_str().unwrap().contains("line"), "{error}");
    agent.still_serves("after");
}

#[test]
fn a_flood_is_told_so_and_other_sessions_go_on() {
    let mut agent = Lines::start();
    agent.connect("calm");
    agent.offer("calm");
    agent.hear_of("calm", "description");
    // Twice what a link takes at once; a slow machine lets some 500 a second more through.
    for i in 0..4000 {
        agent.say(&json!({"session": format!("flood-{i}"), "candidate": null}));
    }
    let mut codes = std::collections::BTreeSet::new();
    while !codes.contains("too-many-messages") {
        if let Some(code) = agent.hear()["error"]["code"].as_str() {
            codes.insert(code.to_owned());
        }
    }
    let open = agent.0.metric("p2pcam_sessions_open", "");
    assert_eq!(open, 1.0, "the calm session lives on");
}

#[test]
fn a_second_connect_renews_the_servers_and_makes_no_second_session() {
    let mut agent = Lines::start();
    agent.connect("twice");
    agent.connect("twice");
    agent.offer("twice");
    let first = agent.hear();
    assert_eq!(first["description"]["type"], "answer", "nothing else is said: {first}");
    assert_eq!(agent.0.metric("p2pcam_sessions_open", ""), 1.0);
}

#[test]
fn messages_for_unknown_sessions_are_told_so() {
    let mut agent = Lines::start();
    agent.say(&json!({"session": "nobody", "candidate": {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}}));
    assert_eq!(agent.hear_of("nobody", "error")["code"], "unknown-session");
    agent.offer("nobody");
    assert_eq!(agent.hear_of("nobody", "error")["code"], "unknown-session");
}

#[test]
fn an_offer_while_one_is_pending_is_refused_and_the_first_goes_on() {
    let mut agent = Lines::start();
    agent.connect("hasty");
    agent.offer("hasty");
    agent.offer("hasty");
    assert_eq!(agent.hear_of("hasty", "description")["type"], "answer");
    assert_eq!(agent.hear_of("hasty", "error")["code"], "wrong-state");
    assert_eq!(agent.0.metric("p2pcam_sessions_open", ""), 1.0);
}

#[test]
fn candidates_before_the_offer_are_held_and_bad_ones_are_named() {
    let mut agent = Lines::start();
    agent.connect("early");
    for line in ["candidate:1 1 udp 2122260223 127.0.0.1 54653 typ host", "candidate:nonsense"] {
        agent.say(
            &json!({"session": "early", "candidate": {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}}),
        );
    }
    agent.offer("early");
    let (mut answered, mut refused) = (false, false);
    while !(answered && refused) {
        let message = agent.hear();
        answered |= message["description"]["type"] == "answer";
        refused |= message["error"]["code"] == "bad-candidate";
    }
}

#[test]
fn nothing_in_common_names_what_was_offered_and_what_there_is() {
    let mut agent = Lines::start();
    agent.connect("odd");
    let offer: Value = serde_json::from_str(OFFER).unwrap();
    let sdp = offer["sdp"].as_str().unwrap().replace(" VP8/90000", " AV1/90000");
    agent.say(&json!({"session": "odd", "description": {"type": "offer", "sdp": sdp}}));
    let error = agent.hear_of("odd", "error");
    assert_eq!(error["code"], "no-common-codec");
    let words = error["message"].as_str().unwrap();
    for part in ["AV1", "VP9", "H264", "VP8"] {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
}

#[test]
fn more_viewers_than_the_limit_are_told_so() {
    let mut agent = Lines::start_with(vec![("P2PCAM_SESSION_MAX", "1".into())]);
    agent.connect("first");
    agent.connect("second");
    assert_eq!(agent.hear_of("second", "error")["code"], "too-many-sessions");
    agent.say(&json!({"session": "first", "bye": {"reason": "done"}}));
    wait_for_sessions(&agent, 0.0);
    agent.still_serves("third");
}

#[test]
fn a_viewer_that_vanishes_frees_its_session() {
    let mut agent = Lines::start_with(vec![("P2PCAM_SESSION_CONNECT_TIMEOUT_S", "1".into())]);
    agent.connect("gone");
    agent.offer("gone");
    let error = agent.hear_of("gone", "error");
    assert_eq!(error["code"], "no-path");
    wait_for_sessions(&agent, 0.0);
    agent.still_serves("after");
}

#[test]
fn the_answer_does_not_wait_for_a_stun_server_that_is_dead() {
    let mut agent = Lines::start();
    // 192.0.2.0/24 is for documentation (RFC 5737): nothing answers there.
    agent.say(&json!({"session": "dead", "connect": {"stun": {"ip": "192.0.2.1", "port": 3478},
        "iceServers": [{"urls": ["stun:no-such-host.invalid:3478"]}, {"urls": ["turn:192.0.2.2:3478"], "username": "u", "credential": "c"}]}}));
    agent.offer("dead");
    let first = agent.hear();
    assert_eq!(first["description"]["type"], "answer");
    let candidate = agent.hear();
    assert!(
        candidate["candidate"]["candidate"].as_str().is_some_and(|l| l.contains("typ host")),
        "{candidate}"
    );
}

/// Waits until the agent serves that many sessions.
fn wait_for_sessions(agent: &Lines, sessions: f64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while agent.0.metric("p2pcam_sessions_open", "") != sessions {
        assert!(
            std::time::Instant::now() < deadline,
            "still {} sessions",
            agent.0.metric("p2pcam_sessions_open", "")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
