//! The test tone: a 440 Hz beep in the first half of each second.

use std::time::Instant;

use crate::media::audio::{
    AudioSource, BLOCK, PcmBlock, SAMPLE_RATE,
    pace::{Pacer, sleep_until},
};

/// The frequency of the test tone in hertz (concert pitch).
pub const TONE_HZ: f64 = 440.0;
/// -20 dBFS: clearly heard, startles nobody.
const AMPLITUDE: f64 = 0.1 * i16::MAX as f64;
/// The beep's length in samples: half a second, so that any look of 600 ms at the sound meets it.
const BEEP: u64 = SAMPLE_RATE as u64 / 2;
/// Samples over which the beep swells and fades (10 ms): no click.
const EDGE: f64 = SAMPLE_RATE as f64 / 100.0;

/// Beeps at the pace of the monotonic clock.
pub struct ToneSource {
    pacer: Pacer,
    position: u64,
    stands_in: bool,
}

impl ToneSource {
    /// The first second begins now.
    pub fn new(now: Instant) -> Self {
        Self { pacer: Pacer::new(now), position: 0, stands_in: false }
    }

    /// The same, played only until there is a sound card.
    pub fn standing_in(self) -> Self {
        Self { stands_in: true, ..self }
    }
}

impl AudioSource for ToneSource {
    fn name(&self) -> &str {
        "tone"
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        let (captured, complete) = self.pacer.next_slot(Instant::now());
        let samples = (self.position..).take(BLOCK).map(sample).collect();
        self.position += BLOCK as u64;
        sleep_until(complete);
        Ok(PcmBlock { samples, captured })
    }

    fn stands_in(&self) -> bool {
        self.stands_in
    }
}

/// The tone's sample number `n` since its start.
fn sample(n: u64) -> i16 {
    let within = n % u64::from(SAMPLE_RATE);
    if within >= BEEP {
        return 0;
    }
    let from_edge = within.min(BEEP - within) as f64;
    let swell = (from_edge / EDGE).min(1.0);
    let phase = within as f64 * TONE_HZ / f64::from(SAMPLE_RATE) * std::f64::consts::TAU;
    (AMPLITUDE * swell * swell * (3.0 - 2.0 * swell) * phase.sin()).round() as i16
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::media::audio::{
        dsp::{level::rms_dbov, pitch::DominantFrequency},
        pace::BLOCK_TIME,
    };

    #[test]
    fn it_beeps_at_440_hz_and_pauses_once_a_second() {
        let second: Vec<i16> = (48_000..96_000).map(sample).collect();
        assert!((rms_dbov(&second[2400..21_600]) + 23.0).abs() < 0.2);
        assert!(second[24_000..].iter().all(|s| *s == 0));
        let mut pitch = DominantFrequency::new().unwrap();
        pitch.push(&second[..24_000]);
        assert!((pitch.estimate().unwrap() - 440.0).abs() < 1.0);
    }

    #[test]
    fn a_block_comes_when_its_20_ms_are_over_and_the_next_follows_it() {
        let mut tone = ToneSource::new(Instant::now());
        let mut end = None;
        for _ in 0..5 {
            let block = tone.next().unwrap();
            assert!(Some(block.captured) >= end, "blocks overlap");
            end = Some(block.captured + BLOCK_TIME);
            assert!(Some(Instant::now()) >= end, "it came before its last sample was due");
        }
    }
}
