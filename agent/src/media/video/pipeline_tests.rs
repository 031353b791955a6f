//! What the sessions can rely on. The source is scripted only where it must fail or tell what is done with it.
#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::anyhow;
use tokio::time::timeout;

use super::*;
use crate::media::video::{
    RawFrame, SourceFrame, VideoSource,
    capture::Opened,
    decoder::H264Decoder,
    encoder::VpxDecoder,
    pattern::PatternSource,
    testing::{clip, mp4, number},
};

/// Nothing takes so long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(fps: u32) -> VideoConfig {
    let (width, height) = (320, 180);
    VideoConfig {
        source: "pattern".into(),
        encoder: "openh264".into(),
        width,
        height,
        fps,
        bitrate_kbps: 400,
        ..VideoConfig::default()
    }
}

fn pattern(fps: u32) -> VideoPipeline {
    VideoPipeline::start(&config(fps), &Board::default(), &Metrics::new()).unwrap()
}

async fn next(viewer: &mut VideoSubscription) -> Arc<AccessUnit> {
    timeout(DEADLINE, viewer.next()).await.expect("a unit in time").expect("the pipeline lives")
}

/// Waits until a condition holds, looking again and again.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn metrics(pipeline: &VideoPipeline) -> &VideoMetrics {
    &pipeline.0.0.metrics
}

fn encoders(pipeline: &VideoPipeline, codec: VideoCodec) -> i64 {
    let name = match codec {
        VideoCodec::H264 => "openh264",
        VideoCodec::Vp8 => "libvpx-vp8",
    };
    let label = crate::media::video::metrics::EncoderLabel::new(codec, name);
    metrics(pipeline).encoders.get_or_create(&label).get()
}

#[tokio::test]
async fn a_new_viewer_gets_an_idr_at_once_also_when_others_watch_already() {
    let pipeline = pattern(30);
    for codec in pipeline.codecs() {
        let mut first = pipeline.subscribe(codec);
        assert!(next(&mut first).await.keyframe);
        assert!(!next(&mut first).await.keyframe);
        let mut second = pipeline.subscribe(codec);
        let unit = next(&mut second).await;
        assert!(unit.keyframe && unit.codec == codec);
    }
}

#[tokio::test]
async fn the_first_viewer_does_not_wait_for_a_frame_interval() {
    let start = Instant::now();
    let pipeline = pattern(1);
    let unit = next(&mut pipeline.subscribe(VideoCodec::H264)).await;
    assert!(unit.keyframe);
    // The second picture is due a second after the start of the pipeline.
    assert!(unit.captured - start < Duration::from_secs(1), "{:?}", unit.captured - start);
}

#[tokio::test]
async fn what_viewers_see_is_the_pattern_and_capture_comes_before_encode() {
    let pipeline = pattern(30);
    assert_eq!(pipeline.source_words(), "test pattern");
    assert_eq!((pipeline.info().width, pipeline.info().fps), (320, 30));
    let mut h264 = pipeline.subscribe(VideoCodec::H264);
    let mut vp8 = pipeline.subscribe(VideoCodec::Vp8);
    let (mut h264_decoder, mut vp8_decoder) = (H264Decoder::new().unwrap(), VpxDecoder::new().unwrap());
    let (mut seen_h264, mut seen_vp8) = (vec![], vec![]);
    for _ in 0..10 {
        let unit = next(&mut h264).await;
        assert!(unit.captured < unit.encoded);
        seen_h264.push(number(&h264_decoder.decode(&unit).unwrap().unwrap()).unwrap());
        let unit = next(&mut vp8).await;
        seen_vp8.push(number(&vp8_decoder.decode(&unit.data).unwrap().unwrap()).unwrap());
    }
    for seen in [seen_h264, seen_vp8] {
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    }
}

