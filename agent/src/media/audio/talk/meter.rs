//! Shows in the metrics what the speaker is given.

use std::collections::VecDeque;

use crate::media::audio::{
    BLOCK, TalkMetrics,
    dsp::{level::SILENCE_DBOV, level::rms_dbov, pitch::DominantFrequency},
};

/// The level is that of the last 100 ms.
const LEVEL_WINDOW: usize = 5 * BLOCK;
/// The frequency is looked for once in this many blocks: in each 200 ms once, so that no beep slips through.
const PITCH_EVERY: u32 = 10;

/// Level and pitch of the mix.
pub struct Meter {
    recent: VecDeque<i16>,
    pitch: DominantFrequency,
    blocks: u32,
    metrics: TalkMetrics,
}

impl Meter {
    /// Silence so far.
    pub fn new(metrics: TalkMetrics) -> anyhow::Result<Self> {
        let recent = VecDeque::with_capacity(LEVEL_WINDOW + BLOCK);
        Ok(Self { recent, pitch: DominantFrequency::new()?, blocks: 0, metrics })
    }

    /// A block was mixed.
    pub fn block(&mut self, samples: &[i16]) {
        self.recent.extend(samples);
        let excess = self.recent.len().saturating_sub(LEVEL_WINDOW);
        self.recent.drain(..excess);
        self.metrics.level_dbov.set(rms_dbov(self.recent.make_contiguous()));
        self.pitch.push(samples);
        self.blocks = self.blocks.wrapping_add(1);
        if self.blocks.is_multiple_of(PITCH_EVERY)
            && let Some(hz) = self.pitch.estimate()
        {
            self.metrics.peak_frequency_hz.set(hz);
        }
    }

    /// Nobody talks any more.
    pub fn silence(&mut self) {
        self.recent.clear();
        self.metrics.level_dbov.set(SILENCE_DBOV);
        self.metrics.peak_frequency_hz.set(0.0);
    }
}
