//! Where talk-back goes: sound card or log.

mod alsa;
mod log;

use std::time::Instant;

pub use self::alsa::AlsaSink;
pub use self::log::LogSink;
use super::{AudioSink, AudioSinkSpec, cards::list_sound_cards};

/// A sink that was decided on: it can be opened again and again, and described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenSink {
    /// Never `Auto`.
    pub spec: AudioSinkSpec,
    /// For the operator: "the log, because no sound card was found".
    pub words: String,
}

impl ChosenSink {
    /// Decides what `auto` means on this machine.
    pub fn choose(spec: AudioSinkSpec) -> Self {
        let words = match &spec {
            AudioSinkSpec::Auto => return Self::first_card(),
            AudioSinkSpec::Log => "the log".to_owned(),
            AudioSinkSpec::None => "nowhere, because audio.sink is none".to_owned(),
            AudioSinkSpec::Alsa(device) => format!("the sound card {device}"),
        };
        Self { spec, words }
    }

    fn first_card() -> Self {
        let mut refused = None;
        for card in list_sound_cards().into_iter().filter(|card| card.plays) {
            match AlsaSink::open(&card.id) {
                Ok(_) => {
                    let words = format!("the sound card {} ({})", card.id, card.name);
                    return Self { spec: AudioSinkSpec::Alsa(card.id), words };
                }
                Err(error) => {
                    refused.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        }
        let why = refused.unwrap_or_else(|| "no sound card was found".into());
        Self { spec: AudioSinkSpec::Log, words: format!("the log, because {why}") }
    }

    /// Opens it. Fails for `none`, and with the reason where a device cannot be had.
    pub fn open(&self) -> anyhow::Result<Box<dyn AudioSink>> {
        Ok(match &self.spec {
            AudioSinkSpec::Alsa(device) => Box::new(AlsaSink::open(device)?),
            AudioSinkSpec::Log => Box::new(LogSink::new(Instant::now())),
            other => anyhow::bail!("audio sink {other:?} cannot be opened"),
        })
    }
}
