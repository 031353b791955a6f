//! Sessions over a link in this process and real sockets on loopback.

use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};

use super::*;
use crate::{
    board::Board,
    config::{AudioConfig, VideoConfig},
    signaling::{
        link::{Carrier, pair},
        message::{Candidate, Description, SdpType},
        sdp::SdpView,
    },
};

const CAPTURE: &str = include_str!("../../tests/fixtures/offer-vp8-vp9-only.json");
/// No step takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);

struct Agent {
    carrier: Carrier,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    port: u16,
    transport: Transport,
}

impl Agent {
    async fn start(config: SessionConfig) -> Self {
        Self::start_on(config, Board::default()).await
    }

    async fn start_on(config: SessionConfig, board: Board) -> Self {
        let metrics = Metrics::new();
        let ice = IceConfig { loopback: true, ..IceConfig::default() };
        let transport = Transport::bind(&ice, &metrics).await.expect("loopback");
        let video =
            VideoConfig { source: "pattern".into(), width: 320, height: 180, ..VideoConfig::default() };
        let audio = AudioConfig { source: "none".into(), sink: "log".into(), ..AudioConfig::default() };
        let media = Media {
            video: VideoPipeline::start(&video, &Board::default(), &metrics).expect("a pattern"),
            audio: AudioPipeline::start(&audio, &Board::default(), &metrics).expect("silence"),
            talkback: TalkBack::start(&audio, &Board::default(), &metrics).expect("no speaker"),
            board,
        };
        let sessions = Sessions::new(&config, &ice, transport.clone(), media, &metrics).expect("sessions");
        let (link, carrier) = pair("test");
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { sessions.serve(link, stop).await }
        });
        Self { carrier, stop, serving, port: transport.port(), transport }
    }

    async fn say(&self, body: Body) {
        let envelope = Envelope::new(SessionId::new("s").expect("an id"), body);
        self.carrier.events.send(LinkEvent::Message(envelope)).await.expect("served");
    }

    async fn offer(&self) {
        let offer: serde_json::Value = serde_json::from_str(CAPTURE).expect("JSON");
        let sdp = offer["sdp"].as_str().expect("text").to_owned();
        self.say(Body::Description(Description { sdp, kind: SdpType::Offer })).await;
    }

    /// The first thing said that `wanted` takes.
    async fn hear<T>(&mut self, what: &str, wanted: impl Fn(Body) -> Option<T>) -> T {
        let heard = async {
            loop {
                let envelope = self.carrier.outbox.recv().await.expect("the link is up");
                if let Some(found) = wanted(envelope.body) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, heard).await.unwrap_or_else(|_| panic!("not heard: {what}"))
    }

    async fn hear_error(&mut self, code: &str) -> String {
        let error = |body| match body {
            Body::Error(error) if error.code == code => Some(error.message),
            _ => None,
        };
        self.hear(code, error).await
    }

    /// Opens a session; gives the ufrag of its answer.
    async fn answered(&mut self) -> String {
        self.say(Body::Connect(Connect::default())).await;
        self.offer().await;
        let answer = |body| match body {
            Body::Description(answer) => Some(answer.sdp),
            _ => None,
        };
        let sdp = self.hear("an answer", answer).await;
        let view = SdpView::parse(&sdp).expect("an SDP");
        view.sections.into_iter().find_map(|s| s.ice_ufrag).expect("a ufrag")
    }
}

