//! What viewers see, and what becomes of the camera, while the privacy switch is on.
#![allow(clippy::unwrap_used)]

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::*;
use crate::media::video::{
    SourceFrame, VideoSource, capture::Opened, decoder::H264Decoder, pattern::PatternSource, testing::number,
};

/// Nothing takes so long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(20);

/// Tells when it is opened (true) and closed (false).
struct Camera {
    pattern: PatternSource,
    told: mpsc::Sender<bool>,
}

impl VideoSource for Camera {
    fn info(&self) -> &SourceInfo {
        self.pattern.info()
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        self.pattern.next()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.told.send(false);
    }
}

fn camera(board: &Board) -> (VideoPipeline, mpsc::Receiver<bool>) {
    let (told, heard) = mpsc::channel();
    let pattern = || PatternSource::new(320, 180, 60, Instant::now());
    let info = pattern().unwrap().info().clone();
    let open = move || {
        let _ = told.send(true);
        let source = Box::new(Camera { pattern: pattern()?, told: told.clone() });
        Ok(Opened { source, words: "camera".into() })
    };
    let config = VideoConfig { bitrate_kbps: 400, ..VideoConfig::default() };
    let pipeline =
        VideoPipeline::with_opener(Box::new(open), info, "camera".into(), &config, board, &Metrics::new());
    (pipeline.unwrap(), heard)
}

/// Waits for pictures until one is of the camera (it has a number), or is not.
async fn seen(viewer: &mut VideoSubscription, decoder: &mut H264Decoder, of_the_camera: bool) {
    let end = Instant::now() + DEADLINE;
    loop {
        let unit = timeout(DEADLINE, viewer.next()).await.unwrap().unwrap();
        if let Some(picture) = decoder.decode(&unit).unwrap()
            && number(&picture).is_some() == of_the_camera
        {
            return;
        }
        assert!(Instant::now() < end, "in vain for a picture of the camera: {of_the_camera}");
    }
}

#[tokio::test]
async fn the_switch_closes_the_camera_under_a_viewer_who_sees_a_still_and_then_the_camera_again() {
    let board = Board::default();
    let (pipeline, camera) = camera(&board);
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    let mut decoder = H264Decoder::new().unwrap();
    seen(&mut viewer, &mut decoder, true).await;
    assert!(camera.recv_timeout(DEADLINE).unwrap());

    board.privacy.set(Some("the privacy switch is on".into()));
    assert!(!camera.recv_timeout(DEADLINE).unwrap(), "closed, not only unread");
    seen(&mut viewer, &mut decoder, false).await;
    assert_eq!(pipeline.source_words(), "camera; no signal: the privacy switch is on");
    assert!(camera.try_recv().is_err(), "it stays closed");

    board.privacy.set(None);
    seen(&mut viewer, &mut decoder, true).await;
    assert!(camera.try_recv().unwrap());
    assert_eq!(pipeline.source_words(), "camera");
    assert_eq!(pipeline.0.0.metrics.source_restarts.get(), 0, "nothing had failed");
}

#[tokio::test]
async fn who_comes_while_the_switch_is_on_sees_the_still_and_the_camera_is_not_touched() {
    let board = Board::default();
    board.privacy.set(Some("the privacy switch is on".into()));
    let (pipeline, camera) = camera(&board);
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    seen(&mut viewer, &mut H264Decoder::new().unwrap(), false).await;
    assert!(camera.try_recv().is_err());
}

#[tokio::test]
async fn a_camera_is_not_even_looked_at_when_the_agent_starts_with_the_switch_on() {
    let board = Board::default();
    board.privacy.set(Some("the privacy switch is on".into()));
    // Not a camera: opening it would be told in words.
    let config = VideoConfig { source: "v4l2:/dev/null".into(), ..VideoConfig::default() };
    let pipeline = VideoPipeline::start(&config, &board, &Metrics::new()).unwrap();
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    assert!(timeout(DEADLINE, viewer.next()).await.unwrap().unwrap().keyframe);
    assert!(pipeline.source_words().ends_with("no signal: the privacy switch is on"));
}
