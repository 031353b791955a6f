//! Which encoder is taken on which machine, and what is said of it.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use super::*;
use crate::media::video::{
    VideoEncoder,
    encoder::{EncoderKind, EncoderSettings},
};

#[derive(Debug)]
struct Hardware(&'static str);

impl Backend for Hardware {
    fn name(&self) -> &'static str {
        self.0
    }

    fn words(&self) -> String {
        format!("{} (/dev/x)", self.0)
    }

    fn kind(&self) -> EncoderKind {
        EncoderKind::Hardware
    }

    fn inputs(&self) -> Vec<PixelFormat> {
        vec![PixelFormat::Yu12, PixelFormat::Nv12]
    }

    fn open(&self, _: &EncoderSettings) -> anyhow::Result<Box<dyn VideoEncoder>> {
        anyhow::bail!("it is not there")
    }
}

fn found(mpp: bool, m2m: bool) -> Found {
    let device = |name| Arc::new(Hardware(name)) as Arc<dyn Backend>;
    Found {
        mpp: if mpp { Ok(device("mpp")) } else { Err("no /dev/mpp_service".into()) },
        m2m: if m2m { Ok(vec![device("m2m")]) } else { Err("no V4L2 device encodes H.264".into()) },
        software: Ok(()),
        board: None,
    }
}

fn choice(spec: &str, mpp: bool, m2m: bool) -> Choice {
    Choice::decide(&VideoEncoderSpec::parse(spec).unwrap(), found(mpp, m2m))
}

#[test]
fn auto_takes_mpp_then_m2m_then_the_cameras_own_then_software() {
    for (mpp, m2m, encoded, line) in [
        (
            true,
            true,
            false,
            "mpp (/dev/x) because it is the first in hardware; not pass-through: an encoder on the board follows \
             bit rate and key frame requests, a camera's own does not",
        ),
        (
            false,
            true,
            false,
            "m2m (/dev/x) because it is the first in hardware; not mpp: no /dev/mpp_service; not pass-through: an \
             encoder on the board follows bit rate and key frame requests, a camera's own does not",
        ),
        (
            false,
            false,
            true,
            "pass-through because the source gives H.264 and there is no encoder in hardware; not mpp: no \
             /dev/mpp_service; not m2m: no V4L2 device encodes H.264",
        ),
        (
            false,
            false,
            false,
            "openh264 (software) because nothing before it can be had; not mpp: no /dev/mpp_service; not m2m: no \
             V4L2 device encodes H.264; not pass-through: the source gives raw pictures",
        ),
        (
            true,
            false,
            true,
            "pass-through because the source gives H.264 and nothing better at this size and rate; not m2m: no V4L2 \
             device encodes H.264",
        ),
    ] {
        assert_eq!(choice("auto", mpp, m2m).line(encoded), format!("video encoder: {line}"));
    }
}

#[test]
fn what_is_named_is_taken_and_software_if_it_cannot_be_had() {
    assert!(choice("m2m", true, true).line(false).starts_with(
        "video encoder: m2m (/dev/x) because video.encoder names it; not mpp: video.encoder is m2m"
    ));
    assert!(choice("openh264", true, true).line(false).starts_with(
        "video encoder: openh264 (software) because video.encoder names it; not mpp: video.encoder is openh264"
    ));
    assert!(choice("mpp", false, true).line(false).starts_with(
        "video encoder: openh264 (software) because mpp, which video.encoder names, cannot be had; not mpp: no \
         /dev/mpp_service"
    ));
    let named = VideoEncoderSpec::M2m(Some(PathBuf::from("/dev/video9")));
    let line = Choice::decide(&named, found(true, true)).line(false);
    assert!(line.starts_with("video encoder: m2m (/dev/x) because video.encoder names it"), "{line}");
}

