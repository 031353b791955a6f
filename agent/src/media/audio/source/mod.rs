//! Where sound comes from: sound card, file or test tone.

mod aligned;
mod alsa;
mod capture_clock;
#[cfg(feature = "ffmpeg")]
mod file;
mod steering;
mod tone;

use std::time::Instant;

pub use self::alsa::AlsaSource;
#[cfg(feature = "ffmpeg")]
pub use self::file::FileSource;
pub use self::tone::{TONE_HZ, ToneSource};
use super::{AudioSource, AudioSourceSpec, cards::list_sound_cards};

/// A source that was decided on: it can be opened again and again, and described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenSource {
    /// Never `Auto`.
    pub spec: AudioSourceSpec,
    /// For the operator: "a 440 Hz tone, because no sound card was found".
    pub words: String,
}

impl ChosenSource {
    /// Decides what `auto` means on this machine; checks what can be checked without a device.
    pub fn choose(spec: AudioSourceSpec) -> anyhow::Result<Self> {
        let words = match &spec {
            AudioSourceSpec::Auto => return Ok(Self::first_card()),
            AudioSourceSpec::Tone => format!("a {TONE_HZ} Hz tone"),
            AudioSourceSpec::None => "no sound, because audio.source is none".to_owned(),
            AudioSourceSpec::Alsa(device) => format!("the sound card {device}"),
            AudioSourceSpec::File(path) => {
                anyhow::ensure!(
                    cfg!(feature = "ffmpeg"),
                    "audio source file:{} needs FFmpeg, which this build leaves out: build with the cargo feature \
                     `ffmpeg`, or use alsa:DEVICE or tone",
                    path.display()
                );
                anyhow::ensure!(
                    path.is_file(),
                    "audio source file:{} is not a file that can be read: check audio.source",
                    path.display()
                );
                format!("the file {}", path.display())
            }
        };
        Ok(Self { spec, words })
    }

    fn first_card() -> Self {
        let mut refused = None;
        for card in list_sound_cards().into_iter().filter(|card| card.captures) {
            match AlsaSource::open(&card.id) {
                Ok(_) => {
                    let words = format!("the sound card {} ({})", card.id, card.name);
                    return Self { spec: AudioSourceSpec::Alsa(card.id), words };
                }
                Err(error) => {
                    refused.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        let why = refused.unwrap_or_else(|| "no sound card was found".into());
        Self { spec: AudioSourceSpec::Tone, words: format!("a {TONE_HZ} Hz tone, because {why}") }
    }

    /// Opens it. Fails for `none`, and with the reason where a device or file cannot be had.
    pub fn open(&self) -> anyhow::Result<Box<dyn AudioSource>> {
        Ok(match &self.spec {
            AudioSourceSpec::Alsa(device) => Box::new(AlsaSource::open(device)?),
            #[cfg(feature = "ffmpeg")]
            AudioSourceSpec::File(path) => Box::new(FileSource::open(path)?),
            AudioSourceSpec::Tone => Box::new(ToneSource::new(Instant::now())),
            other => anyhow::bail!("audio source {other:?} cannot be opened"),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_said_in_words() {
        let words = |spec| ChosenSource::choose(spec).unwrap().words;
        assert_eq!(words(AudioSourceSpec::Tone), "a 440 Hz tone");
        assert_eq!(words(AudioSourceSpec::Alsa("hw:0".into())), "the sound card hw:0");
        assert!(words(AudioSourceSpec::Auto).contains(' '));
    }

    #[test]
    fn a_file_that_is_not_there_is_refused_at_the_start() {
        let error = ChosenSource::choose(AudioSourceSpec::File("/no/such.wav".into())).unwrap_err();
        assert!(error.to_string().contains("/no/such.wav"), "{error}");
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error_with_advice() {
        let spec = AudioSourceSpec::Alsa("hw:CARD=NoSuchCard".into());
        let error = ChosenSource::choose(spec).unwrap().open().err().unwrap();
        assert!(format!("{error:#}").contains("p2pcam-agent devices"), "{error:#}");
    }
}
