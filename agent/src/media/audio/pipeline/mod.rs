//! The sound for viewers: one capture and one encode per codec, handed to any number of subscriptions.
//!
//! Does not packetize, and knows no session.

mod capture;
mod listeners;

use std::sync::Arc;

use self::{capture::Capture, listeners::Listeners};
use super::{AudioCodec, AudioFrame, AudioMetrics, AudioSourceSpec, codec, source::ChosenSource};
use crate::{board::Board, config::AudioConfig, telemetry::metrics::Metrics};

/// A handle to the pipeline, cheap to clone. When the last one is dropped, capture ends and subscriptions give None.
#[derive(Clone)]
pub struct AudioPipeline(Arc<Inner>);

struct Inner {
    source: ChosenSource,
    listeners: Arc<Listeners>,
}

impl AudioPipeline {
    /// Decides on the source and starts the capture thread, which sleeps until somebody subscribes.
    ///
    /// Fails with advice for a source or bitrate that cannot be; a card that is not there yet is no failure:
    /// silence is sent until it is.
    pub fn start(config: &AudioConfig, board: &Board, metrics: &Metrics) -> anyhow::Result<Self> {
        let source =
            ChosenSource::choose(AudioSourceSpec::parse(&config.source)?, !board.privacy.is_closed())?;
        // Finds out about a bad bitrate now and not when the first viewer comes.
        codec::encoder(AudioCodec::Opus, config.bitrate_kbps)?;
        let metrics = metrics.register(AudioMetrics::register);
        let listeners = Arc::new(Listeners::new(metrics.clone()));
        if source.spec != AudioSourceSpec::None {
            let capture =
                Capture::new(source.clone(), config.bitrate_kbps, board, listeners.clone(), metrics);
            std::thread::Builder::new().name("audio-capture".into()).spawn(move || capture.run())?;
        }
        tracing::info!(source = %source.words, "sound for viewers");
        Ok(Self(Arc::new(Inner { source, listeners })))
    }

    /// What viewers hear, for people: "a 440 Hz tone, because no sound card was found".
    pub fn source_words(&self) -> String {
        self.0.source.words.to_string()
    }

    /// What can be sent, best first; empty if the source is `none`.
    pub fn codecs(&self) -> Vec<AudioCodec> {
        match self.0.source.spec {
            AudioSourceSpec::None => Vec::new(),
            _ => vec![AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma],
        }
    }

    /// Begins to listen; the first frame comes within some 20 ms after the source is open.
    pub fn subscribe(&self, codec: AudioCodec) -> AudioSubscription {
        AudioSubscription(self.0.listeners.add(codec, self.0.source.spec == AudioSourceSpec::None))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listeners.close();
    }
}

/// One listener's frames; dropping it ends the subscription, the last drop stops the capture.
pub struct AudioSubscription(listeners::Listener);

impl AudioSubscription {
    /// Waits for the next frame; None once the pipeline is gone or if the source is `none`. Cancel-safe.
    ///
    /// A listener that does not fetch keeps the newest 10 frames (200 ms), older ones are lost and counted.
    pub async fn next(&mut self) -> Option<Arc<AudioFrame>> {
        self.0.next().await
    }
}

#[cfg(test)]
mod tests;
