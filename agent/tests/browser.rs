//! The whole agent with the real Chromium: picture, sound, talk-back, one encode for many, hub and TURN in between.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use support::{
    agent::{Agent, Start},
    browser::{Browser, MICROPHONE_HZ},
    eventually, footage,
    turn::Coturn,
};

const PATIENCE: Duration = Duration::from_secs(15);

fn file(path: &std::path::Path) -> String {
    format!("file:{}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn real_footage_is_decoded_sound_is_heard_and_the_microphone_arrives() {
    let footage = file(&footage());
    let agent = Agent::start(Start { video: &footage, ..Default::default() });
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    browser.wait_frames(30.0).await;

    assert_eq!(browser.video_codec().await, "video/H264");
    let (width, height) = browser.size().await;
    assert!(width >= 320 && height >= 180, "{width}x{height}");
    let (mean, variance) = browser.luma().await;
    assert!(mean > 16.0 && variance > 100.0, "a black or flat picture: mean {mean}, variance {variance}");
    // Passed through: nothing was encoded for it.
    assert_eq!(agent.metric("p2pcam_video_frames_encoded_total", "h264"), 0.0);

    browser.unmute().await;
    eventually("Opus is received and has sound in it", PATIENCE, || async {
        let packets = browser.inbound("audio", "packetsReceived").await;
        let energy = browser.inbound("audio", "totalAudioEnergy").await;
        (packets > 50.0 && energy > 0.0).then_some(())
    })
    .await;

    browser.eval_async("window.p2pcam.talk(true).then(() => done(true), e => done(String(e)))").await;
    eventually("the microphone's tone arrives at the talk-back sink", PATIENCE, || async {
        let hertz = agent.metric("p2pcam_talkback_peak_frequency_hz", "");
        ((hertz - MICROPHONE_HZ).abs() < 30.0).then_some(())
    })
    .await;
    assert!(agent.metric("p2pcam_talkback_level_dbov", "") > -40.0, "the tone is loud");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_without_h264_gets_the_footage_as_vp8() {
    let footage = file(&footage());
    let agent = Agent::start(Start { video: &footage, ..Default::default() });
    let browser = Browser::start().await;
    browser.open(&agent.page("codec=vp8")).await;
    browser.wait_picture().await;
    browser.wait_frames(30.0).await;
    assert_eq!(browser.video_codec().await, "video/VP8");
    let (mean, variance) = browser.luma().await;
    assert!(mean > 16.0 && variance > 100.0, "a black or flat picture: mean {mean}, variance {variance}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_viewers_share_one_encode_and_the_last_one_leaving_stops_it() {
    let agent = Agent::start(Start::default());
    let (one, two) = tokio::join!(Browser::start(), Browser::start());
    one.open(&agent.page("")).await;
    one.wait_picture().await;
    two.open(&agent.page("")).await;
    two.wait_picture().await;
    tokio::join!(one.wait_frames(30.0), two.wait_frames(30.0));
    assert_eq!(agent.metric("p2pcam_sessions_connected", ""), 2.0);
    assert_eq!(agent.metric("p2pcam_video_encoders", ""), 1.0);
    // The label that the test of pass-through reads as zero.
    assert!(agent.metric("p2pcam_video_frames_encoded_total", "h264") >= 30.0);
    one.close().await;
    two.wait_frames(15.0).await;
    two.close().await;
    eventually("nobody watches: no session, no encoder", PATIENCE, || async {
        let sessions = agent.metric("p2pcam_sessions_open", "");
        let encoders = agent.metric("p2pcam_video_encoders", "");
        (sessions == 0.0 && encoders == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_leave_no_socket_and_no_thread_behind() {
    let agent = Agent::start(Start::default());
    let settled = || async {
        (agent.metric("p2pcam_sessions_open", "") == 0.0 && agent.metric("p2pcam_video_encoders", "") == 0.0)
            .then(|| agent.resources())
    };
    // A browser keeps connections to the hub for later, now more, now fewer: what is left counts when it is gone.
    let browser = Browser::start().await;
    watch_and_leave(&agent, &browser).await;
    drop(browser);
    let after_first = eventually("the first session ends", PATIENCE, settled).await;

    let browser = Browser::start().await;
    for _ in 0..4 {
        watch_and_leave(&agent, &browser).await;
        eventually("a session ends", PATIENCE, settled).await;
    }
    drop(browser);
    // One of each for what a runtime may keep warm: less than a leak of one a session.
    let (files, threads) = (after_first.0 + 1, after_first.1 + 1);
    let limits = format!("no more than {files} files and {threads} threads are left");
    eventually(&limits, PATIENCE, || async {
        settled().await.filter(|now| now.0 <= files && now.1 <= threads)
    })
    .await;
}

async fn watch_and_leave(agent: &Agent, browser: &Browser) {
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    browser.open("about:blank").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_hub_with_coturn_brings_viewer_and_device_together_over_the_relay() {
    let turn = Coturn::start();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("turn-secret");
    write_private(&secret, &turn.secret);
    let hub = Agent::start(Start {
        command: "hub",
        more: vec![
            format!("--stun=stun:127.0.0.1:{}", turn.port),
            format!("--turn=turn:127.0.0.1:{}?transport=udp", turn.port),
            format!("--turn-secret-file={}", secret.display()),
        ],
        ..Default::default()
    });
    let token = folder.path().join("device-token");
    write_private(&token, &hub.secret("device"));
    let device = Agent::start(Start {
        more: vec![
            format!("--signaling=ws://127.0.0.1:{}", hub.http),
            format!("--token-file={}", token.display()),
        ],
        ..Default::default()
    });
    let browser = Browser::start().await;

    // Direct, with the candidates that STUN gave.
    eventually("the device is on the hub", PATIENCE, || async {
        (hub.metric("p2pcam_hub_devices", "") == 1.0).then_some(())
    })
    .await;
    browser.open(&hub.page("")).await;
    browser.wait_picture().await;
    browser.wait_frames(15.0).await;

    // The viewer's side relayed.
    browser.open(&hub.page("relay=1")).await;
    browser.wait_picture().await;
    browser.wait_frames(15.0).await;
    let local = browser
        .eval_async(
            "window.p2pcam.peerConnection.getStats().then(all => {
               const t = [...all.values()].find(r => r.type === 'transport');
               done(all.get(all.get(t.selectedCandidatePairId).localCandidateId).candidateType); }, () => done(''));",
        )
        .await;
    assert_eq!(local, "relay");
    drop(device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_may_only_relay_is_seen_through_coturn() {
    let turn = Coturn::start();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("turn-secret");
    write_private(&secret, &turn.secret);
    let agent = Agent::start(Start {
        env: vec![
            ("P2PCAM_HUB_TURN", format!("turn:127.0.0.1:{}?transport=udp", turn.port)),
            ("P2PCAM_HUB_TURN_SECRET_FILE", secret.display().to_string()),
            ("P2PCAM_ICE_POLICY", "relay".into()),
        ],
        ..Default::default()
    });
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    browser.wait_frames(15.0).await;
    let remote = browser
        .eval_async(
            "window.p2pcam.peerConnection.getStats().then(all => {
               const t = [...all.values()].find(r => r.type === 'transport');
               done(all.get(all.get(t.selectedCandidatePairId).remoteCandidateId).candidateType); }, () => done(''));",
        )
        .await;
    assert!(remote == "relay" || remote == "prflx", "the device's side is {remote}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_picture_outlives_the_hub_and_new_viewers_come_when_it_is_back() {
    let hub = Agent::start(Start { command: "hub", ..Default::default() });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("device-token");
    write_private(&token, &hub.secret("device"));
    let port = hub.http;
    let device = Agent::start(Start {
        more: vec![format!("--signaling=ws://127.0.0.1:{port}"), format!("--token-file={}", token.display())],
        ..Default::default()
    });
    let browser = Browser::start().await;
    eventually("the device is on the hub", PATIENCE, || async {
        (hub.metric("p2pcam_hub_devices", "") == 1.0).then_some(())
    })
    .await;
    browser.open(&hub.page("")).await;
    browser.wait_picture().await;
    drop(hub);
    browser.wait_frames(60.0).await;
    assert_eq!(device.metric("p2pcam_sessions_connected", ""), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_is_killed_frees_its_session_and_the_other_keeps_its_picture() {
    let env = vec![("P2PCAM_SESSION_DISCONNECT_TIMEOUT_S", "2".to_owned())];
    let agent = Agent::start(Start { env, ..Default::default() });
    let (one, two) = tokio::join!(Browser::start(), Browser::start());
    one.open(&agent.page("")).await;
    two.open(&agent.page("")).await;
    one.wait_picture().await;
    two.wait_picture().await;
    // Killed, not closed: no close_notify, no bye.
    drop(one);
    eventually("the session of the dead viewer ends", Duration::from_secs(40), || async {
        (agent.metric("p2pcam_sessions_open", "") == 1.0).then_some(())
    })
    .await;
    two.wait_frames(30.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_on_while_another_viewer_sends_rubbish() {
    let agent = Agent::start(Start::default());
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;

    let mut request =
        format!("ws://127.0.0.1:{}/v1/viewer?device=cam", agent.http).into_client_request().unwrap();
    let protocols = format!("p2pcam.v1, bearer.{}", agent.secret("viewer"));
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let connect = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let session = serde_json::from_str::<serde_json::Value>(&connect).unwrap()["session"].clone();
    let mut rubbish = vec![
        "{".to_owned(),
        "\u{0}".repeat(1000),
        "x".repeat(300 * 1024),
        json!({"session": "somebody-else", "candidate": null}).to_string(),
        json!({"session": session, "candidate": {"candidate": "candidate:rubbish"}}).to_string(),
        json!({"session": session, "description": {"type": "answer", "sdp": "v=0"}}).to_string(),
        json!({"session": session, "description": {"type": "offer", "sdp": "v=0\r\n".repeat(10_000)}})
            .to_string(),
    ];
    rubbish.extend((0..500).map(|_| json!({"session": session, "candidate": null}).to_string()));
    for message in rubbish {
        socket.send(message.into()).await.unwrap();
    }
    let mut codes = std::collections::BTreeSet::new();
    while !codes.contains("too-many-messages") {
        let text = socket.next().await.expect("the hub answers").unwrap().into_text().unwrap();
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(code) = message["error"]["code"].as_str() {
            codes.insert(code.to_owned());
        }
    }
    for code in ["malformed", "too-large", "unknown-session"] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    browser.wait_frames(60.0).await;
    assert_eq!(browser.eval("window.p2pcam.state").await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_by_the_page_keeps_the_session_and_the_picture() {
    let agent = Agent::start(Start::default());
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    let verdict = "/direct, host to [a-z]+, \\d+ ms/.test(window.p2pcam.verdict)";
    browser.wait("the page knows how it is connected", verdict, PATIENCE).await;
    let session = browser.eval("window.p2pcam.sessionId").await;
    let ufrag = "window.p2pcam.peerConnection.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1].trim()";
    let before = browser.eval(ufrag).await;
    // The page restarts ICE when its path is interrupted; here it is only told so.
    let interrupt = "(pc => { Object.defineProperty(pc, 'connectionState', { configurable: true, value: 'disconnected' });
        pc.onconnectionstatechange(); delete pc.connectionState; return true; })(window.p2pcam.peerConnection)";
    browser.eval(interrupt).await;
    browser.wait("the camera's new credentials are there", &format!("{ufrag} !== {before}"), PATIENCE).await;
    browser
        .wait("the new path is up", "window.p2pcam.peerConnection.connectionState === 'connected'", PATIENCE)
        .await;
    browser.wait_frames(60.0).await;
    assert_eq!(browser.eval("window.p2pcam.sessionId").await, session);
    assert_eq!(agent.metric("p2pcam_sessions_open", ""), 1.0);
    assert_eq!(agent.metric("p2pcam_offers_refused_total", ""), 0.0);
    assert!(agent.log().contains("ICE restart"), "{}", agent.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_becomes_inactive_is_not_encoded_for_and_comes_back_when_it_is_wanted_again() {
    let agent = Agent::start(Start::default());
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    let turn = |direction: &str| {
        format!(
            "(pc => {{ pc.getTransceivers().find(t => t.receiver.track.kind === 'video').direction = '{direction}';
            Object.defineProperty(pc, 'connectionState', {{ configurable: true, value: 'disconnected' }});
            pc.onconnectionstatechange(); delete pc.connectionState; return true; }})(window.p2pcam.peerConnection)"
        )
    };
    browser.eval(&turn("inactive")).await;
    eventually("nobody is encoded for", PATIENCE, || async {
        (agent.metric("p2pcam_video_encoders", "") == 0.0).then_some(())
    })
    .await;
    assert_eq!(agent.metric("p2pcam_sessions_connected", ""), 1.0);
    browser.eval(&turn("recvonly")).await;
    browser.wait_frames(60.0).await;
    assert_eq!(agent.metric("p2pcam_offers_refused_total", ""), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_says_goodbye_and_ends_within_two_seconds() {
    let mut agent = Agent::start(Start::default());
    let browser = Browser::start().await;
    browser.open(&agent.page("")).await;
    browser.wait_picture().await;
    let took = agent.terminate();
    assert!(took < Duration::from_secs(2), "took {took:?}");
    browser.wait("the page says that it is over", "window.p2pcam.state !== 'live'", PATIENCE).await;
}

fn write_private(path: &std::path::Path, text: &str) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
