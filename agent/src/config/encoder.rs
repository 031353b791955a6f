//! `video.encoder`: who makes the H.264.

use std::{fmt, path::PathBuf};

/// An encoder as it is written in `agent.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoEncoderSpec {
    /// `auto`: Rockchip MPP, a V4L2 encoder, the camera's own H.264, OpenH264: the first that there is.
    Auto,
    /// `mpp`: Rockchip MPP.
    Mpp,
    /// `m2m`: the first V4L2 mem-to-mem encoder; `m2m:DEVICE`: this one.
    M2m(Option<PathBuf>),
    /// `passthrough`: the camera's own H.264, also where the board has an encoder.
    PassThrough,
    /// `openh264`: software.
    OpenH264,
}

/// An encoder that cannot be understood, with advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{spec}\" is no video encoder: {advice}")]
pub struct BadVideoEncoder {
    /// What was written.
    pub spec: String,
    advice: String,
}

impl VideoEncoderSpec {
    /// Reads a specification. Blanks around it are ignored.
    pub fn parse(spec: &str) -> Result<Self, BadVideoEncoder> {
        const FORMS: &str = "write auto, mpp, m2m, m2m:/dev/videoN, passthrough or openh264";
        let bad = |advice: String| Err(BadVideoEncoder { spec: spec.into(), advice });
        match spec.trim() {
            "auto" => Ok(Self::Auto),
            "mpp" => Ok(Self::Mpp),
            "m2m" => Ok(Self::M2m(None)),
            "passthrough" => Ok(Self::PassThrough),
            "openh264" => Ok(Self::OpenH264),
            path if path.starts_with("/dev/") => bad(format!("write m2m:{path}")),
            other => match other.strip_prefix("m2m:").map(str::trim) {
                Some(path) if path.starts_with('/') => Ok(Self::M2m(Some(path.into()))),
                Some(name) if name.starts_with("video") => {
                    bad(format!("a device is named with its whole path, m2m:/dev/{name}"))
                }
                _ => bad(FORMS.into()),
            },
        }
    }
}

impl fmt::Display for VideoEncoderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Mpp => f.write_str("mpp"),
            Self::M2m(None) => f.write_str("m2m"),
            Self::M2m(Some(path)) => write!(f, "m2m:{}", path.display()),
            Self::PassThrough => f.write_str("passthrough"),
            Self::OpenH264 => f.write_str("openh264"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_are_read_and_written_back() {
        for spec in ["auto", "mpp", "m2m", "m2m:/dev/video11", "passthrough", "openh264"] {
            assert_eq!(VideoEncoderSpec::parse(spec).map(|parsed| parsed.to_string()), Ok(spec.into()));
        }
    }

    #[test]
    fn a_wrong_encoder_is_named_with_what_to_write_instead() {
        for (spec, advice) in [
            ("/dev/video11", "write m2m:/dev/video11"),
            ("m2m:video11", "m2m:/dev/video11"),
            ("m2m:", "write auto, mpp, m2m"),
            ("x264", "write auto, mpp, m2m"),
        ] {
            let error = VideoEncoderSpec::parse(spec).map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|words| words.contains(advice) && words.contains(spec)),
                "{error:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(spec in ".{0,40}") {
            if let Ok(parsed) = VideoEncoderSpec::parse(&spec) {
                prop_assert_eq!(VideoEncoderSpec::parse(&parsed.to_string()), Ok(parsed));
            }
        }
    }
}
