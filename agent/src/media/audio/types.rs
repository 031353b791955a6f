//! The words of the audio path: PCM blocks, encoded frames, the traits of sources and sinks.

use std::time::Instant;

use bytes::Bytes;

use super::CardReport;

/// Everything inside the agent runs at this rate (hertz); Opus's own, so nothing is resampled twice.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples in one block: 20 ms, the packet time that Opus and G.711 viewers all take.
pub const BLOCK: usize = SAMPLE_RATE as usize / 50;

/// A codec for sending to or hearing from viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AudioCodec {
    /// RFC 7587, RTP clock 48 kHz.
    Opus,
    /// G.711 mu-law, RTP clock 8 kHz.
    Pcmu,
    /// G.711 A-law, RTP clock 8 kHz.
    Pcma,
}

impl AudioCodec {
    /// The RTP clock rate in hertz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }
}

/// 20 ms of mono sound, [`BLOCK`] samples at [`SAMPLE_RATE`].
#[derive(Clone, Debug)]
pub struct PcmBlock {
    /// Samples, full scale is `i16::MAX`.
    pub samples: Vec<i16>,
    /// When its first sample was taken, on the monotonic clock.
    pub captured: Instant,
}

/// 20 ms of encoded sound, as it goes into one RTP packet.
#[derive(Clone, Debug)]
pub struct AudioFrame {
    /// What it is encoded with.
    pub codec: AudioCodec,
    /// The RTP payload.
    pub data: Bytes,
    /// RMS level in -dBov, 0 (loudest) to 127 (silence): RFC 6464.
    pub level: u8,
    /// When its first sample was taken.
    pub captured: Instant,
}

/// Where sound comes from. It blocks, so it lives on a thread of its own.
pub trait AudioSource: Send {
    /// For logs: "test tone", "alsa:default".
    fn name(&self) -> &str;
    /// Waits for the next 20 ms.
    fn next(&mut self) -> anyhow::Result<PcmBlock>;
    /// How the card does; None for what is none.
    fn report(&mut self) -> Option<CardReport> {
        None
    }
    /// Whether it only stands in for a card that is not there yet.
    fn stands_in(&self) -> bool {
        false
    }
}

/// Where talk-back goes. It blocks at the pace of the device, so it lives on a thread of its own.
pub trait AudioSink: Send {
    /// For logs: "alsa:default", "log".
    fn name(&self) -> &str;
    /// Plays [`BLOCK`] samples, waiting until the device takes them.
    fn play(&mut self, samples: &[i16]) -> anyhow::Result<()>;
    /// How the card does; None for what is none.
    fn report(&mut self) -> Option<CardReport> {
        None
    }
    /// Whether it only stands in for a card that is not there yet.
    fn stands_in(&self) -> bool {
        false
    }
}
