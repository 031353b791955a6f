//! How a worker goes on when its encoder fails. The encoders are scripted: what devices really do is shown on the board.
#![allow(clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::anyhow;

use super::*;
use crate::{
    media::video::{
        PixelFormat, RawFrame, SourceInfo,
        channel::ViewerId,
        encoder::{Backend, Software},
        rate::Bounds,
    },
    telemetry::{health::Health, metrics::Metrics},
};

/// Nothing takes so long; what does is broken.
const DEADLINE: Duration = Duration::from_secs(20);

/// What an encoder does with a picture.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Encodes it: the first, and where asked for a key frame, as one.
    Work,
    /// The same, but ignores that it is asked for a key frame.
    Ignore,
    Hang,
    Refuse,
    Break,
}

/// What each opening gives: a script for the pictures, which then all work; or an error.
#[derive(Debug)]
struct Script(Mutex<VecDeque<Option<Vec<Act>>>>);

impl Script {
    fn new(openings: &[Option<&[Act]>]) -> Arc<Self> {
        let openings = openings.iter().map(|acts| acts.map(<[Act]>::to_vec)).collect();
        Arc::new(Self(Mutex::new(openings)))
    }
}

impl Backend for Script {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn words(&self) -> String {
        "scripted (hardware)".into()
    }

    fn kind(&self) -> EncoderKind {
        EncoderKind::Hardware
    }

    fn inputs(&self) -> Vec<PixelFormat> {
        vec![]
    }

    fn open(&self, _: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
        let acts = self.0.lock().unwrap().pop_front().unwrap_or(Some(vec![]));
        let acts = acts.ok_or_else(|| anyhow!("it is not there"))?.into();
        Ok(Box::new(Scripted { acts, pictures: 0 }))
    }
}

struct Scripted {
    acts: VecDeque<Act>,
    pictures: u32,
}

impl VideoEncoder for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn codec(&self) -> VideoCodec {
        VideoCodec::H264
    }

    fn limits(&self) -> RangeInclusive<Bitrate> {
        Bitrate(1)..=Bitrate(u32::MAX)
    }

    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>> {
        let encoder = "scripted".to_owned();
        self.pictures += 1;
        let keyframe = match self.acts.pop_front().unwrap_or(Act::Work) {
            Act::Work => keyframe || self.pictures == 1,
            Act::Ignore => false,
            Act::Hang => bail!(EncoderFault::Hung { encoder, waited: Duration::from_secs(1) }),
            Act::Refuse => bail!(EncoderFault::Refused { encoder, why: "short".into() }),
            Act::Break => bail!("it broke"),
        };
        Ok(Some(AccessUnit::of(&*frame.i420()?, VideoCodec::H264, vec![1].into(), keyframe)))
    }

    fn set_bitrate(&mut self, _: Bitrate) -> anyhow::Result<()> {
        Ok(())
    }
}

struct Rig {
    shared: Arc<Shared>,
    worker: Worker,
    viewer: ViewerId,
    health: Health,
}

impl Rig {
    /// With software as the last resort.
    fn new(script: Arc<Script>) -> Self {
        let info = SourceInfo { name: "rig".into(), width: 16, height: 16, fps: 30, encoded: None };
        let software = |codec| Arc::new(Software(codec)) as Arc<dyn Backend>;
        let lineups = [
            Lineup::new(script, vec![software(VideoCodec::H264)]),
            Lineup::new(software(VideoCodec::Vp8), vec![]),
        ];
        let metrics = Metrics::new().register(VideoMetrics::register);
        let health = Health::new();
        let bounds = Bounds { adapt: true, sub: true, max: Bitrate(100_000), min: Bitrate(100_000) };
        let shared = Arc::new(Shared::new(info, "rig".into(), bounds, lineups, health.clone(), metrics));
        let viewer = shared.join(VideoCodec::H264).0;
        let worker = Worker::spawn(&shared, VideoCodec::H264, Rendition::Main, 10, &[]).unwrap();
        Self { shared, worker, viewer, health }
    }

    fn push(&self) {
        let planes = [16 * 16, 64, 64].map(|length| vec![0; length].into());
        self.worker.push(SourceFrame::Raw(RawFrame::new(16, 16, planes, Instant::now()).into()));
    }

