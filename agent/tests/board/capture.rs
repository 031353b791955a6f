//! Cameras: vivid, single- and multi-planar, in every format that it offers and the agent takes.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use p2pcam_agent::{
    board::Board,
    config::VideoConfig,
    media::video::{
        DeviceFrame, PixelFormat, RawFrame, VideoPipeline, VideoSource, list_cameras, source::v4l2::Camera,
    },
    telemetry::metrics::Metrics,
};

use crate::{
    pictures::{
        Viewer, assert_plausible, cameras, config, difference, settled, spread, take, threads, until,
    },
    support::{Planarity, camera, node_info, on_board, program, run, video_nodes},
};

const BOTH: [Planarity; 2] = [Planarity::Single, Planarity::Multi];

fn vivid(planarity: Planarity) -> PathBuf {
    camera("vivid", planarity)
}

#[test]
fn each_format_of_both_cameras_gives_the_same_picture_uncopied_and_as_dmabufs() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    let mut first: Option<(String, Arc<RawFrame>)> = None;
    for planarity in BOTH {
        let path = vivid(planarity);
        let listed = list_cameras().into_iter().find(|camera| camera.path == path).unwrap();
        let offered = |format: &PixelFormat| listed.modes.iter().any(|mode| mode.format == *format);
        let formats: Vec<PixelFormat> = PixelFormat::ALL.into_iter().filter(offered).collect();
        let needed = match planarity {
            Planarity::Single => ["NV12", "YU12", "YUYV", "NV21", "UYVY"],
            Planarity::Multi => ["NV12", "YU12", "YUYV", "NM12", "YM12"],
        };
        for format in needed {
            assert!(formats.iter().any(|offered| offered.to_string() == format), "{formats:?}");
        }
        for format in formats {
            let mut camera = Camera::open_format(&path, &config(&path), format).unwrap();
            let what = format!("{format} of {}", camera.info().name);
            let frame = take(&mut camera);
            assert_eq!(
                (frame.format, frame.buffer.planes().len()),
                (format, format.memory_planes()),
                "{what}"
            );
            for plane in 0..format.memory_planes() {
                assert!(frame.buffer.dmabuf(plane).is_some(), "{what}: plane {plane} is not exported");
            }
            drop(frame);
            let picture = settled(&mut camera);
            assert_plausible(&picture, &what);
            let spreads = picture.planes.each_ref().map(|plane| spread(plane));
            println!("{what}: planes {spreads:.1?}");
            let Some((other, expected)) = &first else {
                first = Some((what, picture));
                continue;
            };
            let planes = picture.planes.iter().zip(&expected.planes);
            let off: Vec<f64> = planes.map(|(got, expected)| difference(got, expected)).collect();
            // U and V mixed up, or rows of a wrong length, would be far off; the burnt-in clock changes little.
            assert!(off.iter().all(|off| *off < 6.0), "{what} differs from {other}: {off:?}");
        }
    }
}

#[test]
fn pictures_come_at_the_wanted_rate_and_size_with_the_drivers_times() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    for planarity in BOTH {
        let path = vivid(planarity);
        let mut camera = Camera::open(&path, &config(&path)).unwrap();
        let info = camera.info().clone();
        assert_eq!((info.width, info.height), (640, 480));
        // The cheapest for hardware encoders of what it has.
        assert!(info.name.contains("NV12"), "{info:?}");
        let (mut times, mut ages) = (Vec::new(), Vec::new());
        for index in 0..50 {
            let frame = take(&mut camera);
            let age = frame.dequeued.checked_duration_since(frame.captured).expect("captured in the future");
            if index >= 5 {
                times.push(frame.captured);
                ages.push(age);
            }
        }
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "capture times do not grow");
        let rate = (times.len() - 1) as f64 / (times[times.len() - 1] - times[0]).as_secs_f64();
        ages.sort();
        println!("{info:?}: {rate:.2} fps, age when taken: median {:?}, worst {:?}", ages[22], ages[44]);
        assert!((rate / f64::from(info.fps) - 1.0).abs() < 0.15, "{rate} instead of {} fps", info.fps);

        // Whoever comes late gets pictures that have waited, and their times say so.
        std::thread::sleep(Duration::from_millis(600));
        let age = take(&mut camera).captured.elapsed();
        assert!(age > Duration::from_millis(200), "{age:?}: that is not the driver's time");
    }
}

