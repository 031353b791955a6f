//! The hub from outside: devices and viewers over real WebSockets.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{
    DeviceId,
    testing::{DEADLINE, TestHub, config},
};
use crate::{
    config::HubConfig,
    signaling::{
        link::LinkEvent,
        message::{Body, Envelope},
    },
};

#[tokio::test]
async fn nobody_enters_without_the_right_token() {
    let hub = TestHub::start(config());
    let viewer = hub.hub.0.secrets.viewer.reveal().to_owned();
    let as_device = format!("Bearer {viewer}");
    let unauthorized = Err(StatusCode::UNAUTHORIZED);
    for headers in
        [vec![], vec![("Authorization", "Bearer wrong")], vec![("Authorization", as_device.as_str())]]
    {
        assert_eq!(hub.open("/v1/device?id=cam", &headers).await.map(drop), unauthorized);
    }
    for protocols in ["p2pcam.v1", "p2pcam.v1, bearer.wrong", "p2pcam.v1, bearer."] {
        let headers = [("Sec-WebSocket-Protocol", protocols)];
        assert_eq!(hub.open("/v1/viewer", &headers).await.map(drop), unauthorized);
    }
    let query = format!("/v1/viewer?token={viewer}");
    assert_eq!(hub.open(&query, &[]).await.map(drop), unauthorized, "never in a query");
    assert_eq!(hub.metric("auth_failures_total"), 7);
}

#[tokio::test]
async fn wrong_tokens_in_a_row_are_slowed_down() {
    let hub = TestHub::start(config());
    let mut last = String::new();
    for _ in 0..11 {
        last = hub.get("/v1/viewer", "Authorization: Bearer wrong\r\n").await;
    }
    assert!(last.starts_with("HTTP/1.1 429") && last.contains("retry-after: "), "{last}");
    let _device = hub.device("cam").await;
    hub.viewer().await.offered().await;
}

#[tokio::test]
async fn a_page_can_ask_whether_its_token_is_right() {
    let hub = TestHub::start(config());
    let right = format!("Authorization: Bearer {}\r\n", hub.hub.0.secrets.viewer.reveal());
    assert!(hub.get("/v1/viewer", "Authorization: Bearer wrong\r\n").await.starts_with("HTTP/1.1 401"));
    let answer = hub.get("/v1/viewer", &right).await;
    assert!(!answer.starts_with("HTTP/1.1 401") && !answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn only_the_hubs_own_page_is_served_in_a_browser() {
    let hub = TestHub::start(config());
    let protocols = format!("p2pcam.v1, bearer.{}", hub.hub.0.secrets.viewer.reveal());
    let headers = |origin| [("Sec-WebSocket-Protocol", protocols.as_str()), ("Origin", origin)];
    let foreign = hub.open("/v1/viewer", &headers("https://evil.example")).await;
    assert_eq!(foreign.map(drop), Err(StatusCode::FORBIDDEN));
    let own = format!("http://{}", hub.http);
    let opened = hub.open("/v1/viewer", &headers(&own)).await.unwrap();
    assert_eq!(opened.protocol.as_deref(), Some("p2pcam.v1"));
}

#[tokio::test]
async fn messages_are_routed_both_ways_in_order() {
    let stun = HubConfig { stun: vec!["stun:203.0.113.10:3478".into()], ..config() };
    let hub = TestHub::start(stun);
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let connect = viewer.read().await;
    let session = connect["session"].as_str().unwrap().to_owned();
    assert_eq!(connect["connect"]["stun"], json!({"ip": "203.0.113.10", "port": 3478}));

    let offer = json!({"session": session, "description": {"type": "offer", "sdp": "v=0\r\n"}});
    let candidate = json!({"session": session, "candidate": {
        "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMLineIndex": 0, "sdpMid": "0"}});
    viewer.send(offer.to_string()).await;
    viewer.send(candidate.to_string()).await;
    let pushed = device.read().await;
    assert_eq!(pushed["session"], session.as_str());
    assert_eq!(pushed["connect"]["stun"], connect["connect"]["stun"]);
    assert_eq!(device.read().await, offer);
    assert_eq!(device.read().await, candidate);

    let answer = json!({"session": session, "description": {"type": "answer", "sdp": "v=0\r\n"}});
    let end = json!({"session": session, "candidate": null});
    device.send(answer.to_string()).await;
    device.send(end.to_string()).await;
    assert_eq!(viewer.read().await, answer);
    assert_eq!(viewer.read().await, end);
    assert_eq!(hub.metric("sessions_opened_total"), 1);
    assert_eq!((hub.metric("viewers"), hub.metric("devices")), (1, 1));
}

#[tokio::test]
async fn the_session_of_another_viewer_is_out_of_reach() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let (mut a, mut b) = (hub.viewer().await, hub.viewer().await);
    let session = a.offered().await;
    b.offered().await;
    a.send(json!({"session": session, "connect": {}}).to_string()).await;
    assert_eq!(device.offered().await, session);
    b.send(json!({"session": session, "candidate": null}).to_string()).await;
    assert_eq!(b.read().await["error"]["code"], "unknown-session");
    a.send(json!({"session": session, "bye": {"reason": "end"}}).to_string()).await;
    assert_eq!(device.read().await["bye"]["reason"], "end", "nothing of the other came between");
}

#[tokio::test]
async fn a_device_that_reconnects_keeps_its_sessions() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    device.offered().await;
    let mut again = hub.device("cam").await;
    assert_eq!(device.next().await, None, "the older connection is closed");
    let candidate = json!({"session": session, "candidate": null});
    again.send(candidate.to_string()).await;
    assert_eq!(viewer.read().await, candidate, "and no bye before it");
    viewer.send(candidate.to_string()).await;
    assert_eq!(again.read().await, candidate);
}