#[tokio::test]
async fn many_viewers_share_one_encode() {
    let pipeline = pattern(60);
    let mut viewers: Vec<_> = (0..5).map(|_| pipeline.subscribe(VideoCodec::H264)).collect();
    let first = next(&mut viewers[0]).await;
    for viewer in &mut viewers[1..] {
        let mut unit = next(viewer).await;
        while unit.captured < first.captured {
            unit = next(viewer).await;
        }
        assert_eq!(unit.data.as_ptr(), first.data.as_ptr(), "the same bytes, not a copy");
    }
    assert_eq!(encoders(&pipeline, VideoCodec::H264), 1);
    assert_eq!(encoders(&pipeline, VideoCodec::Vp8), 0);
    let label = VideoCodec::H264.into();
    assert_eq!(metrics(&pipeline).viewers.get_or_create(&label).get(), 5);
    assert!(metrics(&pipeline).encoded.get_or_create(&label).get() <= metrics(&pipeline).captured.get());
}

#[tokio::test]
async fn an_encoder_stops_when_its_last_viewer_goes_and_the_other_goes_on() {
    let pipeline = pattern(60);
    let mut h264 = pipeline.subscribe(VideoCodec::H264);
    let mut vp8 = pipeline.subscribe(VideoCodec::Vp8);
    next(&mut h264).await;
    next(&mut vp8).await;
    drop(h264);
    until("the H.264 encoder is closed", || encoders(&pipeline, VideoCodec::H264) == 0).await;
    next(&mut vp8).await;
    assert_eq!(encoders(&pipeline, VideoCodec::Vp8), 1);
}

#[tokio::test]
async fn subscriptions_end_when_the_last_handle_goes() {
    let pipeline = pattern(30);
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    next(&mut viewer).await;
    let other = pipeline.clone();
    drop(pipeline);
    next(&mut viewer).await;
    drop(other);
    let end = async { while viewer.next().await.is_some() {} };
    timeout(DEADLINE, end).await.expect("it ends");
}

#[tokio::test]
async fn a_waiting_next_can_be_cancelled_without_loss() {
    // So slow that a queue of 30 units does not overflow, whatever else the machine does.
    let pipeline = pattern(10);
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    let mut last = next(&mut viewer).await.captured;
    let (mut units, mut cancelled) = (0, 0);
    while units < 5 || cancelled < 5 {
        let unit = tokio::select! {
            biased;
            unit = next(&mut viewer) => unit,
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                cancelled += 1;
                continue;
            }
        };
        assert!(!unit.keyframe && unit.captured > last, "no gap that would make a key frame necessary");
        (last, units) = (unit.captured, units + 1);
    }
}

#[tokio::test]
async fn a_storm_of_key_frame_requests_is_merged_and_spaced() {
    let pipeline = pattern(60);
    let mut viewers: Vec<_> = (0..3).map(|_| pipeline.subscribe(VideoCodec::H264)).collect();
    let mut times = vec![];
    while times.len() < 4 {
        let unit = next(&mut viewers[0]).await;
        viewers.iter().for_each(|viewer| (0..10).for_each(|_| viewer.request_keyframe()));
        for viewer in &mut viewers[1..] {
            next(viewer).await;
        }
        if unit.keyframe {
            times.push(unit.encoded);
        }
    }
    // The newcomers' one may follow the first earlier; forced ones after it keep their distance.
    let spacing: Vec<_> = times.windows(2).skip(1).map(|pair| pair[1] - pair[0]).collect();
    assert!(spacing.iter().all(|spacing| *spacing > Duration::from_millis(230)), "{spacing:?}");
}

#[tokio::test]
async fn a_viewer_that_does_not_read_holds_nobody_up_and_starts_again_with_a_key_frame() {
    let pipeline = pattern(120);
    let mut slow = pipeline.subscribe(VideoCodec::H264);
    let mut fast = pipeline.subscribe(VideoCodec::H264);
    next(&mut slow).await;
    let dropped = metrics(&pipeline).dropped_slow.get_or_create(&VideoCodec::H264.into());
    while dropped.get() == 0 {
        next(&mut fast).await;
    }
    assert!(next(&mut slow).await.keyframe);
    assert!(next(&mut fast).await.captured <= Instant::now());
}

