//! Talk-back: what viewers say, through a jitter buffer each, mixed, to the speaker.
//!
//! Does not know RTP headers beyond their numbers, and does no echo cancellation.

mod jitter;
mod meter;
mod mixer;
mod playback;
mod talkers;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

pub use self::jitter::{JitterBuffer, JitterCounts};
use self::{
    playback::Playback,
    talkers::{Inbox, Talkers},
};
use super::{AudioCodec, AudioSinkSpec, TalkMetrics, sink::ChosenSink};
use crate::{board::Board, config::AudioConfig, telemetry::metrics::Metrics};

/// Talkers at once: each costs a decoder, and more than a few voices nobody understands.
pub const MAX_TALKERS: usize = 8;

/// One RTP packet from a talker.
#[derive(Clone, Debug)]
pub struct TalkPacket {
    /// What the payload is encoded with.
    pub codec: AudioCodec,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp at the codec's clock rate.
    pub timestamp: u32,
    /// The payload without header and padding.
    pub payload: Bytes,
    /// When it came in, on the monotonic clock.
    pub arrival: Instant,
}

/// A handle to talk-back, cheap to clone. When the last one is dropped, playback ends.
#[derive(Clone)]
pub struct TalkBack(Arc<Inner>);

struct Inner {
    sink: ChosenSink,
    talkers: Arc<Talkers>,
}

impl TalkBack {
    /// Decides on the sink and starts the playback thread, which opens the sink only while somebody talks.
    ///
    /// Fails with advice for a sink that cannot be; a card that is not there yet is no failure.
    pub fn start(config: &AudioConfig, board: &Board, metrics: &Metrics) -> anyhow::Result<Self> {
        let sink = ChosenSink::choose(AudioSinkSpec::parse(&config.sink)?);
        let metrics = metrics.register(TalkMetrics::register);
        let talkers = Arc::new(Talkers::new(metrics.clone()));
        if sink.spec == AudioSinkSpec::None {
            talkers.close();
        } else {
            let open = {
                let sink = sink.clone();
                Box::new(move || sink.open())
            };
            let playback = Playback::new(open, sink.words.clone(), board, talkers.clone(), metrics)?;
            std::thread::Builder::new().name("audio-talkback".into()).spawn(move || playback.run())?;
        }
        tracing::info!(sink = %sink.words, "talk-back");
        Ok(Self(Arc::new(Inner { sink, talkers })))
    }

    /// Where talk-back goes, for people: "the log, because no sound card was found".
    pub fn sink_words(&self) -> String {
        self.0.sink.words.to_string()
    }

    /// Lets one more viewer talk; `label` names it in logs. Fails if [`MAX_TALKERS`] talk already.
    pub fn open(&self, label: &str) -> anyhow::Result<Talker> {
        let talkers = self.0.talkers.clone();
        let inbox = talkers.open(label)?;
        Ok(Talker { inbox, talkers })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.talkers.close();
    }
}

/// One viewer's way to the speaker; dropping it ends the talk.
pub struct Talker {
    inbox: Arc<Inbox>,
    talkers: Arc<Talkers>,
}

impl Talker {
    /// Hands over a packet; never waits. If playback does not keep up, the oldest packets are dropped and counted.
    pub fn push(&mut self, packet: TalkPacket) {
        self.talkers.push(&self.inbox, packet);
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.talkers.remove(&self.inbox);
    }
}
