//! Tests of alignment on simulated cards: a drift, jittered reads, late stamps, gaps; time is virtual.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::media::audio::clock::seconds;

/// What two people would take as out of step with the picture, as the project promises, in seconds.
const IN_SYNC: f64 = 0.020;
const BLOCK_TIME: Duration = Duration::from_millis(20);

/// A card whose clock is off; it is read when the thread gets to it, and its driver's stamps are up to 4 ms late.
struct Card {
    start: Instant,
    /// Frames in a second of the monotonic clock.
    real_rate: f64,
    /// Frames read.
    read: u64,
    seed: u32,
    /// The thread's own time, in seconds.
    now: f64,
}

impl Card {
    fn new(nominal: u32, drift: f64) -> Self {
        Self {
            start: Instant::now(),
            real_rate: f64::from(nominal) * (1.0 + drift),
            read: 0,
            seed: 1,
            now: 0.0,
        }
    }

    /// 0 to 1.
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.seed >> 8) / f64::from(1 << 24)
    }

    /// The next read: how many frames there are, and what the driver says about the last of them.
    fn wait(&mut self) -> (u64, Instant) {
        // Every 10 ms, up to 8 ms late, and once in a while the thread is held up.
        let late = self.random() * 0.008 + if self.random() < 0.005 { 0.06 } else { 0.0 };
        self.now += 0.006 + late;
        // The driver looks at its counter once a timer tick of 4 ms, and stamps when it is asked.
        let tick = (self.now / 0.004).floor() * 0.004;
        let captured = (tick * self.real_rate) as u64;
        let frames = captured.saturating_sub(self.read);
        (frames, self.start + Duration::from_secs_f64(self.now))
    }

    /// When a frame was captured, in seconds.
    fn time_of(&self, frame: f64) -> f64 {
        frame / self.real_rate
    }
}

/// Runs the parts that keep time without filtering samples: ten minutes are long. Gives the worst difference between
/// what was written on a sample and when it was captured, in seconds, after `settled` seconds.
fn worst_after(nominal: u32, drift: f64, minutes: f64, settled: f64) -> f64 {
    let mut card = Card::new(nominal, drift);
    let (mut clock, mut steering) = (CardClock::new(nominal), Steering::default());
    let (mut position, mut ready, mut end, mut worst) = (0.0_f64, 0_usize, None, 0.0_f64);
    while card.now < minutes * 60.0 {
        let (frames, stamp) = card.wait();
        clock.observe(card.read + frames, stamp);
        card.read += frames;
        let Plan::Convert(trim) = steering.plan(&clock, position, ready) else {
            panic!("a gap at {} s where there is none", card.now);
        };
        let step = f64::from(nominal) / f64::from(SAMPLE_RATE) * (1.0 + trim);
        while position + 24.0 < card.read as f64 {
            position += step;
            ready += 1;
            if ready == BLOCK {
                ready = 0;
                let captured = steering.take(BLOCK).unwrap();
                assert!(end.is_none_or(|end| end == captured), "blocks do not follow each other");
                end = Some(captured + BLOCK_TIME);
                let real = card.time_of(position);
                if real > settled {
                    worst = worst.max((seconds(captured + BLOCK_TIME, card.start) - real).abs());
                }
            }
        }
    }
    worst
}

#[test]
fn ten_minutes_of_drift_stay_within_twenty_milliseconds() {
    for ppm in [-5000.0, -1000.0, -100.0, 0.0, 100.0, 1000.0, 5000.0] {
        let worst = worst_after(48_000, ppm * 1e-6, 10.0, 0.0);
        assert!(worst < IN_SYNC, "{ppm} ppm: {worst} s off");
        // Once it is settled it is better than that: the mean lateness of the stamps, about 4 ms.
        let settled = worst_after(48_000, ppm * 1e-6, 1.0, 10.0);
        assert!(settled < 0.008, "{ppm} ppm: {settled} s off after 10 s");
    }
}

#[test]
fn a_card_of_another_rate_drifts_no_less_and_is_followed_as_well() {
    for (rate, ppm) in [(44_100, 1000.0), (16_000, -1000.0), (8_000, 1000.0)] {
        let worst = worst_after(rate, ppm * 1e-6, 10.0, 0.0);
        assert!(worst < IN_SYNC, "{rate} Hz, {ppm} ppm: {worst} s off");
    }
}