#[tokio::test]
async fn a_lower_estimate_makes_smaller_pictures() {
    let pipeline = pattern(60);
    let mut viewer = pipeline.subscribe(VideoCodec::Vp8);
    let second = async |viewer: &mut VideoSubscription| {
        let mut bytes = 0;
        for _ in 0..60 {
            bytes += next(viewer).await.data.len();
        }
        bytes
    };
    second(&mut viewer).await;
    let before = second(&mut viewer).await;
    viewer.estimate(Bitrate(150_000));
    let end = Instant::now() + DEADLINE;
    while second(&mut viewer).await * 10 > before * 7 {
        assert!(Instant::now() < end, "still as many bytes as at 400 kbit/s: {before}");
    }
}

/// Gives raw pictures that no encoder can take, as long as it is told so.
struct Breakable {
    pattern: PatternSource,
    broken: Arc<AtomicBool>,
}

impl VideoSource for Breakable {
    fn info(&self) -> &SourceInfo {
        self.pattern.info()
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        match self.pattern.next()? {
            SourceFrame::Raw(frame) if self.broken.load(Ordering::SeqCst) => {
                let mut frame = RawFrame::clone(&*frame.i420()?);
                frame.planes[0].truncate(1);
                Ok(SourceFrame::Raw(frame.into()))
            }
            frame => Ok(frame),
        }
    }
}

#[tokio::test]
async fn an_encoder_that_fails_is_closed_and_opened_again_for_the_same_viewer() {
    let source = || PatternSource::new(320, 180, 60, Instant::now());
    let broken = Arc::new(AtomicBool::new(false));
    let (info, told) = (source().unwrap().info().clone(), broken.clone());
    let open = move || {
        let source = Breakable { pattern: source()?, broken: told.clone() };
        Ok(Opened { source: Box::new(source), words: "scripted".into() })
    };
    let pipeline = VideoPipeline::with_opener(
        Box::new(open),
        info,
        "scripted".into(),
        &config(60),
        &Board::default(),
        &Metrics::new(),
    )
    .unwrap();
    for codec in pipeline.codecs() {
        let mut viewer = pipeline.subscribe(codec);
        assert!(next(&mut viewer).await.keyframe);
        broken.store(true, Ordering::SeqCst);
        until("the encoder is closed", || encoders(&pipeline, codec) == 0).await;
        broken.store(false, Ordering::SeqCst);
        while !next(&mut viewer).await.keyframe {}
        assert_eq!(encoders(&pipeline, codec), 1);
        assert_eq!(pipeline.source_words(), "scripted", "the camera is not to blame");
    }
}

/// Plays a clip as an encoded stream at 50 pictures a second, and breaks after its last picture, if it shall.
struct Clip {
    info: SourceInfo,
    units: Arc<Vec<AccessUnit>>,
    played: usize,
    breaks: bool,
}

impl VideoSource for Clip {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        anyhow::ensure!(!self.breaks || self.played < self.units.len(), "camera unplugged");
        std::thread::sleep(Duration::from_millis(20));
        let unit =
            AccessUnit { captured: Instant::now(), ..self.units[self.played % self.units.len()].clone() };
        self.played += 1;
        Ok(SourceFrame::Encoded(unit.into()))
    }
}

