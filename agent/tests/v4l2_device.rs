//! A camera of the kernel, the one that the environment variable `CAMERA` names ("/dev/video0"): without it, nothing runs.
//!
//! Made for the kernel's virtual camera (`modprobe vivid n_devs=1 node_types=0x1`), for any other too. The tests that
//! pull the camera out unbind its driver, and need root for that. Run with `--nocapture` to see the figures.
#![allow(clippy::unwrap_used)]

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use p2pcam_agent::{
    board::Board,
    config::VideoConfig,
    media::video::{
        AccessUnit, PixelFormat, RawFrame, SourceFrame, VideoCodec, VideoPipeline, VideoSource,
        VideoSubscription, decoder::H264Decoder, list_cameras, source::v4l2::Camera,
    },
    telemetry::metrics::Metrics,
};

/// No wait in these tests may last longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// The camera, for one test at a time; `None` if there is none to test.
fn camera() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let Some(path) = std::env::var_os("CAMERA") else {
        println!("not run: CAMERA names no device");
        return None;
    };
    Some((path.into(), ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// 640x480 in 15 pictures a second: next to every camera has it, and an emulated processor keeps up.
fn config(path: &Path) -> VideoConfig {
    let source = format!("v4l2:{}", path.display());
    VideoConfig { source, width: 640, height: 480, fps: 15, ..VideoConfig::default() }
}

/// A picture of the camera, decoded if need be.
fn take(camera: &mut Camera, decoder: &mut Option<H264Decoder>) -> Arc<RawFrame> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match camera.next().unwrap() {
            SourceFrame::Raw(frame) => return frame.i420().expect("a whole picture"),
            SourceFrame::Encoded(unit) => {
                let decoder = decoder.get_or_insert_with(|| H264Decoder::new().unwrap());
                if let Ok(Some(frame)) = decoder.decode(&unit) {
                    return frame.into();
                }
            }
        }
        assert!(Instant::now() < deadline, "no picture can be decoded");
    }
}

/// Mean and standard deviation of a plane.
fn spread(plane: &[u8]) -> (f64, f64) {
    let count = plane.len() as f64;
    let mean = plane.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = plane.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Mean difference of two planes, sample by sample.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

/// Not dark, not flat, and not in the upper left corner alone.
fn assert_plausible(frame: &RawFrame, what: &str) {
    assert!(frame.is_whole(), "{what}: the planes do not fit the size");
    let (mean, deviation) = spread(&frame.planes[0]);
    assert!((20.0..230.0).contains(&mean) && deviation > 8.0, "{what}: luma {mean:.0} +- {deviation:.1}");
    let (width, rows) = (frame.width as usize, frame.height as usize);
    let corner: Vec<u8> =
        frame.planes[0].chunks(width).skip(rows * 3 / 4).flat_map(|row| &row[width / 2..]).copied().collect();
    assert!(spread(&corner).1 > 4.0, "{what}: nothing in the lower right corner");
}

#[test]
fn pictures_come_at_the_wanted_rate_and_size_with_the_drivers_times() {
    let Some((path, _guard)) = camera() else { return };
    let config = config(&path);
    let mut camera = Camera::open(&path, &config).unwrap();
    let info = camera.info().clone();
    println!("{info:?}");
    assert_eq!((info.width, info.height), (config.width, config.height));
    let mut decoder = None;
    let (mut times, mut ages) = (Vec::new(), Vec::new());
    for index in 0..50 {
        let frame = take(&mut camera, &mut decoder);
        assert_eq!((frame.width, frame.height), (info.width, info.height));
        let age = Instant::now().checked_duration_since(frame.captured).expect("captured in the future");
        if index >= 5 {
            times.push(frame.captured);
            ages.push(age);
        }
    }
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "capture times do not grow");
    let took = times[times.len() - 1] - times[0];
    let rate = (times.len() - 1) as f64 / took.as_secs_f64();
    ages.sort();
    println!("{rate:.2} fps, age when handed over: median {:?}, worst {:?}", ages[22], ages[44]);
    assert!((rate / f64::from(info.fps) - 1.0).abs() < 0.15, "{rate} instead of {} fps", info.fps);
    assert!(ages[22] < Duration::from_millis(500), "{ages:?}");

    // Whoever comes late gets pictures that have waited, and their times say so.
    std::thread::sleep(Duration::from_millis(600));
    let waited = take(&mut camera, &mut decoder);
    let age = waited.captured.elapsed();
    println!("age after 600 ms of waiting: {age:?}");
    assert!(age > Duration::from_millis(200), "{age:?}: that is not the driver's time");
}

