//! The whole way from camera to viewer's queue through a hardware encoder: without a copy, over faults, and chosen by the
//! agent itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use p2pcam_agent::{
    board::Board,
    config::VideoConfig,
    media::video::{
        AccessUnit, PixelFormat, SourceFrame, VideoCodec, VideoEncoder, VideoFrame, VideoPipeline,
        VideoSource, VideoSubscription, decoder::H264Decoder, encoder::m2m::M2mEncoder, source::v4l2::Camera,
    },
    telemetry::{health::Health, metrics::Metrics},
};

use crate::{
    encoder_support::*,
    support::{Agent, PATIENCE, Planarity, camera, eventually, metric, on_board, run},
};

fn config(source: String) -> VideoConfig {
    VideoConfig {
        source,
        width: SIZE.0,
        height: SIZE.1,
        fps: FPS,
        bitrate_kbps: 1000,
        ..VideoConfig::default()
    }
}

/// Pictures of a camera as they come.
fn pictures(planarity: Planarity, format: PixelFormat) -> impl Iterator<Item = VideoFrame> {
    let node = camera("vivid", planarity);
    let mut camera = Camera::open_format(&node, &config("auto".into()), format).unwrap();
    std::iter::from_fn(move || match camera.next().unwrap() {
        SourceFrame::Raw(frame) => Some(frame),
        SourceFrame::Encoded(_) => panic!("it gives raw pictures"),
    })
}

#[test]
fn a_cameras_own_buffers_are_encoded_without_a_copy_and_each_is_imported_once() {
    if !on_board() {
        return;
    }
    for (planarity, format) in [
        (Planarity::Single, PixelFormat::Nv12),
        (Planarity::Single, PixelFormat::Yu12),
        (Planarity::Single, PixelFormat::Yuyv),
        (Planarity::Multi, PixelFormat::Nv12),
    ] {
        let mut decoder = H264Decoder::new().unwrap();
        let (from_dmabuf, imports) = (parameter("count_from_dmabuf"), parameter("count_imports"));
        let mut encoder = None;
        for (number, frame) in pictures(planarity, format).take(40).enumerate() {
            let encoder = encoder.get_or_insert_with(|| open(frame.size(), 2_000_000));
            let unit = encoder.encode(&frame, false).unwrap().unwrap();
            assert_eq!((unit.copies, unit.keyframe), (0, number == 0), "{planarity:?} {format}");
            let decoded = decoder.decode(&unit).unwrap().unwrap();
            let error = mean_error(&frame.i420().unwrap(), &decoded);
            assert!(error < 8.0, "{planarity:?} {format}: picture {number} differs by {error} on the mean");
        }
        assert_eq!(parameter("count_from_dmabuf") - from_dmabuf, 40);
        let imported = parameter("count_imports") - imports;
        assert!((1..=8).contains(&imported), "{imported} imports for a few buffers");
    }
}

#[test]
fn what_cannot_be_imported_is_copied_once() {
    if !on_board() {
        return;
    }
    let mut device = venc();
    device.dmabuf = false;
    for format in [PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv] {
        let mut decoder = H264Decoder::new().unwrap();
        let mut encoder = None;
        for frame in pictures(Planarity::Single, format).take(10) {
            let open = || M2mEncoder::open(&device, &settings(frame.size(), 2_000_000)).unwrap();
            let unit = encoder.get_or_insert_with(open).encode(&frame, false).unwrap().unwrap();
            assert_eq!(unit.copies, 1, "{format}");
            let decoded = decoder.decode(&unit).unwrap().unwrap();
            assert!(mean_error(&frame.i420().unwrap(), &decoded) < 8.0, "{format}");
        }
    }
}

#[test]
fn pictures_of_memory_and_of_a_camera_follow_each_other() {
    if !on_board() {
        return;
    }
    // As a still that says "NO SIGNAL" and the camera that comes back do.
    let mut camera = pictures(Planarity::Single, PixelFormat::Nv12);
    let first = camera.next().unwrap();
    let mut encoder = open(first.size(), 1_000_000);
    let mut keyframe = |frame: &VideoFrame| encoder.encode(frame, false).unwrap().unwrap().keyframe;
    let still: VideoFrame = noise(first.size(), 0).into();
    let order = [&first, &first, &still, &still, &first].map(&mut keyframe);
    assert_eq!(order, [true, false, true, false, true], "each kind begins with an IDR");
}

/// A pipeline with its metrics and health, and a viewer.
struct Watched {
    metrics: Metrics,
    health: Health,
    viewer: VideoSubscription,
    runtime: tokio::runtime::Runtime,
    _pipeline: VideoPipeline,
}

impl Watched {
    fn start(config: &VideoConfig) -> Self {
        let (metrics, board) = (Metrics::new(), Board::default());
        let health = board.health.clone();
        let pipeline = VideoPipeline::start(config, &board, &metrics).unwrap();
        let viewer = pipeline.subscribe(VideoCodec::H264);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { metrics, health, viewer, runtime, _pipeline: pipeline }
    }