    /// Pushes pictures until one comes out, and tells whether it is a key frame.
    fn next(&self) -> bool {
        let end = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < end, "no picture comes");
            self.push();
            thread::sleep(Duration::from_millis(1));
            if let Some(unit) = self.shared.lock().channel(VideoCodec::H264).next(self.viewer) {
                return unit.keyframe;
            }
        }
    }

    /// The same up to the first key frame after a picture that is none.
    fn next_keyframe(&self) {
        while self.next() {}
        while !self.next() {}
    }

    fn restarts(&self, reason: &'static str) -> u64 {
        let label = RestartLabel { encoder: "scripted", reason };
        self.shared.metrics.encoder_restarts.get_or_create(&label).get()
    }

    fn refused(&self) -> u64 {
        self.shared.metrics.refused.get_or_create(&EncoderLabel::new(VideoCodec::H264, "scripted")).get()
    }

    fn open(&self, name: &'static str) -> i64 {
        self.shared.metrics.encoders.get_or_create(&EncoderLabel::new(VideoCodec::H264, name)).get()
    }
}

#[test]
fn an_encoder_that_hangs_is_opened_anew_at_once_and_goes_on_from_an_idr() {
    let rig = Rig::new(Script::new(&[Some(&[Act::Work, Act::Work, Act::Hang]), Some(&[])]));
    let start = Instant::now();
    assert!(rig.next());
    rig.next_keyframe();
    assert!(start.elapsed() < Duration::from_millis(450), "the back-off begins at half a second");
    assert_eq!((rig.restarts("hung"), rig.open("scripted"), rig.open("openh264")), (1, 1, 0));
    assert_eq!(rig.health.report().conditions, []);
}

#[test]
fn a_picture_that_is_refused_is_left_out_and_the_next_is_an_idr_of_the_same_encoder() {
    let acts = [Act::Work, Act::Work, Act::Refuse, Act::Ignore, Act::Ignore, Act::Work];
    let rig = Rig::new(Script::new(&[Some(&acts)]));
    assert!(rig.next() && !rig.next());
    assert!(rig.next(), "nothing is shown before the key frame");
    assert!(!rig.next());
    assert_eq!((rig.refused(), rig.restarts("refused"), rig.open("scripted")), (1, 0, 1));
}

#[test]
fn an_encoder_that_refuses_everything_or_gives_no_key_frame_any_more_is_opened_anew() {
    let refuse = vec![Act::Refuse; MAX_UNUSABLE as usize + 1];
    let ignore = [&[Act::Work, Act::Refuse][..], &vec![Act::Ignore; MAX_UNUSABLE as usize + 1]].concat();
    let rig = Rig::new(Script::new(&[Some(&refuse), Some(&ignore), Some(&[])]));
    assert!(rig.next(), "of the second one");
    assert!(rig.next(), "of the third one");
    assert_eq!((rig.restarts("refused"), rig.restarts("failed")), (1, 1));
}

#[test]
fn one_that_fails_three_times_in_a_row_makes_room_for_software_and_health_says_so() {
    let breaks: Option<&[Act]> = Some(&[Act::Work, Act::Break]);
    let rig = Rig::new(Script::new(&[breaks; 3]));
    let end = Instant::now() + DEADLINE;
    while rig.open("openh264") == 0 {
        assert!(Instant::now() < end, "software never takes over");
        rig.next();
    }
    assert_eq!((rig.restarts("failed"), rig.open("scripted")), (3, 0));
    let report = rig.health.report();
    assert_eq!(report.status, Level::Degraded);
    let detail = &report.conditions[0].detail;
    for words in ["scripted (hardware) fails (it broke)", "openh264 (software) takes its place", "in 60 s"] {
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn one_that_cannot_be_opened_makes_room_for_software_without_a_wait() {
    let rig = Rig::new(Script::new(&[None]));
    let start = Instant::now();
    assert!(rig.next());
    assert!(start.elapsed() < Duration::from_millis(450), "the back-off begins at half a second");
    assert_eq!((rig.restarts("open"), rig.open("openh264")), (1, 1));
}
