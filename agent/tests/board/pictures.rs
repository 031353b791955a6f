//! What board tests do with pictures: take them from a camera or a pipeline, and judge them.
#![allow(dead_code)]

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use p2pcam_agent::{
    config::VideoConfig,
    media::video::{
        AccessUnit, DeviceFrame, RawFrame, SourceFrame, VideoCodec, VideoFrame, VideoPipeline, VideoSource,
        VideoSubscription, decoder::H264Decoder, source::v4l2::Camera,
    },
};

use crate::support::PATIENCE;

/// The cameras, for one test at a time.
pub fn cameras() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 640x480 in 15 pictures a second: an emulated processor keeps up. As bright as when the driver was loaded, whatever an
/// earlier test has set.
pub fn config(path: &Path) -> VideoConfig {
    let source = format!("v4l2:{}", path.display());
    let controls = [("brightness".to_owned(), 128)].into();
    VideoConfig { source, width: 640, height: 480, fps: 15, controls, ..VideoConfig::default() }
}

/// The next raw picture, in the camera's own buffer.
pub fn take(camera: &mut Camera) -> Arc<DeviceFrame> {
    match camera.next().unwrap() {
        SourceFrame::Raw(VideoFrame::Device(frame)) => frame,
        other => panic!("no picture in a buffer of the camera, but {other:?}"),
    }
}

/// The picture after some that may still be dark.
pub fn settled(camera: &mut Camera) -> Arc<RawFrame> {
    (0..10).for_each(|_| drop(take(camera)));
    take(camera).i420().unwrap()
}

/// Mean and standard deviation of a plane.
pub fn spread(plane: &[u8]) -> (f64, f64) {
    let count = plane.len() as f64;
    let mean = plane.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = plane.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Mean difference of two planes, sample by sample.
pub fn difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

/// Not dark, not flat, and not in the upper left corner alone.
pub fn assert_plausible(frame: &RawFrame, what: &str) {
    assert!(frame.is_whole(), "{what}: the planes do not fit the size");
    let (mean, deviation) = spread(&frame.planes[0]);
    assert!((20.0..230.0).contains(&mean) && deviation > 8.0, "{what}: luma {mean:.0} +- {deviation:.1}");
    let (width, rows) = (frame.width as usize, frame.height as usize);
    let corner: Vec<u8> =
        frame.planes[0].chunks(width).skip(rows * 3 / 4).flat_map(|row| &row[width / 2..]).copied().collect();
    assert!(spread(&corner).1 > 4.0, "{what}: nothing in the lower right corner");
}

/// A subscription with a decoder.
pub struct Viewer(VideoSubscription, H264Decoder);

impl Viewer {
    /// Begins to watch in H.264.
    pub fn new(pipeline: &VideoPipeline) -> Self {
        Self(pipeline.subscribe(VideoCodec::H264), H264Decoder::new().unwrap())
    }

    /// The next unit.
    pub async fn unit(&mut self) -> Arc<AccessUnit> {
        let unit = tokio::time::timeout(PATIENCE, self.0.next()).await;
        unit.expect("no picture in time").expect("the pipeline is over")
    }

    /// The next picture; each unit must decode.
    pub async fn picture(&mut self) -> RawFrame {
        loop {
            let unit = self.unit().await;
            if let Some(frame) = self.1.decode(&unit).unwrap() {
                return frame;
            }
        }
    }

    /// A picture that was made later than `since` and is grey but for words.
    pub async fn still(&mut self, since: Instant) -> RawFrame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = self.picture().await;
            let grey = spread(&frame.planes[1]).1 < 2.0 && spread(&frame.planes[2]).1 < 2.0;
            let words = frame.planes[0].iter().any(|luma| *luma > 200);
            if frame.captured > since && grey && words {
                return frame;
            }
            assert!(Instant::now() < deadline, "no still came");
        }
    }
}

/// How many threads of this process have a name.
pub fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
        .count()
}

/// Waits for a condition while tasks go on.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