/// A binding request without integrity: it finds the session, which must refuse it.
fn check(ufrag: &str) -> Vec<u8> {
    let username = format!("{ufrag}:x");
    let padded = username.len().next_multiple_of(4);
    let mut message = vec![0, 1];
    message.extend_from_slice(&u16::try_from(4 + padded).expect("short").to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message.extend_from_slice(&[5; 12]);
    message.extend_from_slice(&[0, 6]);
    message.extend_from_slice(&u16::try_from(username.len()).expect("short").to_be_bytes());
    message.extend_from_slice(username.as_bytes());
    message.resize(24 + padded, 0);
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_flood_of_datagrams_commands_are_answered_and_timers_fire() {
    let mut agent = Agent::start(SessionConfig { connect_timeout_s: 3, ..SessionConfig::default() }).await;
    let ufrag = agent.answered().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    socket.connect(("127.0.0.1", agent.port)).await.expect("loopback");
    let flooding = tokio::spawn(async move {
        let (check, dtls) = (check(&ufrag), [22u8, 254, 253, 0]);
        loop {
            let _ = socket.try_send(&check);
            for _ in 0..50 {
                let _ = socket.try_send(&dtls);
            }
            tokio::task::yield_now().await;
        }
    });
    let flooded = async {
        while agent.transport.metrics().datagrams_in.get() < 5_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, flooded).await.expect("it floods");
    agent.offer().await;
    agent.hear_error(code::WRONG_STATE).await;
    // Nobody ever showed a valid check: the time for that is over, flood or not.
    agent.hear_error(code::NO_PATH).await;
    flooding.abort();
}

#[tokio::test]
async fn more_candidates_than_a_viewer_has_are_dropped_and_that_is_said_once() {
    let mut agent = Agent::start(SessionConfig::default()).await;
    agent.answered().await;
    for n in 0..200 {
        let candidate = format!("candidate:1 1 udp 1 192.0.2.1 {} typ host", 1000 + n);
        let candidate = Candidate { candidate, sdp_m_line_index: Some(0), sdp_mid: Some("0".into()) };
        agent.say(Body::Candidate(Some(candidate))).await;
        // The session's mailbox is not what is tested here.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let words = agent.hear_error(code::TOO_MANY_MESSAGES).await;
    assert!(words.starts_with("64 candidates"), "{words}");
    agent.offer().await;
    let next = |body| match body {
        Body::Error(error) => Some(error.code),
        _ => None,
    };
    assert_eq!(agent.hear("an error", next).await, code::WRONG_STATE);
}

#[tokio::test]
async fn at_the_end_the_link_is_open_until_the_goodbye_is_out() {
    let mut agent = Agent::start(SessionConfig::default()).await;
    agent.answered().await;
    agent.stop.cancel();
    // The carrier is slow: it looks at its queue only when the sessions have let go of the link.
    timeout(DEADLINE, agent.carrier.events.closed()).await.expect("the link is closed");
    assert!(!agent.serving.is_finished(), "nobody waits for what the link has not sent");
    let bye = |body| match body {
        Body::Bye(bye) => Some(bye.reason),
        _ => None,
    };
    assert_eq!(agent.hear("a goodbye", bye).await, "the camera is shutting down");
    drop(agent.carrier.outbox);
    timeout(DEADLINE, agent.serving).await.expect("ends").expect("whole");
}

#[tokio::test]
async fn a_link_that_takes_nothing_does_not_hold_up_the_end() {
    let mut agent = Agent::start(SessionConfig::default()).await;
    agent.answered().await;
    agent.stop.cancel();
    timeout(GOODBYE + Duration::from_millis(500), agent.serving).await.expect("in time").expect("whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_told_of_the_privacy_switch_when_they_come_and_when_it_changes() {
    let board = Board::default();
    let (privacy, words) = (board.privacy.clone(), "the privacy switch is on");
    privacy.set(Some(words.into()));
    let mut agent = Agent::start_on(SessionConfig::default(), board).await;
    agent.answered().await;
    let notice = |body| match body {
        Body::Notice(notice) => Some((notice.code, notice.message)),
        _ => None,
    };
    assert_eq!(agent.hear("a notice", notice).await, ("privacy-on".into(), words.into()));
    privacy.set(None);
    assert_eq!(agent.hear("a notice", notice).await.0, "privacy-off");
    privacy.set(Some(words.into()));
    assert_eq!(agent.hear("a notice", notice).await.0, "privacy-on");
}
