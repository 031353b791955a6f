//! The switchboard's rules, with queues instead of sockets and a clock that the test moves.
#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use super::*;
use crate::{
    config::HubConfig,
    hub::{port::PortEnd, private_file},
    signaling::message::{Bye, Candidate, Connect, Description, SdpType},
};

struct House {
    board: Switchboard,
    now: Now,
}

struct Peer {
    key: PeerKey,
    end: PortEnd,
}

impl Peer {
    fn next(&mut self) -> Envelope {
        self.end.queue.try_recv().expect("a message")
    }

    fn is_quiet(&mut self) -> bool {
        self.end.queue.try_recv().is_err()
    }

    fn offered(&mut self) -> SessionId {
        let envelope = self.next();
        assert!(matches!(envelope.body, Body::Connect(_)), "{envelope:?}");
        envelope.session.unwrap()
    }
}

fn house_with(config: &HubConfig) -> House {
    let limits = Limits { viewers: config.max_viewers, devices: config.max_devices };
    let board = Switchboard::new(IceSettings::from_config(config).unwrap(), limits, HubMetrics::default());
    House { board, now: Now { monotonic: Instant::now(), wall: UNIX_EPOCH } }
}

fn house() -> House {
    house_with(&HubConfig { max_viewers: 2, max_devices: 2, ..HubConfig::default() })
}

fn cam() -> DeviceId {
    DeviceId::new("cam").unwrap()
}

impl House {
    fn device(&mut self, name: &str) -> Peer {
        let (port, end) = Port::socket();
        let id = DeviceId::new(name).unwrap();
        Peer { key: self.board.device_open(&id, port, false, self.now).unwrap(), end }
    }

    fn viewer(&mut self) -> Peer {
        self.viewer_back(None)
    }

    fn viewer_back(&mut self, resume: Option<SessionId>) -> Peer {
        let (port, end) = Port::socket();
        Peer { key: self.board.viewer_open(port, None, resume, self.now).unwrap(), end }
    }

    fn say(&mut self, viewer: &Peer, session: &SessionId, body: Body) {
        self.board.viewer_message(viewer.key, Envelope::new(session.clone(), body), self.now);
    }

    fn answer(&mut self, device: &Peer, session: &SessionId, body: Body) {
        self.board.device_message(&cam(), device.key, Envelope::new(session.clone(), body), self.now);
    }

    /// A device and a viewer with a live session.
    fn call(&mut self) -> (Peer, Peer, SessionId) {
        let mut device = self.device("cam");
        let mut viewer = self.viewer();
        let session = viewer.offered();
        self.say(&viewer, &session, connect());
        assert_eq!(device.offered(), session);
        (device, viewer, session)
    }
}

fn connect() -> Body {
    Body::Connect(Connect::default())
}

fn offer() -> Body {
    Body::Description(Description { sdp: "v=0\r\n".into(), kind: SdpType::Offer })
}

fn candidate(text: &str) -> Body {
    Body::Candidate(Some(Candidate {
        candidate: text.into(),
        sdp_m_line_index: Some(0),
        sdp_mid: Some("0".into()),
    }))
}

fn bye(reason: &str) -> Body {
    Body::Bye(Bye { reason: reason.into() })
}

