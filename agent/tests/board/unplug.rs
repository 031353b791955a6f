//! A camera that is pulled out while it is watched: words, and its picture again once it is back.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use p2pcam_agent::{
    board::{Board, Hotplug},
    media::video::{VideoPipeline, VideoSource, source::v4l2::Camera, v4l2::Device},
    telemetry::metrics::Metrics,
};

use crate::{
    pictures::{Viewer, assert_plausible, cameras, config, take, threads, until},
    support::{Planarity, camera, on_board},
};

/// Longer than the capture thread looks for a camera by itself.
const AWAY: Duration = Duration::from_secs(12);
/// After so long the back-off alone would take about as long again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// The driver that a camera is bound to, in sysfs.
struct Driver {
    folder: PathBuf,
    device: String,
}

impl Driver {
    fn of(camera: &Path) -> io::Result<Self> {
        let name = camera.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let device = fs::canonicalize(Path::new("/sys/class/video4linux").join(name).join("device"))?;
        let folder = fs::canonicalize(device.join("driver"))?;
        let device = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { folder, device })
    }

    fn set(&self, action: &str) {
        fs::write(self.folder.join(action), &self.device).unwrap();
    }
}

/// vivid's button that plays an unplugged camera: all calls fail, until the last one closes it.
fn disconnect(path: &Path) {
    let device = Device::open(path).unwrap();
    let control =
        device.controls().unwrap().into_iter().find(|control| control.name == "disconnect").unwrap();
    device.push_button(control.id).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn board() -> Board {
    let hotplug = Hotplug::start();
    assert!(hotplug.is_some(), "the board gives no word of devices");
    Board { hotplug, ..Board::default() }
}

async fn failed(pipeline: &VideoPipeline, viewer: &mut Viewer) {
    while !pipeline.source_words().contains("no signal") {
        viewer.picture().await;
    }
    assert!(pipeline.source_words().contains("is unplugged"), "{}", pipeline.source_words());
}

async fn works(pipeline: &VideoPipeline, viewer: &mut Viewer) {
    while pipeline.source_words().contains("no signal") {
        viewer.picture().await;
    }
    let since = Instant::now();
    let picture = loop {
        let picture = viewer.picture().await;
        if picture.captured > since {
            break picture;
        }
    };
    assert_plausible(&picture, "after it came back");
}

#[test]
fn a_camera_that_is_pulled_out_is_replaced_by_words_and_comes_back_by_its_event() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    for planarity in [Planarity::Single, Planarity::Multi] {
        let path = camera("vivid", planarity);
        let driver = Driver::of(&path).unwrap();
        runtime().block_on(async {
            let metrics = Metrics::new();
            let pipeline = VideoPipeline::start(&config(&path), &board(), &metrics).unwrap();
            let mut viewer = Viewer::new(&pipeline);
            viewer.picture().await;
            driver.set("unbind");
            let begin = Instant::now();
            failed(&pipeline, &mut viewer).await;
            println!("{planarity:?}: {} after {:?}", pipeline.source_words(), begin.elapsed());
            let still = viewer.still(begin).await;
            assert_eq!((still.width, still.height), (640, 480));
            while begin.elapsed() < AWAY {
                viewer.picture().await;
            }
            driver.set("bind");
            let begin = Instant::now();
            works(&pipeline, &mut viewer).await;
            println!("{planarity:?}: back after {:?}", begin.elapsed());
            assert!(begin.elapsed() < BACK_WITHIN, "{:?}", begin.elapsed());
            let text = metrics.encode();
            assert!(text.lines().any(|line| line == "p2pcam_video_source_restarts_total 1"), "{text}");
            drop((viewer, pipeline));
            until("the capture thread ends", || threads("video-capture") == 0).await;
        });
    }
}

#[test]
fn a_camera_that_dies_without_an_event_is_looked_for_by_itself() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    for planarity in [Planarity::Single, Planarity::Multi] {
        let path = camera("vivid", planarity);
        runtime().block_on(async {
            let pipeline = VideoPipeline::start(&config(&path), &board(), &Metrics::new()).unwrap();
            let mut viewer = Viewer::new(&pipeline);
            viewer.picture().await;
            disconnect(&path);
            let begin = Instant::now();
            failed(&pipeline, &mut viewer).await;
            works(&pipeline, &mut viewer).await;
            println!("{planarity:?}: back after {:?}", begin.elapsed());
            drop((viewer, pipeline));
            until("the capture thread ends", || threads("video-capture") == 0).await;
        });
    }
}

#[test]
fn a_picture_that_is_held_when_the_camera_is_pulled_out_stays_readable() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    let path = camera("vivid", Planarity::Multi);
    let driver = Driver::of(&path).unwrap();
    let mut camera = Camera::open(&path, &config(&path)).unwrap();
    let held = take(&mut camera);
    let before = held.buffer.bytes(0).to_vec();
    driver.set("unbind");
    let words =
        (0..8).find_map(|_| camera.next().err()).expect("pictures of a camera that is gone").to_string();
    assert!(words.ends_with("is unplugged"), "{words}");
    drop(camera);
    assert_eq!(held.buffer.bytes(0), before);
    assert_plausible(&held.i420().unwrap(), "held");
    drop(held);
    driver.set("bind");
    let mut camera = crate::support::eventually("the camera is back", BACK_WITHIN, || {
        Camera::open(&path, &config(&path)).ok()
    });
    take(&mut camera);
}