#[tokio::test]
async fn a_stream_that_is_passed_through_and_fails_becomes_a_still_and_comes_back_for_the_same_viewers() {
    let units = Arc::new(clip(10, 10, 50));
    let info =
        SourceInfo { name: "clip".into(), width: 320, height: 180, fps: 50, encoded: Some(VideoCodec::H264) };
    let (source_info, mut opened) = (info.clone(), 0);
    let open = move || {
        opened += 1;
        let source = Clip { info: source_info.clone(), units: units.clone(), played: 0, breaks: opened == 1 };
        Ok(Opened { source: Box::new(source), words: "clip".into() })
    };
    let pipeline = VideoPipeline::with_opener(
        Box::new(open),
        info,
        "clip".into(),
        &config(50),
        &Board::default(),
        &Metrics::new(),
    )
    .unwrap();
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    let mut decoder = H264Decoder::new().unwrap();
    let mut last = None;
    // What is seen: the frame number, or none on the still. Each kind of picture begins with a key frame.
    let mut phases: Vec<bool> = vec![];
    while phases != [true, false, true] {
        let unit = next(&mut viewer).await;
        assert!(Some(unit.captured) > last, "RTP time never goes back");
        last = Some(unit.captured);
        let clip = number(&decoder.decode(&unit).unwrap().unwrap()).is_some();
        if phases.last() != Some(&clip) {
            assert!(unit.keyframe, "after {phases:?}");
            phases.push(clip);
        }
    }
    until("the still's encoder is closed", || encoders(&pipeline, VideoCodec::H264) == 0).await;
    assert_eq!(pipeline.source_words(), "clip");
    let mut late = pipeline.subscribe(VideoCodec::H264);
    let unit = next(&mut late).await;
    assert!(unit.keyframe && number(&H264Decoder::new().unwrap().decode(&unit).unwrap().unwrap()).is_some());
}

/// A source that plays a script of results, and tells when it is closed.
struct Scripted {
    info: SourceInfo,
    frames: VecDeque<anyhow::Result<SourceFrame>>,
    pattern: PatternSource,
    closed: mpsc::Sender<()>,
}

impl VideoSource for Scripted {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        self.frames.pop_front().unwrap_or_else(|| self.pattern.next())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let _ = self.closed.send(());
    }
}

/// A pipeline whose source is opened with these results in turn, then works; and where closings are told.
fn scripted(
    opens: Vec<anyhow::Result<Vec<anyhow::Result<SourceFrame>>>>,
) -> (VideoPipeline, mpsc::Receiver<()>) {
    let (closed, closings) = mpsc::channel();
    let opens = Mutex::new(VecDeque::from(opens));
    let pattern = || PatternSource::new(320, 180, 60, Instant::now());
    let info = pattern().unwrap().info().clone();
    let source_info = info.clone();
    let open = move || {
        let frames = opens.lock().unwrap().pop_front().unwrap_or(Ok(vec![]))?.into();
        let source =
            Scripted { info: source_info.clone(), frames, pattern: pattern()?, closed: closed.clone() };
        Ok(Opened { source: Box::new(source), words: "scripted camera".into() })
    };
    let words = "scripted camera".into();
    let pipeline = VideoPipeline::with_opener(
        Box::new(open),
        info,
        words,
        &config(60),
        &Board::default(),
        &Metrics::new(),
    );
    (pipeline.unwrap(), closings)
}

#[tokio::test]
async fn the_source_is_closed_while_nobody_watches_and_opened_again_for_the_next_viewer() {
    let (pipeline, closings) = scripted(vec![]);
    for _ in 0..3 {
        let mut viewer = pipeline.subscribe(VideoCodec::H264);
        assert!(next(&mut viewer).await.keyframe);
        assert!(closings.try_recv().is_err(), "open while somebody watches");
        drop(viewer);
        let closed = closings.recv_timeout(DEADLINE);
        assert!(closed.is_ok(), "closed when the last one goes");
        until("the encoder is closed too", || encoders(&pipeline, VideoCodec::H264) == 0).await;
    }
    drop(pipeline);
    let threads_ended = closings.recv_timeout(DEADLINE);
    assert_eq!(threads_ended, Err(mpsc::RecvTimeoutError::Disconnected), "the capture thread is gone");
}

