//! Where sound comes from: sound card, file or test tone.

mod aligned;
mod alsa;
#[cfg(feature = "ffmpeg")]
mod file;
mod steering;
mod tone;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::anyhow;

pub use self::alsa::AlsaSource;
#[cfg(feature = "ffmpeg")]
pub use self::file::FileSource;
pub use self::tone::{TONE_HZ, ToneSource};
use super::{
    AudioSource, AudioSourceSpec,
    cards::{list_sound_cards, without_cards},
    words::Words,
};

/// A source that was decided on: it can be opened again and again, and described.
#[derive(Clone, Debug)]
pub struct ChosenSource {
    /// As configured.
    pub spec: AudioSourceSpec,
    /// For the operator: "a 440 Hz tone, because no sound card was found". What `auto` means may change.
    pub words: Words,
    /// `auto` had a card: from then on its loss is silence, and no tone.
    had_card: Arc<AtomicBool>,
}

impl ChosenSource {
    /// Checks what can be checked without a device. `auto` is looked at where `look` allows to open microphones.
    pub fn choose(spec: AudioSourceSpec, look: bool) -> anyhow::Result<Self> {
        let words = match &spec {
            AudioSourceSpec::Auto => "the first sound card that captures".to_owned(),
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
        let chosen = Self { words: words.as_str().into(), spec, had_card: Arc::default() };
        if look && chosen.spec == AudioSourceSpec::Auto {
            // Only for the words.
            let _ = chosen.first_card();
        }
        Ok(chosen)
    }

    /// What `auto` means now; says so in [`Self::words`].
    fn first_card(&self) -> Result<AlsaSource, String> {
        let mut refused = None;
        for card in list_sound_cards().into_iter().filter(|card| card.captures) {
            match AlsaSource::open(&card.id) {
                Ok(source) => {
                    self.words.set(format!("the sound card {} ({})", card.id, card.name));
                    return Ok(source);
                }
                Err(error) => {
                    refused.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        let why = refused.unwrap_or_else(without_cards);
        if !self.had_card.load(Ordering::Relaxed) {
            self.words.set(format!("a {TONE_HZ} Hz tone, because {why}"));
        }
        Err(why)
    }

    /// Opens it. Fails for `none`, and with the reason where a device or file cannot be had.
    ///
    /// `auto` takes the first card that opens. Before there was one a tone stands in; a card that was there and is
    /// gone is an error like that of any other.
    pub fn open(&self) -> anyhow::Result<Box<dyn AudioSource>> {
        Ok(match &self.spec {
            AudioSourceSpec::Auto => match self.first_card() {
                Ok(card) => {
                    self.had_card.store(true, Ordering::Relaxed);
                    Box::new(card)
                }
                Err(why) if self.had_card.load(Ordering::Relaxed) => return Err(anyhow!(why)),
                Err(_) => Box::new(ToneSource::new(Instant::now()).standing_in()),
            },
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
        let words = |spec| ChosenSource::choose(spec, true).unwrap().words.to_string();
        assert_eq!(words(AudioSourceSpec::Tone), "a 440 Hz tone");
        assert_eq!(words(AudioSourceSpec::Alsa("hw:0".into())), "the sound card hw:0");
        assert!(words(AudioSourceSpec::Auto).contains(' '));
    }

    #[test]
    fn a_file_that_is_not_there_is_refused_at_the_start() {
        let error = ChosenSource::choose(AudioSourceSpec::File("/no/such.wav".into()), true).unwrap_err();
        assert!(error.to_string().contains("/no/such.wav"), "{error}");
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error_with_advice() {
        let spec = AudioSourceSpec::Alsa("hw:CARD=NoSuchCard".into());
        let error = ChosenSource::choose(spec, true).unwrap().open().err().unwrap();
        assert!(format!("{error:#}").contains("p2pcam-agent devices"), "{error:#}");
    }
}