#[test]
fn each_pixel_format_gives_the_same_picture() {
    let Some((path, _guard)) = camera() else { return };
    let listed = list_cameras().into_iter().find(|camera| camera.path == path).unwrap();
    // The first format's, of each size.
    let mut first: Vec<(PixelFormat, Arc<RawFrame>)> = Vec::new();
    for format in PixelFormat::ALL {
        if !listed.modes.iter().any(|mode| mode.format == format) {
            println!("{format}: not offered");
            continue;
        }
        for (width, height) in [(640, 480), (1280, 720)] {
            let config = VideoConfig { width, height, ..config(&path) };
            let mut camera = match Camera::open_format(&path, &config, format) {
                Ok(camera) => camera,
                // H.264 is taken at exactly the wanted size and rate only.
                Err(error) if format == PixelFormat::H264 => {
                    println!("{format} {width}x{height}: {error:#}");
                    continue;
                }
                Err(error) => panic!("{error:#}"),
            };
            let what = format!("{format} {width}x{height}");
            assert!(camera.info().name.contains(&format.to_string()), "{what}: {:?}", camera.info());
            let mut decoder = None;
            // The first pictures may still be dark.
            let frames: Vec<_> = (0..15).map(|_| take(&mut camera, &mut decoder)).collect();
            let frame = &frames[14];
            assert_plausible(frame, &what);
            let spreads = frame.planes.each_ref().map(|plane| spread(plane));
            let took = frame.captured - frames[4].captured;
            println!(
                "{what}: {:.1} fps of {}, planes {spreads:.0?}",
                10.0 / took.as_secs_f64(),
                camera.info().fps
            );
            let same_size = |other: &RawFrame| (other.width, other.height) == (frame.width, frame.height);
            match first.iter().find(|(_, other)| same_size(other)) {
                None => first.push((format, frame.clone())),
                Some((other, expected)) => {
                    let planes = frame.planes.iter().zip(&expected.planes);
                    let off: Vec<f64> = planes.map(|(got, expected)| difference(got, expected)).collect();
                    println!("{what}: off from {other} by {off:.1?}");
                    // U and V mixed up, or rows of a wrong length, would be far off; a still scene changes little.
                    assert!(off.iter().all(|off| *off < 12.0), "{what} differs from {other}: {off:?}");
                }
            }
        }
    }
    assert!(!first.is_empty(), "the camera offers nothing that the agent takes");
}

#[test]
fn a_slow_rate_is_not_taken_for_a_stall() {
    let Some((path, _guard)) = camera() else { return };
    let mut camera = Camera::open(&path, &VideoConfig { fps: 1, ..config(&path) }).unwrap();
    println!("{:?}", camera.info());
    let (first, second, third) = (camera.next(), camera.next(), camera.next());
    assert!(
        first.is_ok() && second.is_ok() && third.is_ok(),
        "{:?}",
        [first.err(), second.err(), third.err()]
    );
}

#[test]
fn viewers_come_and_go_and_each_time_the_camera_starts_and_stops() {
    let Some((path, _guard)) = camera() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = config(&path);
    runtime.block_on(async {
        let pipeline = VideoPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap();
        for round in 0..5 {
            let mut viewer = Viewer::new(&pipeline);
            let first = viewer.picture().await;
            assert_plausible(&first, "decoded");
            assert_eq!((first.width, first.height), (config.width, config.height));
            let mut last = first.captured;
            for _ in 0..15 {
                let frame = viewer.picture().await;
                assert!(frame.captured > last && frame.captured <= Instant::now());
                last = frame.captured;
            }
            // By capture time: an encoder that is too slow leaves pictures out.
            let rate = 15.0 / (last - first.captured).as_secs_f64();
            let fps = f64::from(pipeline.info().fps);
            println!("round {round}: {rate:.1} of {fps} fps encoded and decoded");
            assert!(rate > f64::from(config.fps) / 3.0 && rate < fps * 1.15, "{rate} instead of {fps} fps");
            let busy = Camera::open(&path, &config).err().expect("two may not have the camera").to_string();
            assert!(busy.contains("another program uses the camera"), "{busy}");
            drop(viewer);
            until("the encoder thread ends", || threads("video-h264") == 0).await;
            until("the camera is free", || {
                Camera::open(&path, &config).and_then(|mut camera| camera.next()).is_ok()
            })
            .await;
        }
        assert_eq!(threads("video-capture"), 1);
        drop(pipeline);
        until("the capture thread ends", || threads("video-capture") == 0).await;
    });
}