#[test]
fn over_thousands_of_pictures_each_buffer_comes_back_exactly_once_however_long_it_is_held() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    for planarity in BOTH {
        let path = vivid(planarity);
        let small = VideoConfig { width: 320, height: 180, fps: 60, ..config(&path) };
        let mut camera = Camera::open(&path, &small).unwrap();
        let mut held: VecDeque<Arc<DeviceFrame>> = VecDeque::new();
        let mut seen = BTreeSet::new();
        let begin = Instant::now();
        for number in 0..2_000 {
            let frame = take(&mut camera);
            let key = frame.buffer.key();
            assert!(held.iter().all(|other| other.buffer.key() != key), "{key:?} is in two hands");
            seen.insert((key.stream, key.index));
            held.push_back(frame);
            // From one up to four at once, let go in any order.
            while held.len() > 1 + number / 7 % 4 {
                held.swap_remove_back(number % held.len());
            }
        }
        println!("{planarity:?}: 2000 pictures in {:?}, buffers {seen:?}", begin.elapsed());
        assert!(
            seen.len() >= 4 && seen.iter().all(|(stream, _)| Some(stream) == seen.first().map(|(s, _)| s))
        );

        // All held: said in words, and nothing is lost by it.
        while let Ok(p2pcam_agent::media::video::SourceFrame::Raw(
            p2pcam_agent::media::video::VideoFrame::Device(frame),
        )) = camera.next()
        {
            held.push_back(frame);
            assert!(held.len() <= seen.len(), "more pictures than buffers");
        }
        let words = camera.next().expect_err("no buffer is left").to_string();
        assert!(words.contains("encoders have held all"), "{words}");
        held.clear();
        take(&mut camera);

        // Held beyond the stream's end: still readable, and the camera can be opened again meanwhile.
        let kept = take(&mut camera);
        let before = kept.buffer.bytes(0).to_vec();
        drop(camera);
        let mut camera = Camera::open(&path, &small).unwrap();
        let again = take(&mut camera);
        assert_ne!(again.buffer.key().stream, kept.buffer.key().stream);
        assert_eq!(kept.buffer.bytes(0), before);
        drop(kept);
        (0..20).for_each(|_| drop(take(&mut camera)));
    }
}

#[test]
fn controls_of_the_configuration_are_set_at_each_opening_and_wrong_ones_are_told() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    let path = vivid(Planarity::Single);
    let with = |controls: &[(&str, i64)]| {
        let controls = controls.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Camera::open(&path, &VideoConfig { controls, ..config(&path) }).unwrap()
    };
    let luma = |camera: &mut Camera| spread(&settled(camera).planes[0]).0;
    let dark = luma(&mut with(&[("brightness", 60)]));
    let bright = luma(&mut with(&[("brightness", 200)]));
    println!("brightness 60: luma {dark:.0}, 200: {bright:.0}");
    assert!(bright > dark + 40.0, "{dark} and {bright}");

    let mut camera =
        with(&[("brightness", 1000), ("brightnes", 1), ("test_pattern", 999), ("disconnect", 1)]);
    let remarks = camera.remarks().join("\n");
    println!("{remarks}");
    for words in [
        "video.controls.brightness is 1000: allowed is 0 to 255",
        "video.controls.brightnes: the camera has no such control, but ",
        "video.controls.test_pattern is 999: allowed is 0 to ",
        "video.controls.disconnect is 1: the camera's control of this name takes no number",
    ] {
        assert!(remarks.contains(words), "{words} in\n{remarks}");
    }
    assert!((luma(&mut camera) - bright).abs() < 5.0, "a wrong value has changed something");
    drop(camera);
    assert_eq!(with(&[("brightness", 128)]).remarks(), [] as [String; 0]);
}

#[test]
fn viewers_come_and_go_and_each_time_the_camera_starts_and_stops() {
    if !on_board() {
        return;
    }
    let _guard = cameras();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for planarity in BOTH {
        let path = vivid(planarity);
        let config = config(&path);
        runtime.block_on(async {
            let pipeline = VideoPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap();
            for _ in 0..3 {
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
                let busy =
                    Camera::open(&path, &config).err().expect("two may not have the camera").to_string();
                assert!(busy.contains("another program uses the camera"), "{busy}");
                drop(viewer);
                until("the encoder thread ends", || threads("video-h264") == 0).await;
                until("the camera is free", || {
                    Camera::open(&path, &config).and_then(|mut camera| camera.next()).is_ok()
                })
                .await;
            }
            drop(pipeline);
            until("the capture thread ends", || threads("video-capture") == 0).await;
        });
    }
}

#[test]
fn cameras_of_both_kinds_are_listed_and_codecs_are_not() {
    if !on_board() {
        return;
    }
    let listed: serde_json::Value =
        serde_json::from_str(&run(program().to_str().unwrap(), &["devices", "--json"])).unwrap();
    let text = listed["cameras"].to_string();
    for planarity in BOTH {
        let path = vivid(planarity);
        let camera =
            listed["cameras"].as_array().unwrap().iter().find(|row| row["device"] == path.to_str().unwrap());
        let camera = camera.unwrap_or_else(|| panic!("{} is not in {text}", path.display()));
        assert!(camera["formats"].to_string().contains("640x480"), "{camera}");
        assert!(camera["controls"].to_string().contains("brightness: 0 to 255, default 128"), "{camera}");
    }
    for node in video_nodes() {
        let (driver, _) = node_info(&node).unwrap();
        let shown =
            listed["cameras"].as_array().unwrap().iter().any(|row| row["device"] == node.to_str().unwrap());
        assert_eq!(shown, driver == "vivid", "{} of {driver}", node.display());
    }
}
