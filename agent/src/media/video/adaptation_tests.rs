//! Viewers whose paths differ, with the test pattern and software encoders.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::*;
use crate::{
    config::SubStream,
    media::video::{
        decoder::H264Decoder,
        metrics::{RenditionLabel, SeatLabel},
        rate::{Rendition, Share},
        testing::{clip, mp4},
    },
};

/// Nothing takes so long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(30);
const H264: VideoCodec = VideoCodec::H264;

fn pipeline(sub_stream: SubStream) -> VideoPipeline {
    let config = VideoConfig {
        source: "pattern".into(),
        encoder: "openh264".into(),
        width: 640,
        height: 360,
        fps: 30,
        bitrate_kbps: 1500,
        sub_stream,
        ..VideoConfig::default()
    };
    VideoPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap()
}

/// A file of two seconds with one key frame, passed through.
fn file(dir: &std::path::Path) -> VideoPipeline {
    let path = dir.join("clip.mp4");
    std::fs::write(&path, mp4(&clip(50, 50, 25), 40, false)).unwrap();
    let config = VideoConfig { source: format!("file:{}", path.display()), ..VideoConfig::default() };
    VideoPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap()
}

/// Viewers with estimates, each read by a task that decodes all it gets: nothing may be missing.
struct Audience {
    pipeline: VideoPipeline,
    viewers: Vec<ViewerId>,
    /// Width of the newest picture, and how many there were.
    seen: Vec<tokio::sync::watch::Receiver<(u32, u32)>>,
}

impl Audience {
    fn new(sub_stream: SubStream, estimates: &[u32]) -> Self {
        Self::of(pipeline(sub_stream), estimates)
    }

    fn of(pipeline: VideoPipeline, estimates: &[u32]) -> Self {
        let mut audience = Self { pipeline, viewers: vec![], seen: vec![] };
        estimates.iter().for_each(|kbps| audience.join(*kbps));
        audience
    }

    fn join(&mut self, kbps: u32) {
        let mut reader = self.pipeline.subscribe(H264);
        self.viewers.push(reader.id);
        self.estimate(self.viewers.len() - 1, kbps);
        let (told, seen) = tokio::sync::watch::channel((0, 0));
        tokio::spawn(async move {
            let mut decoder = H264Decoder::new().unwrap();
            let (mut last, mut seen) = (None, 0);
            while let Some(unit) = reader.next().await {
                assert!(Some(unit.captured) > last, "RTP time never goes back");
                last = Some(unit.captured);
                let frame = decoder.decode(&unit).unwrap().expect("a picture of each unit");
                seen += 1;
                told.send_replace((frame.width, seen));
            }
        });
        self.seen.push(seen);
    }

    /// As its subscription does.
    fn estimate(&self, viewer: usize, kbps: u32) {
        self.pipeline.0.0.estimate(H264, self.viewers[viewer], Bitrate(kbps * 1000));
    }

    fn metrics(&self) -> &crate::media::video::metrics::RateMetrics {
        &self.pipeline.0.0.metrics.rate
    }

    fn bitrate(&self, rendition: Rendition) -> i64 {
        self.metrics().bitrate.get_or_create(&RenditionLabel::new(H264, rendition)).get()
    }

    fn seated(&self, rendition: Rendition, share: Share) -> i64 {
        self.metrics().seats.get_or_create(&SeatLabel::new(H264, rendition, share)).get()
    }

    fn encoders(&self) -> i64 {
        let label = crate::media::video::metrics::EncoderLabel::new(H264, "openh264");
        self.pipeline.0.0.metrics.encoders.get_or_create(&label).get()
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(DEADLINE, wait).await.is_ok(), "in vain: {what}");
    }
}

#[tokio::test]
async fn one_slow_viewer_of_four_gets_a_sub_rendition_of_its_own_and_comes_back_when_it_recovers() {
    let audience = Audience::new(SubStream::Auto, &[2000, 2000, 2000, 150]);
    let slow = audience.seen[3].clone();
    audience.until("the slow viewer sees the smaller picture", |_| slow.borrow().0 == 320).await;
    let seats = |audience: &Audience| {
        [Rendition::Main, Rendition::Sub].map(|rendition| audience.seated(rendition, Share::Whole))
    };
    audience.until("it is counted there", |audience| seats(audience) == [3, 1]).await;
    assert_eq!(audience.bitrate(Rendition::Main), 1_500_000, "the others lose nothing");
    assert_eq!(audience.bitrate(Rendition::Sub), 142_500);
    assert!(audience.seen[..3].iter().all(|seen| seen.borrow().0 == 640));
    assert_eq!(audience.encoders(), 2);

    let start = Instant::now();
    audience.estimate(3, 2000);
    audience.until("it is back on the large picture", |_| slow.borrow().0 == 640).await;
    assert!(start.elapsed() > Duration::from_secs(3), "what has not lasted does not count");
    audience.until("nobody is left there", |audience| audience.bitrate(Rendition::Sub) == 0).await;
    assert_eq!(audience.encoders(), 2, "it may be needed again soon");
    audience.until("the sub rendition's encoder is closed", |audience| audience.encoders() == 1).await;
}

#[tokio::test]
async fn the_only_viewer_gets_a_smaller_picture_of_the_same_rendition() {
    let audience = Audience::new(SubStream::Auto, &[2000]);
    let seen = audience.seen[0].clone();
    audience.until("it sees the picture", |_| seen.borrow().0 == 640).await;
    audience.estimate(0, 110);
    audience.until("the picture is smaller", |_| seen.borrow().0 == 480).await;
    assert_eq!(audience.seated(Rendition::Main, Share::Whole), 1);
    assert_eq!(audience.bitrate(Rendition::Sub), 0);
    assert_eq!(audience.encoders(), 1);
}

#[tokio::test]
async fn without_a_sub_rendition_the_slow_viewer_gets_every_second_picture_and_can_decode_them_all() {
    let audience = Audience::new(SubStream::Off, &[2000, 700]);
    let (fast, slow) = (audience.seen[0].clone(), audience.seen[1].clone());
    audience.until("both see pictures", |_| fast.borrow().0 == 640 && slow.borrow().0 == 640).await;
    let thinned = audience.metrics().thinned.get_or_create(&H264.into()).clone();
    audience.until("pictures are left out", |_| thinned.get() >= 10).await;
    let at = slow.borrow().1;
    audience.until("it goes on", |_| slow.borrow().1 > at + 10).await;
    assert_eq!(audience.encoders(), 1);
}

#[tokio::test]
async fn who_cannot_have_a_stream_that_is_passed_through_gets_it_encoded_anew_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let audience = Audience::of(file(dir.path()), &[2000, 60]);
    let (fast, slow) = (audience.seen[0].clone(), audience.seen[1].clone());
    audience
        .until("both see the file's pictures", |_| fast.borrow().0 == 320 && slow.borrow().0 == 320)
        .await;
    assert_eq!(audience.encoders(), 0);
    audience.until("the slow one sees smaller ones", |_| slow.borrow().0 == 160).await;
    assert_eq!((fast.borrow().0, audience.encoders()), (320, 1));
    audience.estimate(1, 2000);
    audience.until("it is back", |_| slow.borrow().0 == 320).await;
}
