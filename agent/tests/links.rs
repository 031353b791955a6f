//! The links to an integrator's own client and to a remote hub, with the real agent.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::agent::{Agent, Start};
use tokio_tungstenite::tungstenite::Message;

const OFFER: &str = include_str!("fixtures/offer-vp8-vp9-only.json");
const PATIENCE: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(2);

fn start(more: Vec<String>) -> Agent {
    Agent::start(Start { audio: "none", more, ..Default::default() })
}

fn is_goodbye(message: &Value) -> bool {
    message["session"] == "one" && message["bye"]["reason"] == "the camera is shutting down"
}

#[test]
fn a_client_on_the_unix_socket_is_served_comes_back_and_is_told_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signaling.sock");
    let mut agent = start(vec![format!("--signaling=unix:{}", path.display())]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        (stream.try_clone().unwrap(), BufReader::new(stream).lines())
    };
    let say = |stream: &mut UnixStream, message: Value| {
        // A client that is refused may be gone already.
        let _ = writeln!(stream, "{message}");
    };
    let (mut out, mut lines) = connect();
    let mut hear = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    say(&mut out, json!({"session": "one", "connect": {}}));
    say(&mut out, json!({"session": "one", "description": serde_json::from_str::<Value>(OFFER).unwrap()}));
    let answer = hear();
    assert_eq!(answer["description"]["type"], "answer", "{answer}");
    while hear().get("candidate") != Some(&Value::Null) {}

    // The client starts anew: its sessions live on.
    drop((out, lines));
    let deadline = Instant::now() + PATIENCE;
    let (_out, mut lines, error) = loop {
        let (mut out, mut lines) = connect();
        // An answer that nobody asked for: only a session that lives says so.
        say(&mut out, json!({"session": "one", "description": {"type": "answer", "sdp": "v=0\r\n"}}));
        let reply: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        // Until the agent has noticed that the first client is gone.
        if reply["error"]["code"] != "link-busy" {
            break (out, lines, reply);
        }
        assert!(Instant::now() < deadline, "the socket stays taken");
    };
    let mut hear = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(error["error"]["code"], "wrong-state", "{error}");

    let took = agent.terminate();
    assert!(took < END, "took {took:?}");
    let goodbye = hear();
    assert!(is_goodbye(&goodbye), "{goodbye}");
    assert!(!path.exists(), "the socket's file goes with the agent");
}

#[test]
fn on_standard_output_the_goodbye_is_the_last_line() {
    let mut agent = start(vec!["--signaling=stdio".into()]);
    agent.write_line(&json!({"session": "one", "connect": {}}).to_string());
    agent.write_line("rubbish");
    assert!(agent.line(PATIENCE).contains("malformed"));
    let took = agent.terminate();
    assert!(took < END, "took {took:?}");
    let goodbye: Value = serde_json::from_str(&agent.line(PATIENCE)).unwrap();
    assert!(is_goodbye(&goodbye), "{goodbye}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_hub_hears_the_goodbye() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let token = token_in(folder.path());
    let mut agent =
        tokio::task::spawn_blocking(move || start(vec![format!("--signaling=ws://127.0.0.1:{port}"), token]))
            .await
            .unwrap();
    let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut hub = tokio_tungstenite::accept_async(stream).await.unwrap();
    for message in [json!({"session": "one", "connect": {}}), json!({"session": "two", "candidate": null})] {
        hub.send(Message::text(message.to_string())).await.unwrap();
    }
    let mut hear = async || loop {
        let message = tokio::time::timeout(PATIENCE, hub.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str::<Value>(&text).unwrap();
        }
    };
    assert_eq!(hear().await["error"]["code"], "unknown-session");
    let ending = tokio::task::spawn_blocking(move || agent.terminate());
    let goodbye = hear().await;
    assert!(is_goodbye(&goodbye), "{goodbye}");
    let took = ending.await.unwrap();
    assert!(took < END, "took {took:?}");
}

/// As on a system without the package ca-certificates.
fn trusting_nobody(folder: &Path) -> Vec<(&'static str, String)> {
    let nothing = folder.join("nothing.pem");
    std::fs::write(&nothing, "").unwrap();
    vec![("SSL_CERT_FILE", nothing.display().to_string()), ("SSL_CERT_DIR", String::new())]
}

fn token_in(folder: &Path) -> String {
    let token = folder.join("device-token");
    std::fs::write(&token, "a-token-of-no-hub-in-particular-0123456789").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("--token-file={}", token.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_hub_is_reached_by_a_system_that_trusts_no_authority() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let more = vec![format!("--signaling=ws://127.0.0.1:{port}"), token_in(folder.path())];
    let env = trusting_nobody(folder.path());
    let start = move || Agent::start(Start { audio: "none", more, env, ..Default::default() });
    let _agent = tokio::task::spawn_blocking(start).await.unwrap();
    let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap();
}

#[test]
fn an_encrypted_hub_is_not_reached_without_an_authority_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_p2pcam-agent"))
        .args(["run", "--video=pattern", "--audio=none", "--http=", "--https=", "--device-id=cam"])
        .args(["--signaling=wss://localhost:1", &token_in(folder.path())])
        .arg(format!("--state-dir={}", folder.path().display()))
        .envs(trusting_nobody(folder.path()))
        .env("P2PCAM_TELEMETRY_LISTEN", "")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let words = String::from_utf8(out.stderr).unwrap();
    assert!(words.contains("install the package ca-certificates") && words.contains("`ca_file`"), "{words}");
}