#[test]
fn each_encoder_stands_in_for_those_before_it_with_software_last() {
    let names = |choice: Choice| {
        let (mut lineup, mut names, now) = (choice.lineup(), vec![], std::time::Instant::now());
        loop {
            let (place, backend) = lineup.current(now);
            names.push(backend.name());
            if lineup.failed(place, false, now) == crate::media::video::encoder::Next::AgainLater {
                return names;
            }
        }
    };
    assert_eq!(names(choice("auto", true, true)), ["mpp", "m2m", "openh264"]);
    assert_eq!(names(choice("m2m", true, true)), ["m2m", "openh264"]);
    assert_eq!(names(choice("passthrough", false, true)), ["m2m", "openh264"]);
    assert_eq!(names(choice("openh264", true, true)), ["openh264"]);
}

#[test]
fn a_camera_is_asked_for_what_the_encoder_reads_without_a_copy() {
    use PixelFormat::{H264, Mjpeg, Nv12, Nv21, Yu12};
    let first = |spec: &str, m2m: bool| choice(spec, false, m2m).formats()[..3].to_vec();
    assert_eq!(first("auto", true), [Nv12, Yu12, H264]);
    assert_eq!(first("auto", false), [H264, Nv12, Yu12]);
    assert_eq!(first("passthrough", true), [H264, Nv12, Yu12]);
    assert_eq!(first("openh264", true), [Nv12, Yu12, Nv21]);
    for spec in ["auto", "passthrough", "openh264", "m2m"] {
        let formats = choice(spec, false, true).formats();
        assert!(PixelFormat::ALL.iter().all(|format| formats.contains(format)), "none is refused");
        assert!(formats.iter().rposition(|format| *format == Mjpeg) >= Some(formats.len() - 2));
    }
}

#[test]
fn a_picture_that_software_cannot_hold_is_limited_unless_software_is_named() {
    let full_hd = VideoConfig { width: 1920, height: 1080, ..VideoConfig::default() };
    let on_pi5 = |spec: &str, m2m: bool| {
        let found =
            Found { board: BoardModel::of_model("Raspberry Pi 5 Model B Rev 1.0"), ..found(false, m2m) };
        Choice::decide(&VideoEncoderSpec::parse(spec).unwrap(), found).limited(&full_hd)
    };
    let (config, words) = on_pi5("auto", false).unwrap();
    assert_eq!((config.width, config.height, config.fps), (1280, 720, 30));
    assert!(words.contains("Raspberry Pi 5") && words.contains("no H.264 encoder"), "{words}");
    let (config, words) = on_pi5("openh264", false).unwrap();
    assert_eq!((config.width, config.height), (1920, 1080));
    assert!(words.contains("left out"), "{words}");
    assert_eq!(on_pi5("auto", true), None, "hardware is not limited");
    assert_eq!(choice("auto", false, false).limited(&full_hd), None, "an unknown board neither");
}

#[test]
fn the_list_says_of_each_way_what_it_is_for() {
    let verdicts = choice("auto", false, true).verdicts(false);
    let rows: Vec<_> =
        verdicts.iter().map(|(offer, chosen, why)| (offer.words(), *chosen, why.as_str())).collect();
    assert_eq!(rows[0], ("m2m (/dev/x)".into(), true, "it is the first in hardware"));
    assert_eq!(rows[1], ("mpp".into(), false, "no /dev/mpp_service"));
    assert_eq!(rows[3], ("openh264 (software)".into(), false, "stands in if those before it fail"));
}

#[test]
fn a_build_without_software_says_that_nothing_encodes() {
    let without = Found { software: Err("it was left out".into()), ..found(false, false) };
    let choice = Choice::decide(&VideoEncoderSpec::Auto, without);
    assert!(choice.verdicts(false).iter().all(|(_, chosen, _)| !chosen));
    assert_eq!(
        choice.line(false),
        "video encoder: none; not mpp: no /dev/mpp_service; not m2m: no V4L2 device encodes H.264; \
         not pass-through: the source gives raw pictures; not openh264: it was left out"
    );
    assert!(
        choice.line(true).starts_with("video encoder: pass-through because"),
        "a camera's own H.264 still is"
    );
}