#[tokio::test]
async fn a_source_that_fails_becomes_a_still_with_words_and_comes_back_by_itself() {
    let unplugged = || anyhow!("camera unplugged");
    let (pipeline, _closings) = scripted(vec![Ok(vec![Err(unplugged())]), Err(unplugged()), Ok(vec![])]);
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    let mut decoder = H264Decoder::new().unwrap();
    let still = decoder.decode(&*next(&mut viewer).await).unwrap().unwrap();
    assert_eq!(number(&still), None, "no pattern but a still");
    assert_eq!((still.width, still.height), (320, 180));
    assert!(still.planes[0].iter().any(|luma| *luma > 200), "there is bright text on it");
    assert_eq!(pipeline.source_words(), "scripted camera; no signal: camera unplugged");

    let mut late = pipeline.subscribe(VideoCodec::Vp8);
    assert!(next(&mut late).await.keyframe, "who comes now sees it too");

    let end = Instant::now() + DEADLINE;
    while decoder.decode(&*next(&mut viewer).await).unwrap().and_then(|frame| number(&frame)).is_none() {
        assert!(Instant::now() < end, "it does not come back");
    }
    assert_eq!(pipeline.source_words(), "scripted camera");
    assert_eq!(metrics(&pipeline).source_restarts.get(), 1);
}

#[tokio::test]
async fn a_camera_that_is_not_there_yet_is_no_reason_not_to_start_but_a_missing_file_is() {
    let start = |source: &str| {
        let config = VideoConfig { source: source.into(), ..config(30) };
        VideoPipeline::start(&config, &Board::default(), &Metrics::new())
    };
    let pipeline = start("v4l2:/dev/video-none").unwrap();
    let mut viewer = pipeline.subscribe(VideoCodec::H264);
    assert!(next(&mut viewer).await.keyframe);
    assert!(pipeline.source_words().ends_with("no signal: camera /dev/video-none is unplugged"));
    assert!(start("file:/none/clip.mp4").unwrap_err().to_string().contains("/none/clip.mp4"));
    assert!(start("webcam").unwrap_err().to_string().contains("is no video source"));
}

#[tokio::test]
async fn a_file_is_passed_through_to_late_viewers_too_and_transcoded_once_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    // One IDR only, four seconds long: who comes late must not wait for it.
    fs::write(&path, mp4(&clip(100, 100, 25), 40, false)).unwrap();
    let config = VideoConfig { source: format!("file:{}", path.display()), ..config(30) };
    let pipeline = VideoPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap();
    assert!(pipeline.source_words().ends_with("passed through"), "{}", pipeline.source_words());

    let mut first = pipeline.subscribe(VideoCodec::H264);
    for _ in 0..20 {
        next(&mut first).await;
    }
    let mut late = pipeline.subscribe(VideoCodec::H264);
    let mut decoder = H264Decoder::new().unwrap();
    let (mut numbers, mut times) = (vec![], vec![]);
    for _ in 0..20 {
        let unit = next(&mut late).await;
        numbers.push(number(&decoder.decode(&unit).unwrap().unwrap()).unwrap());
        times.push(unit.captured);
    }
    // What is replayed is a millisecond apart, what is waited for 40.
    assert!(times[19] - times[0] < Duration::from_millis(40), "at once: {:?}", times[19] - times[0]);
    assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "from the key frame on, without a gap");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));

    let mut other = pipeline.subscribe(VideoCodec::Vp8);
    let unit = next(&mut other).await;
    assert!(unit.keyframe);
    let seen = VpxDecoder::new().unwrap().decode(&unit.data).unwrap().unwrap();
    assert!(number(&seen).unwrap() >= 19, "the newest picture, not the group's first");
    assert_eq!((encoders(&pipeline, VideoCodec::H264), encoders(&pipeline, VideoCodec::Vp8)), (0, 1));
}
