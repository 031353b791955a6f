//! What the `[audio]` keys `source` and `sink` may say, parsed.

use std::path::PathBuf;

use anyhow::{bail, ensure};

/// Words that may start a source, for suggestions.
const SOURCE_WORDS: [&str; 5] = ["auto", "tone", "none", "file", "alsa"];
/// Words that may start a sink, for suggestions.
const SINK_WORDS: [&str; 4] = ["auto", "log", "none", "alsa"];

/// Where sound comes from, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSourceSpec {
    /// The first sound card that captures, else the tone.
    Auto,
    /// A beep once a second.
    Tone,
    /// A file that FFmpeg can read, looped.
    File(PathBuf),
    /// An ALSA PCM name, as `arecord -L` lists it.
    Alsa(String),
    /// No sound is sent.
    None,
}

/// Where talk-back goes, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSinkSpec {
    /// The first sound card that plays, else the log.
    Auto,
    /// Levels in log and metrics only.
    Log,
    /// An ALSA PCM name, as `aplay -L` lists it.
    Alsa(String),
    /// Talk-back is thrown away.
    None,
}

impl AudioSourceSpec {
    /// Reads `auto`, `tone`, `none`, `file:PATH` or `alsa:DEVICE`; the error says what to write instead.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match split(text) {
            ("auto", None) => Self::Auto,
            ("tone", None) => Self::Tone,
            ("none", None) => Self::None,
            ("file", Some(path)) => {
                ensure!(
                    !path.is_empty() && !path.contains('\0'),
                    "audio source `{text}` names no file: write file:/path/to/sound.wav"
                );
                Self::File(path.into())
            }
            ("alsa", Some(device)) => Self::Alsa(device_name("source", text, device)?),
            (word, _) => bail!(
                "audio source `{text}` is unknown{}: use auto, tone, file:PATH, alsa:DEVICE or none",
                suggestion(word, &SOURCE_WORDS)
            ),
        })
    }
}

impl AudioSinkSpec {
    /// Reads `auto`, `log`, `none` or `alsa:DEVICE`; the error says what to write instead.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match split(text) {
            ("auto", None) => Self::Auto,
            ("log", None) => Self::Log,
            ("none", None) => Self::None,
            ("alsa", Some(device)) => Self::Alsa(device_name("sink", text, device)?),
            (word, _) => bail!(
                "audio sink `{text}` is unknown{}: use auto, alsa:DEVICE, log or none",
                suggestion(word, &SINK_WORDS)
            ),
        })
    }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.trim().split_once(':') {
        Some((word, rest)) => (word, Some(rest)),
        None => (text.trim(), None),
    }
}

/// ALSA takes the name as a C string, so a NUL would be a mistake that it never sees.
fn device_name(what: &str, text: &str, device: &str) -> anyhow::Result<String> {
    ensure!(
        !device.is_empty() && !device.chars().any(char::is_control),
        "audio {what} `{}` names no ALSA device: write alsa:default, or take a name from `p2pcam-agent devices`",
        text.escape_debug()
    );
    Ok(device.into())
}

fn suggestion(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, _)| (1..=2).contains(distance))
        .min()
        .map(|(_, k)| format!(" (did you mean {k}?)"))
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_read() {
        assert_eq!(AudioSourceSpec::parse("auto").unwrap(), AudioSourceSpec::Auto);
        assert_eq!(AudioSourceSpec::parse(" tone ").unwrap(), AudioSourceSpec::Tone);
        assert_eq!(AudioSourceSpec::parse("none").unwrap(), AudioSourceSpec::None);
        assert_eq!(
            AudioSourceSpec::parse("file:/a:b.wav").unwrap(),
            AudioSourceSpec::File("/a:b.wav".into())
        );
        assert_eq!(
            AudioSourceSpec::parse("alsa:plughw:CARD=Mic,DEV=0").unwrap(),
            AudioSourceSpec::Alsa("plughw:CARD=Mic,DEV=0".into())
        );
        assert_eq!(AudioSinkSpec::parse("log").unwrap(), AudioSinkSpec::Log);
        assert_eq!(AudioSinkSpec::parse("alsa:default").unwrap(), AudioSinkSpec::Alsa("default".into()));
    }

    #[test]
    fn a_refusal_names_the_value_and_the_next_step() {
        let error = AudioSourceSpec::parse("tune").unwrap_err().to_string();
        assert!(error.contains("`tune`") && error.contains("did you mean tone?"), "{error}");
        for bad in ["file:", "alsa:", "alsa:a\0b", "tone:440", "file", ""] {
            assert!(AudioSourceSpec::parse(bad).unwrap_err().to_string().contains(':'), "{bad:?}");
        }
        let error = AudioSinkSpec::parse("file:/x").unwrap_err().to_string();
        assert!(error.contains("alsa:DEVICE"), "{error}");
    }
}