#[tokio::test]
async fn a_viewer_that_leaves_is_told_to_the_device() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    device.offered().await;
    viewer.close().await;
    assert_eq!(device.read().await, json!({"session": session, "bye": {"reason": "viewer left"}}));
}

#[tokio::test]
async fn a_viewer_that_vanishes_is_told_to_the_device_after_the_grace() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    device.offered().await;
    drop(viewer);
    let gone = async {
        while hub.metric("viewers") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("the broken socket is noticed");
    // The clock of the grace is an argument: this is half a minute later.
    let mut later = super::Now::read();
    later.monotonic += super::switchboard::GRACE;
    hub.hub.switchboard().tick(later);
    assert_eq!(device.read().await["bye"]["reason"], "viewer left");
}

#[tokio::test]
async fn a_viewer_whose_socket_broke_resumes_its_session() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    device.offered().await;
    drop(viewer);
    let mut back = hub.viewer_with(&format!(", resume.{session}")).await;
    let candidate = json!({"session": session, "candidate": null});
    device.send(candidate.to_string()).await;
    assert_eq!(back.read().await, candidate);
}

#[tokio::test]
async fn one_viewer_too_many_hears_why() {
    let hub = TestHub::start(HubConfig { max_viewers: 1, max_devices: 1, ..config() });
    let _device = hub.device("cam").await;
    let mut first = hub.viewer().await;
    first.offered().await;
    let mut second = hub.viewer().await;
    let refusal = second.read().await;
    assert_eq!(refusal["error"]["code"], "too-many-sessions");
    assert!(refusal["error"]["message"].as_str().unwrap().contains("hub.max_viewers"), "{refusal}");
    assert_eq!(second.next().await, None);

    let token = format!("Bearer {}", hub.hub.0.secrets.device.reveal());
    let headers = [("Authorization", token.as_str())];
    let refused = hub.open("/v1/device?id=other", &headers).await.map(drop);
    assert_eq!(refused, Err(StatusCode::SERVICE_UNAVAILABLE));
    let refused = hub.open("/v1/device?id=a%20b", &headers).await.map(drop);
    assert_eq!(refused, Err(StatusCode::BAD_REQUEST));
}

#[tokio::test]
async fn bad_messages_get_an_error_and_the_socket_lives_on() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send("not json").await;
    assert_eq!(viewer.read().await["error"]["code"], "malformed");
    let large = "x".repeat(300 * 1024);
    viewer
        .send(json!({"session": session, "description": {"type": "offer", "sdp": large}}).to_string())
        .await;
    assert_eq!(viewer.read().await["error"]["code"], "too-large");
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    assert_eq!(device.offered().await, session);
    assert_eq!(hub.metric("messages_refused_total"), 2);
}

#[tokio::test]
async fn rubbish_is_answered_a_few_times_only() {
    const RUBBISH: u64 = 150;
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    for _ in 0..RUBBISH {
        viewer.send("not json").await;
    }
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    assert_eq!(device.offered().await, session);
    device.send(json!({"session": session, "bye": {"reason": "enough"}}).to_string()).await;
    let mut answers = 0;
    while viewer.read().await["error"]["code"] == "malformed" {
        answers += 1;
    }
    // Twenty at once and five a second: a machine that is busy for 20 s would still pass.
    assert!((1..RUBBISH).contains(&answers), "{answers}");
    assert_eq!(hub.metric("messages_refused_total"), RUBBISH);
}

#[tokio::test]
async fn a_flood_is_refused_and_other_viewers_are_served() {
    let hub = TestHub::start(config());
    let mut device = hub.device("cam").await;
    let mut flooder = hub.viewer().await;
    flooder.offered().await;
    for _ in 0..700 {
        flooder.send(r#"{"session":"nobody","bye":{}}"#).await;
    }
    let refusal = flooder.read().await;
    assert_eq!(refusal["error"]["code"], "too-many-messages", "{refusal}");
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    assert_eq!(device.offered().await, session);
}

#[tokio::test]
async fn the_hubs_own_camera_is_reached_without_a_socket() {
    let hub = TestHub::start(config());
    let mut link = hub.hub.attach_local(DeviceId::new("cam").unwrap());
    assert_eq!(link.events.recv().await, Some(LinkEvent::Up));
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    let Some(LinkEvent::Message(connect)) = link.events.recv().await else { panic!("no message") };
    assert_eq!(connect.session.as_ref().unwrap().as_str(), session);
    link.outbox.send(Envelope { session: connect.session, body: Body::Candidate(None) }).await.unwrap();
    assert_eq!(viewer.read().await, json!({"session": session, "candidate": null}));
    let links = hub.hub.links();
    assert!(links[0].url.contains("/#device=cam&token="), "{links:?}");

    drop(link);
    let gone = async {
        while hub.metric("devices") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("a dropped link is a device that is away");
}

#[tokio::test]
async fn on_shutdown_viewers_hear_a_goodbye_and_the_hub_ends() {
    let hub = TestHub::start(config());
    let mut link = hub.hub.attach_local(DeviceId::new("cam").unwrap());
    link.events.recv().await;
    let mut viewer = hub.viewer().await;
    let session = viewer.offered().await;
    viewer.send(json!({"session": session, "connect": {}}).to_string()).await;
    link.events.recv().await;
    let mut idle = hub.viewer().await;
    idle.offered().await;

    hub.shutdown.cancel();
    assert_eq!(viewer.read().await["bye"]["reason"], "the camera is shutting down");
    assert_eq!(viewer.next().await, None);
    assert_eq!(idle.next().await, None);
    tokio::time::timeout(DEADLINE, hub.serving).await.expect("it ends").unwrap().unwrap();
    assert_eq!(link.events.recv().await, None, "the link is over for good");
}
