//! Stands in for a speaker: takes sound at the pace of the clock and logs its level.

use std::time::Instant;

use crate::media::audio::{
    AudioSink,
    dsp::level::{SILENCE_DBOV, rms_dbov},
    pace::{Pacer, sleep_until},
};

/// The level is logged once in this many blocks: once a second.
const LOG_EVERY: u32 = 50;

/// Logs the loudest 20 ms of each second at debug.
pub struct LogSink {
    pacer: Pacer,
    blocks: u32,
    loudest: f64,
    stands_in: bool,
}

impl LogSink {
    /// The first block is taken now.
    pub fn new(now: Instant) -> Self {
        Self { pacer: Pacer::new(now), blocks: 0, loudest: SILENCE_DBOV, stands_in: false }
    }

    /// The same, used only until there is a sound card.
    pub fn standing_in(self) -> Self {
        Self { stands_in: true, ..self }
    }
}

impl AudioSink for LogSink {
    fn name(&self) -> &str {
        "log"
    }

    fn play(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        self.loudest = self.loudest.max(rms_dbov(samples));
        self.blocks += 1;
        if self.blocks.is_multiple_of(LOG_EVERY) {
            tracing::debug!(level_dbov = self.loudest.round(), "talk-back");
            self.loudest = SILENCE_DBOV;
        }
        let (_, end) = self.pacer.next_slot(Instant::now());
        sleep_until(end);
        Ok(())
    }

    fn stands_in(&self) -> bool {
        self.stands_in
    }
}
