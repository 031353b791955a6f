//! Where talk-back goes: sound card or log.

mod alsa;
mod log;

use std::time::Instant;

pub use self::alsa::AlsaSink;
pub use self::log::LogSink;
use super::{
    AudioSink, AudioSinkSpec,
    cards::{list_sound_cards, without_cards},
    words::Words,
};

/// A sink that was decided on: it can be opened again and again, and described.
#[derive(Clone, Debug)]
pub struct ChosenSink {
    /// As configured.
    pub spec: AudioSinkSpec,
    /// For the operator: "the log, because no sound card was found". What `auto` means may change.
    pub words: Words,
}

impl ChosenSink {
    /// Looks at what `auto` means now.
    pub fn choose(spec: AudioSinkSpec) -> Self {
        let words = match &spec {
            AudioSinkSpec::Auto => "the first sound card that plays".to_owned(),
            AudioSinkSpec::Log => "the log".to_owned(),
            AudioSinkSpec::None => "nowhere, because audio.sink is none".to_owned(),
            AudioSinkSpec::Alsa(device) => format!("the sound card {device}"),
        };
        let chosen = Self { spec, words: words.as_str().into() };
        if chosen.spec == AudioSinkSpec::Auto {
            chosen.first_card();
        }
        chosen
    }

    /// What `auto` means now; says so in [`Self::words`].
    fn first_card(&self) -> Option<AlsaSink> {
        let mut refused = None;
        for card in list_sound_cards().into_iter().filter(|card| card.plays) {
            match AlsaSink::open(&card.id) {
                Ok(sink) => {
                    self.words.set(format!("the sound card {} ({})", card.id, card.name));
                    return Some(sink);
                }
                Err(error) => {
                    refused.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        self.words.set(format!("the log, because {}", refused.unwrap_or_else(without_cards)));
        None
    }

    /// Opens it. Fails for `none`, and with the reason where a device cannot be had. `auto` takes the first card that
    /// opens; while there is none, the log stands in.
    pub fn open(&self) -> anyhow::Result<Box<dyn AudioSink>> {
        Ok(match &self.spec {
            AudioSinkSpec::Auto => match self.first_card() {
                Some(card) => Box::new(card),
                None => Box::new(LogSink::new(Instant::now()).standing_in()),
            },
            AudioSinkSpec::Alsa(device) => Box::new(AlsaSink::open(device)?),
            AudioSinkSpec::Log => Box::new(LogSink::new(Instant::now())),
            other => anyhow::bail!("audio sink {other:?} cannot be opened"),
        })
    }
}