#[test]
fn a_camera_that_is_pulled_out_is_replaced_by_words_and_comes_back() {
    let Some((path, _guard)) = camera() else { return };
    let driver = match Driver::of(&path) {
        Ok(driver) => driver,
        Err(error) => return println!("not run: the driver cannot be unbound: {error}"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let metrics = Metrics::new();
        let pipeline = VideoPipeline::start(&config(&path), &Board::default(), &metrics).unwrap();
        let mut viewer = Viewer::new(&pipeline);
        for round in 0..2 {
            viewer.picture().await;
            driver.set("unbind").unwrap();
            let begin = Instant::now();
            while !pipeline.source_words().contains("no signal") {
                viewer.picture().await;
            }
            println!("round {round}: {} after {:?}", pipeline.source_words(), begin.elapsed());
            assert!(pipeline.source_words().contains("is unplugged"), "{}", pipeline.source_words());
            let still = viewer.still(begin).await;
            assert_eq!((still.width, still.height), (640, 480));
            driver.set("bind").unwrap();
            let begin = Instant::now();
            while pipeline.source_words().contains("no signal") {
                viewer.picture().await;
            }
            println!("round {round}: back after {:?}", begin.elapsed());
            assert_plausible(&viewer.picture().await, "after it came back");
        }
        let text = metrics.encode();
        assert!(text.lines().any(|line| line == "p2pcam_video_source_restarts_total 2"), "{text}");
        drop((viewer, pipeline));
        until("the capture thread ends", || threads("video-capture") == 0).await;
    });
}

#[test]
fn a_camera_whose_calls_all_fail_is_closed_and_opened_again() {
    let Some((path, _guard)) = camera() else { return };
    let device = v4l::Device::with_path(&path).unwrap();
    let Some(button) = disconnect_button(&device) else {
        return println!("not run: the driver is not vivid, it has no button \"Disconnect\"");
    };
    let mut camera = Camera::open(&path, &config(&path)).unwrap();
    camera.next().unwrap();
    // From here on, every call on the device fails with ENODEV. It comes back with the last close.
    device.set_control(v4l::Control { id: button, value: v4l::control::Value::Integer(1) }).unwrap();
    let error = (0..8).find_map(|_| camera.next().err()).expect("pictures after the disconnect").to_string();
    println!("{error}");
    assert!(error.ends_with("is unplugged"), "{error}");
    drop(camera);
    drop(device);
    let mut camera = Camera::open(&path, &config(&path)).unwrap();
    assert_plausible(&take(&mut camera, &mut None), "after the reconnect");
}

/// vivid's control that plays an unplugged camera.
fn disconnect_button(device: &v4l::Device) -> Option<u32> {
    let controls = device.query_controls().ok()?;
    controls.into_iter().find(|control| control.name == "Disconnect").map(|control| control.id)
}

/// A subscription with a decoder.
struct Viewer(VideoSubscription, H264Decoder);

impl Viewer {
    fn new(pipeline: &VideoPipeline) -> Self {
        Self(pipeline.subscribe(VideoCodec::H264), H264Decoder::new().unwrap())
    }

    async fn unit(&mut self) -> Arc<AccessUnit> {
        let unit = tokio::time::timeout(DEADLINE, self.0.next()).await;
        unit.expect("no picture in time").expect("the pipeline is over")
    }

    /// The next picture; each unit must decode.
    async fn picture(&mut self) -> RawFrame {
        loop {
            let unit = self.unit().await;
            if let Some(frame) = self.1.decode(&unit).unwrap() {
                return frame;
            }
        }
    }

    /// A picture that was made later than `since` and is grey but for words.
    async fn still(&mut self, since: Instant) -> RawFrame {
        let deadline = Instant::now() + DEADLINE;
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
fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name))
        .count()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

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
        fs::OpenOptions::new().write(true).open(folder.join("unbind"))?;
        let device = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { folder, device })
    }

    fn set(&self, action: &str) -> io::Result<()> {
        fs::write(self.folder.join(action), &self.device)
    }
}