/// Clicks, one each full second of the monotonic clock, through the whole of [`Aligned`]; gives where they came out,
/// in seconds from where they belong.
fn clicks(card: &mut Card, aligned: &mut Aligned, until: f64) -> Vec<f64> {
    let mut off = Vec::new();
    while card.now < until {
        let (frames, stamp) = card.wait();
        let click = |frame: u64| {
            let (before, after) = (card.time_of(frame as f64), card.time_of(frame as f64 + 1.0));
            if before.floor() < after.floor() { 20_000 } else { 0 }
        };
        let samples: Vec<i16> = (card.read..card.read + frames).map(click).collect();
        aligned.observe(card.read + frames, stamp);
        card.read += frames;
        aligned.push(&samples);
        while let Some(block) = aligned.block() {
            let (place, loudest) = block.samples.iter().enumerate().max_by_key(|(_, s)| **s).unwrap();
            if *loudest > 8000 {
                let at = seconds(block.captured, card.start) + place as f64 / f64::from(SAMPLE_RATE);
                off.push(at - at.round());
            }
        }
    }
    off
}

#[test]
fn a_click_comes_out_at_the_time_at_which_it_was_captured() {
    for (rate, ppm) in [(48_000, 5000.0), (48_000, -1000.0), (44_100, 1000.0), (16_000, -300.0)] {
        let (mut card, mut aligned) = (Card::new(rate, ppm * 1e-6), Aligned::new(rate));
        let off = clicks(&mut card, &mut aligned, 15.0);
        assert!(off.len() >= 14, "{} clicks in 15 s", off.len());
        assert!(off.iter().all(|off| off.abs() < 0.012), "{rate} Hz, {ppm} ppm: {off:?}");
        let measured = aligned.drift_ppm().unwrap();
        assert!((measured - ppm).abs() < 120.0, "{measured} ppm for {ppm}");
    }
}

#[test]
fn after_an_overrun_the_times_are_again_those_of_the_samples() {
    let (mut card, mut aligned) = (Card::new(48_000, 500e-6), Aligned::new(48_000));
    clicks(&mut card, &mut aligned, 5.0);
    // The thread is held up for 0.7 s, the driver starts again and counts from 0.
    let lost = Card::new(48_000, 500e-6);
    let pause = card.now + 0.7;
    aligned.gap();
    assert!(aligned.drift_ppm().is_none());
    let mut again = Card { start: card.start + Duration::from_secs_f64(pause.ceil()), ..lost };
    let off = clicks(&mut again, &mut aligned, 5.0);
    assert!(off.len() >= 4, "{off:?}");
    assert!(off.iter().all(|off| off.abs() < 0.012), "{off:?}");
    assert!(aligned.error().abs() < 0.005, "{}", aligned.error());
}

#[test]
fn a_driver_that_notices_late_how_long_it_was_stalled_does_not_shift_the_sound() {
    let (mut card, mut aligned) = (Card::new(48_000, -0.005), Aligned::new(48_000));
    clicks(&mut card, &mut aligned, 5.0);
    aligned.gap();
    // It says that it begins now, and at the next look that 165 ms have passed.
    let start = card.start + Duration::from_secs(60);
    aligned.observe(960, start);
    aligned.push(&[0; 960]);
    assert!(aligned.block().is_none(), "one stamp is nothing to go by");
    let mut read = 960 + 7920;
    for after in [20, 40, 60] {
        let at = start + Duration::from_millis(after);
        aligned.observe(read, at);
        aligned.push(&[0; 960]);
        while let Some(block) = aligned.block() {
            assert!(seconds(block.captured, at) <= 0.0, "sound of the future");
        }
        read += 960;
    }
    assert!(aligned.drift_ppm().is_some(), "the rate is still known");
    assert!(aligned.error().abs() < 0.005, "{}", aligned.error());
}

#[test]
fn a_block_is_never_written_to_be_earlier_than_the_end_of_the_one_before() {
    let (mut card, mut aligned) = (Card::new(48_000, 0.0), Aligned::new(48_000));
    let mut end = None;
    for round in 0..300 {
        if round % 40 == 39 {
            aligned.gap();
            card = Card { start: card.start + Duration::from_secs_f64(card.now), ..Card::new(48_000, 0.0) };
        }
        let (frames, stamp) = card.wait();
        aligned.observe(card.read + frames, stamp);
        card.read += frames;
        aligned.push(&vec![0; frames as usize]);
        while let Some(block) = aligned.block() {
            assert!(end.is_none_or(|end| block.captured >= end));
            end = Some(block.captured + BLOCK_TIME);
        }
    }
}

#[test]
fn a_device_without_a_clock_is_passed_on_sample_by_sample() {
    let (start, mut aligned) = (Instant::now(), Aligned::new(48_000));
    let input: Vec<i16> = (0..48_000).map(|n| (n * 31 % 20_011) as i16).collect();
    let mut out = vec![];
    for (n, piece) in input.chunks(480).enumerate() {
        aligned.observe((n as u64 + 1) * 480, start + Duration::from_micros(n as u64 * 20));
        aligned.push(piece);
        while let Some(block) = aligned.block() {
            out.extend(block.samples);
        }
    }
    assert!(out.len() > 46_000, "{}", out.len());
    assert!(input.starts_with(&out));
}
