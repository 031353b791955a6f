//! A source that is unplugged: looked for a few times, then waited for by events.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::*;
use crate::{
    board::Board,
    config::VideoEncoderSpec,
    media::video::{VideoCodec, pattern::PatternSource},
};

/// No wait in these tests may last longer.
const DEADLINE: Duration = Duration::from_secs(20);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_camera_that_stays_away_is_looked_for_no_more_until_a_device_comes() {
    let opens = Arc::new(AtomicUsize::new(0));
    let counted = opens.clone();
    let looks = QUICK_LOOKS as usize + 1;
    let open: Opener = Box::new(move || {
        let source = PatternSource::new(320, 180, 30, Instant::now())?;
        match counted.fetch_add(1, Ordering::SeqCst) {
            number if number <= looks => Err(Unplugged("camera x is unplugged".into()).into()),
            _ => Ok(Opened { source: Box::new(source), words: "camera x".into() }),
        }
    });
    let info = PatternSource::new(320, 180, 30, Instant::now()).unwrap().info().clone();
    let metrics = crate::telemetry::metrics::Metrics::new().register(super::super::VideoMetrics::register);
    let bitrate = super::super::Bitrate(500_000);
    let bounds = super::super::rate::Bounds { adapt: true, sub: true, max: bitrate, min: bitrate };
    let choice = Choice::probe(&VideoEncoderSpec::OpenH264);
    let lineups = [(); 2].map(|()| choice.lineup());
    let board = Board::default();
    let health = board.health.clone();
    let shared = Arc::new(Shared::new(info, "camera x".into(), bounds, lineups, health, metrics));
    let capture = Capture::new(shared.clone(), open, choice, board, true, 10);
    let thread = std::thread::spawn(move || capture.run());
    let (viewer, _wake) = shared.join(VideoCodec::H264);

    until("the quick looks are over", || opens.load(Ordering::SeqCst) == looks);
    let words = shared.lock().failure.clone();
    assert_eq!(words.as_deref(), Some("camera x is unplugged"));
    // An event in vain, of another device: one look, without the wait that the back-off would make of so many failures.
    let told = Instant::now();
    shared.plugged();
    until("an event has it looked for", || opens.load(Ordering::SeqCst) > looks);
    shared.plugged();
    until("the camera is found", || shared.lock().failure.is_none());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());

    shared.leave(VideoCodec::H264, viewer);
    shared.end();
    thread.join().unwrap();
}
