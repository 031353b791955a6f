//! `[video]`: camera and encoder.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[video]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoConfig {
    /// `auto` (first camera, else the test pattern), `pattern`, `pattern:busy`, `file:PATH` or `v4l2:/dev/videoN`.
    pub source: String,
    /// `auto`, `mpp`, `m2m`, `m2m:/dev/videoN`, `passthrough` or `openh264`.
    pub encoder: String,
    /// Picture width in pixels; the nearest that the camera has is taken.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Encoder target in kilobits a second.
    pub bitrate_kbps: u32,
    /// Bit rate, size and frame rate follow what the viewers' paths carry.
    pub adapt: bool,
    /// The main picture is not encoded with fewer kilobits a second for its slowest viewer.
    pub min_bitrate_kbps: u32,
    /// Whether a second, smaller picture is encoded for viewers far slower than the others.
    pub sub_stream: SubStream,
    /// Seconds between key frames when nobody asks for one.
    pub keyframe_interval_s: u32,
    /// Controls of the camera, by the names that v4l2-ctl has for them, set whenever it is opened.
    pub controls: BTreeMap<String, i64>,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            source: "auto".into(),
            encoder: "auto".into(),
            width: 1280,
            height: 720,
            fps: 30,
            bitrate_kbps: 2000,
            adapt: true,
            // With it a 640x360 picture at 15 fps still has 0.03 bit a pixel.
            min_bitrate_kbps: 100,
            sub_stream: SubStream::Auto,
            keyframe_interval_s: 10,
            controls: BTreeMap::new(),
        }
    }
}

/// Whether there may be a second encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubStream {
    /// When viewers differ by more than a factor of two.
    #[default]
    Auto,
    /// Never: slow viewers get fewer pictures.
    Off,
}

/// A source as it is written in `agent.toml` and on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoSourceSpec {
    /// `auto`: the first camera that opens, else the test pattern.
    Auto,
    /// `pattern`: the test pattern.
    Pattern,
    /// `pattern:busy`: the test pattern with moving noise, which takes all of an encoder's rate.
    BusyPattern,
    /// `file:PATH`: a file, played again and again.
    File(PathBuf),
    /// `v4l2:DEVICE`: a camera.
    V4l2(PathBuf),
}

/// A source that cannot be understood, with advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{spec}\" is no video source: {advice}")]
pub struct BadVideoSource {
    /// What was written.
    pub spec: String,
    advice: String,
}

impl VideoSourceSpec {
    /// Reads a specification. Blanks around it are ignored.
    pub fn parse(spec: &str) -> Result<Self, BadVideoSource> {
        const FORMS: &str = "write auto, pattern, pattern:busy, file:PATH or v4l2:/dev/videoN";
        let bad = |advice: String| Err(BadVideoSource { spec: spec.into(), advice });
        let (kind, rest) = match spec.trim().split_once(':') {
            Some((kind, rest)) => (kind, Some(rest.trim())),
            None => (spec.trim(), None),
        };
        match (kind, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("pattern", None) => Ok(Self::Pattern),
            ("pattern", Some("busy")) => Ok(Self::BusyPattern),
            ("file", Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            ("v4l2", Some(path)) if path.starts_with('/') => Ok(Self::V4l2(path.into())),
            ("v4l2", Some(name)) if name.starts_with("video") => {
                bad(format!("a camera is named with its whole path, v4l2:/dev/{name}"))
            }
            ("v4l2", Some(number)) if number.parse::<u32>().is_ok() => {
                bad(format!("a camera is named with its whole path, v4l2:/dev/video{number}"))
            }
            ("file" | "v4l2", _) => bad(format!("the path is missing; {FORMS}")),
            ("pattern", Some(_)) => bad(format!("there is pattern and pattern:busy; {FORMS}")),
            ("auto", Some(_)) => bad(format!("nothing comes after {kind}; {FORMS}")),
            (path, None) if path.starts_with("/dev/video") => bad(format!("write v4l2:{path}")),
            (path, None) if path.contains(['/', '.']) => bad(format!("write file:{path}")),
            _ => bad(FORMS.into()),
        }
    }
}

impl fmt::Display for VideoSourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Pattern => f.write_str("pattern"),
            Self::BusyPattern => f.write_str("pattern:busy"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::V4l2(path) => write!(f, "v4l2:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_forms_are_read_and_written_back() {
        for spec in ["auto", "pattern", "pattern:busy", "file:/srv/a clip: one.mp4", "v4l2:/dev/video0"] {
            assert_eq!(VideoSourceSpec::parse(spec).map(|parsed| parsed.to_string()), Ok(spec.into()));
        }
        assert_eq!(VideoSourceSpec::parse(" file:clip.mp4 "), Ok(VideoSourceSpec::File("clip.mp4".into())));
    }

    #[test]
    fn a_wrong_source_is_named_with_what_to_write_instead() {
        for (spec, advice) in [
            ("/dev/video2", "write v4l2:/dev/video2"),
            ("v4l2:video2", "v4l2:/dev/video2"),
            ("v4l2:2", "v4l2:/dev/video2"),
            ("clip.mp4", "write file:clip.mp4"),
            ("file:", "path is missing"),
            ("v4l2", "path is missing"),
            ("pattern:3", "pattern:busy"),
            ("auto:3", "nothing comes after auto"),
            ("webcam", "write auto, pattern"),
            ("", "write auto, pattern"),
        ] {
            let error = VideoSourceSpec::parse(spec).map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|words| words.contains(advice) && words.contains(spec)),
                "{error:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(spec in ".{0,40}") {
            if let Ok(parsed) = VideoSourceSpec::parse(&spec) {
                prop_assert_eq!(VideoSourceSpec::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