    fn next(&mut self) -> Arc<AccessUnit> {
        let next = async { tokio::time::timeout(PATIENCE, self.viewer.next()).await };
        self.runtime.block_on(next).expect("a unit in time").expect("the pipeline lives")
    }

    /// Waits for a key frame that follows other pictures; how long it took.
    fn next_keyframe(&mut self) -> Duration {
        let start = Instant::now();
        while !self.next().keyframe {}
        start.elapsed()
    }

    fn metric(&self, name: &str, label: &str) -> f64 {
        metric(&self.metrics.encode(), &format!("p2pcam_{name}"), label)
    }
}

#[test]
fn a_camera_is_watched_through_the_encoder_without_a_copy() {
    if !on_board() {
        return;
    }
    let node = camera("vivid", Planarity::Single);
    let mut watched = Watched::start(&config(format!("v4l2:{}", node.display())));
    let mut decoder = H264Decoder::new().unwrap();
    for number in 0..60 {
        let unit = watched.next();
        assert_eq!((unit.copies, unit.keyframe), (0, number == 0));
        assert!(decoder.decode(&unit).unwrap().is_some());
    }
    assert!(watched.metric("video_frames_encoded_total", "h264") >= 60.0);
    assert_eq!(watched.metric("video_frame_copies_total", "h264"), 0.0);
    assert_eq!(watched.metric("video_encoders", "v4l2-m2m"), 1.0);
}

#[test]
fn viewers_of_an_encoder_that_hangs_or_loses_a_picture_see_an_idr_within_two_seconds() {
    if !on_board() {
        return;
    }
    let mut watched = Watched::start(&config("pattern".into()));
    assert!(watched.next().keyframe && !watched.next().keyframe);
    let hang = Parameter::set("fault_hang", "1");
    let took = watched.next_keyframe();
    drop(hang);
    assert!((Duration::from_millis(900)..Duration::from_millis(2500)).contains(&took), "{took:?}");
    assert_eq!(watched.metric("video_encoder_restarts_total", "reason=\"hung\""), 1.0);
    assert!(!watched.next().keyframe);

    let error = Parameter::set("fault_error", "1");
    let took = watched.next_keyframe();
    drop(error);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(watched.metric("video_frames_refused_total", "v4l2-m2m"), 1.0);
    assert_eq!(watched.metric("video_encoder_restarts_total", ""), 1.0, "the encoder went on");

    assert!(!watched.next().keyframe);
    let short = Parameter::set("fault_short", "1");
    let mut decoder = H264Decoder::new().unwrap();
    // The decoder of a viewer finds that out.
    while decoder.decode(&watched.next()).is_ok_and(|_| parameter("fault_short") != 0) {}
    drop(short);
    watched.viewer.request_keyframe();
    let took = watched.next_keyframe();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_encoder_that_hangs_again_and_again_makes_room_for_software() {
    if !on_board() {
        return;
    }
    let mut watched = Watched::start(&config("pattern".into()));
    watched.next();
    let _hang = Parameter::set("fault_hang", "-1");
    let end = Instant::now() + PATIENCE;
    while watched.metric("video_encoders", "openh264") == 0.0 {
        assert!(Instant::now() < end, "{}", watched.metrics.encode());
        watched.next();
    }
    assert_eq!(watched.metric("video_encoder_restarts_total", "reason=\"hung\""), 3.0);
    let report = serde_json::to_string(&watched.health.report()).unwrap();
    assert!(
        report.contains("degraded") && report.contains("openh264 (software) takes its place"),
        "{report}"
    );
    watched.next();
}

#[test]
fn the_agent_takes_the_encoder_by_itself_and_says_why() {
    if !on_board() {
        return;
    }
    let words = format!("virtual H.264 encoder ({}, M2M, dmabuf)", venc().path.display());
    let agent = Agent::start("[video]\nsource = \"pattern\"\n[audio]\nsource = \"none\"\nsink = \"none\"\n");
    let said = |agent: &Agent| {
        eventually("the agent says which encoder it takes", PATIENCE, || {
            agent.log().lines().find(|line| line.contains("video encoder: ")).map(str::to_owned)
        })
    };
    let line = said(&agent);
    assert!(
        line.contains(&format!("video encoder: {words} because it is the first in hardware; not mpp: no ")),
        "{line}"
    );

    let named = Agent::start(
        "[video]\nsource = \"pattern\"\nencoder = \"openh264\"\n[audio]\nsource = \"none\"\nsink = \"none\"\n",
    );
    let line = said(&named);
    assert!(line.contains("video encoder: openh264 (software) because video.encoder names it"), "{line}");

    let devices = run("/usr/bin/p2pcam-agent", &["devices"]);
    assert!(devices.contains(&format!("  H.264  {words}, taken: it is the first in hardware")), "{devices}");
    assert!(devices.contains("  H.264  openh264 (software), stands in if those before it fail"), "{devices}");
    assert!(devices.contains("  H.264  mpp, not taken: no "), "{devices}");
}