fn error_code(envelope: &Envelope) -> &str {
    match &envelope.body {
        Body::Error(e) => &e.code,
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn a_viewer_gets_its_next_session_on_opening_and_after_each_end() {
    let mut house = house();
    let (mut device, mut viewer, first) = house.call();
    house.say(&viewer, &first, bye("stop"));
    assert_eq!(device.next(), Envelope::new(first.clone(), bye("stop")));
    let second = viewer.offered();
    assert_ne!(first, second);
    assert_eq!(second.as_str().len(), 32, "128 bits in hexadecimal");
    assert!(device.is_quiet(), "the device is told when the viewer starts, not before");
}

#[test]
fn an_offer_without_connect_pushes_connect_first_and_keeps_the_order() {
    let mut house = house();
    let mut device = house.device("cam");
    let mut viewer = house.viewer();
    let session = viewer.offered();
    house.say(&viewer, &session, offer());
    house.say(&viewer, &session, candidate("a"));
    assert_eq!(device.offered(), session);
    assert_eq!(device.next().body, offer());
    assert_eq!(device.next().body, candidate("a"));
}

#[test]
fn answers_reach_the_viewer_of_their_session_alone() {
    let mut house = house();
    let (device, mut viewer, session) = house.call();
    let mut other = house.viewer();
    other.offered();
    house.answer(&device, &session, candidate("b"));
    assert_eq!(viewer.next(), Envelope::new(session, candidate("b")));
    assert!(other.is_quiet());
}

#[test]
fn a_viewer_cannot_speak_for_the_session_of_another() {
    let mut house = house();
    let (mut device, _viewer, session) = house.call();
    let mut other = house.viewer();
    other.offered();
    house.say(&other, &session, offer());
    assert_eq!(error_code(&other.next()), code::UNKNOWN_SESSION);
    house.say(&other, &session, bye("spite"));
    assert!(device.is_quiet());
    assert_eq!(house.board.metrics.messages_refused.get(), 1);
}

#[test]
fn a_device_cannot_speak_for_a_session_that_was_not_pushed_to_it() {
    let mut house = house();
    let (_device, mut viewer, session) = house.call();
    let mut intruder = house.device("other");
    let other = DeviceId::new("other").unwrap();
    house.board.device_message(&other, intruder.key, Envelope::new(session, offer()), house.now);
    assert_eq!(error_code(&intruder.next()), code::UNKNOWN_SESSION);
    assert!(viewer.is_quiet());
    // Nor for one that is offered to a viewer and that the viewer has not started.
    let mut waiting = house.viewer_back(None);
    assert_eq!(error_code(&waiting.next()), code::DEVICE_OFFLINE, "two devices: which one?");
}

#[test]
fn a_device_that_reconnects_keeps_its_sessions_and_gets_what_it_missed() {
    let mut house = house();
    let (device, mut viewer, session) = house.call();
    house.board.device_close(&cam(), device.key);
    assert!(viewer.is_quiet(), "the picture needs no hub");
    house.say(&viewer, &session, candidate("missed"));
    let mut back = house.device("cam");
    assert_eq!(back.next().body, candidate("missed"));
    house.answer(&back, &session, candidate("c"));
    assert_eq!(viewer.next().body, candidate("c"));
}

#[test]
fn a_second_connection_of_a_device_replaces_the_first() {
    let mut house = house();
    let (mut old, mut viewer, session) = house.call();
    let new = house.device("cam");
    assert!(old.end.queue.try_recv().is_err() && old.end.queue.is_closed());
    house.answer(&old, &session, candidate("stale"));
    assert!(viewer.is_quiet());
    house.board.device_close(&cam(), old.key);
    house.answer(&new, &session, candidate("fresh"));
    assert_eq!(viewer.next().body, candidate("fresh"));
}

#[test]
fn a_viewer_of_an_absent_device_is_told_and_gets_a_session_when_it_comes() {
    let mut house = house();
    let mut viewer = house.viewer();
    assert_eq!(error_code(&viewer.next()), code::DEVICE_OFFLINE);
    let device = house.device("cam");
    let session = viewer.offered();
    house.board.device_close(&cam(), device.key);
    house.say(&viewer, &session, offer());
    let refused = viewer.next();
    assert_eq!(error_code(&refused), code::DEVICE_OFFLINE);
    assert_eq!(refused.session, Some(session));
    house.device("cam");
    viewer.offered();
}

#[test]
fn a_viewer_that_says_goodbye_frees_its_session_at_once() {
    let mut house = house();
    let (mut device, viewer, session) = house.call();
    house.board.viewer_close(viewer.key, true, house.now);
    assert_eq!(device.next(), Envelope::new(session, bye("viewer left")));
    assert!(house.board.sessions.is_empty() && house.board.viewers.is_empty());
}

#[test]
fn a_viewer_whose_socket_breaks_may_come_back_to_its_picture() {
    let mut house = house();
    let (mut device, viewer, session) = house.call();
    house.board.viewer_close(viewer.key, false, house.now);
    house.now.monotonic += GRACE / 2;
    house.board.tick(house.now);
    assert!(device.is_quiet());
    let mut back = house.viewer_back(Some(session.clone()));
    assert!(back.is_quiet(), "it has its session; no new one is offered");
    house.now.monotonic += GRACE;
    house.board.tick(house.now);
    house.answer(&device, &session, candidate("d"));
    assert_eq!(back.next().body, candidate("d"));
}

#[test]
fn a_viewer_that_never_comes_back_is_ended_after_the_grace() {
    let mut house = house();
    let (mut device, viewer, session) = house.call();
    house.board.viewer_close(viewer.key, false, house.now);
    house.now.monotonic += GRACE;
    house.board.tick(house.now);
    assert_eq!(device.next(), Envelope::new(session.clone(), bye("viewer left")));
    let mut late = house.viewer_back(Some(session.clone()));
    assert_ne!(late.offered(), session);
}

#[test]
fn a_viewer_back_before_its_old_socket_is_known_to_be_dead_takes_over() {
    let mut house = house();
    let (device, mut old, session) = house.call();
    let mut new = house.viewer_back(Some(session.clone()));
    assert!(old.end.queue.try_recv().is_err() && old.end.queue.is_closed());
    house.board.viewer_close(old.key, true, house.now);
    house.answer(&device, &session, candidate("e"));
    assert_eq!(new.next().body, candidate("e"));
}

#[test]
fn final_errors_of_a_device_end_the_session_and_others_do_not() {
    let mut house = house();
    let (device, mut viewer, session) = house.call();
    let error = |code| Envelope::error(Some(session.clone()), code, "why").body;
    house.answer(&device, &session, error(code::BAD_CANDIDATE));
    assert_eq!(error_code(&viewer.next()), code::BAD_CANDIDATE);
    assert!(viewer.is_quiet());
    house.answer(&device, &session, error(code::NO_COMMON_CODEC));
    assert_eq!(error_code(&viewer.next()), code::NO_COMMON_CODEC);
    assert_ne!(viewer.offered(), session);
}

#[test]
fn viewers_and_devices_are_bounded_and_lost_sessions_count() {
    let mut house = house();
    let (_device, viewer, _) = house.call();
    house.board.viewer_close(viewer.key, false, house.now);
    let _second = house.viewer();
    let (port, _end) = Port::socket();
    assert_eq!(house.board.viewer_open(port, None, None, house.now), Err(Refused::TooManyViewers(2)));

    let other = house.device("other");
    let (port, _end) = Port::socket();
    let third = DeviceId::new("third").unwrap();
    assert_eq!(house.board.device_open(&third, port, false, house.now), Err(Refused::TooManyDevices(2)));
    // One that went away and serves nobody makes room; its name is all that is forgotten.
    house.board.device_close(&DeviceId::new("other").unwrap(), other.key);
    house.device("third");
}

#[test]
fn a_remote_device_cannot_take_the_name_of_the_hubs_own_camera() {
    let mut house = house();
    let (port, _end) = Port::socket();
    house.board.device_open(&cam(), port, true, house.now).unwrap();
    let (port, _end) = Port::socket();
    assert_eq!(house.board.device_open(&cam(), port, false, house.now), Err(Refused::NameTaken));
}

/// A house whose TURN credentials live 600 s.
fn house_with_turn() -> House {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("turn");
    private_file::create(&file, "north").unwrap();
    house_with(&HubConfig {
        turn: vec!["turn:192.0.2.1".into()],
        turn_secret_file: Some(file),
        turn_ttl_s: 600,
        ..HubConfig::default()
    })
}

#[test]
fn credentials_of_a_board_that_boots_in_1970_are_renewed_when_it_learns_the_time() {
    let mut house = house_with_turn();
    house.device("cam");
    let mut viewer = house.viewer();
    let session = viewer.offered();
    house.now.monotonic += Duration::from_secs(1);
    house.now.wall += Duration::from_secs(1_700_000_000);
    house.board.tick(house.now);
    let renewed = viewer.next();
    assert_eq!(renewed.session, Some(session));
    let Body::Connect(connect) = renewed.body else { panic!("not a connect") };
    assert!(connect.ice_servers[0].username.as_deref().unwrap().starts_with("1700000600:"));
    house.board.tick(house.now);
    assert!(viewer.is_quiet(), "once");
}

#[test]
fn credentials_that_wait_for_a_click_are_renewed_under_the_same_session() {
    let mut house = house_with_turn();
    house.device("cam");
    let mut viewer = house.viewer();
    let session = viewer.offered();
    house.now.monotonic += Duration::from_secs(300);
    house.now.wall += Duration::from_secs(300);
    house.board.tick(house.now);
    let renewed = viewer.next();
    assert_eq!(renewed.session, Some(session));
    let Body::Connect(connect) = renewed.body else { panic!("not a connect") };
    assert!(connect.ice_servers[0].username.as_deref().unwrap().starts_with("900:"));
    house.board.tick(house.now);
    assert!(viewer.is_quiet());
}

#[test]
fn both_sides_of_a_live_session_get_new_credentials_at_half_of_the_old_ones_life() {
    let mut house = house_with_turn();
    let (mut device, mut viewer, session) = house.call();
    house.now.monotonic += Duration::from_secs(299);
    house.board.tick(house.now);
    assert!(device.is_quiet() && viewer.is_quiet());
    house.now.monotonic += Duration::from_secs(1);
    house.now.wall += Duration::from_secs(300);
    house.board.tick(house.now);
    for peer in [&mut device, &mut viewer] {
        let renewed = peer.next();
        assert_eq!(renewed.session.as_ref(), Some(&session));
        let Body::Connect(connect) = renewed.body else { panic!("not a connect") };
        assert!(connect.ice_servers[0].username.as_deref().unwrap().starts_with("900:"));
    }
    house.board.tick(house.now);
    assert!(device.is_quiet() && viewer.is_quiet(), "once");
}

#[test]
fn the_end_of_the_process_is_told_to_viewers_of_its_own_camera_alone() {
    let mut house = house();
    let (mut remote, mut viewer, _) = house.call();
    let (port, _own_end) = Port::socket();
    house.board.device_open(&DeviceId::new("own").unwrap(), port, true, house.now).unwrap();
    let (port, end) = Port::socket();
    let key = house.board.viewer_open(port, DeviceId::new("own"), None, house.now).unwrap();
    let mut near = Peer { key, end };
    let session = near.offered();
    house.say(&near, &session, connect());
    house.board.end("shutting down");
    assert_eq!(near.next(), Envelope::new(session, bye("shutting down")));
    assert!(viewer.is_quiet() && remote.is_quiet(), "their picture goes on without the hub");
    assert!(viewer.end.queue.is_closed());
}

#[test]
fn connect_twice_is_refused_and_does_not_disturb() {
    let mut house = house();
    let (mut device, mut viewer, session) = house.call();
    house.say(&viewer, &session, connect());
    assert_eq!(error_code(&viewer.next()), code::DUPLICATE_SESSION);
    assert!(device.is_quiet());
    house.say(&viewer, &session, offer());
    assert_eq!(device.next().body, offer());
}

#[test]
fn the_last_word_on_a_path_is_counted_when_its_session_is_over() {
    let mut house = house();
    let (device, mut viewer, session) = house.call();
    let notice = |code: &str| {
        let (code, message) = (code.into(), "direct, host to srflx, 43 ms".into());
        Body::Notice(crate::signaling::message::WireNotice { code, message })
    };
    let counted = |house: &House, path| house.board.metrics.paths.get_or_create(&[("path", path)]).get();
    house.answer(&device, &session, notice("path-none"));
    house.answer(&device, &session, notice("path-direct"));
    house.answer(&device, &session, notice("privacy-on"));
    assert_eq!(counted(&house, "direct"), 0, "it may still move");
    for code in ["path-none", "path-direct", "privacy-on"] {
        assert_eq!(viewer.next(), Envelope::new(session.clone(), notice(code)), "the viewer hears it too");
    }
    house.say(&viewer, &session, bye("stop"));
    assert_eq!((counted(&house, "direct"), counted(&house, "none")), (1, 0));

    let second = viewer.offered();
    house.say(&viewer, &second, connect());
    house.answer(&device, &second, notice("path-relayed"));
    let error = Envelope::error(Some(second.clone()), code::NO_PATH, "no path: ...");
    house.answer(&device, &second, error.body);
    assert_eq!((counted(&house, "relayed"), counted(&house, "none")), (0, 1));
}
