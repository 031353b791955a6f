//! A sound card of the kernel: what is played at the ALSA device `SPEAKER` is captured at `MICROPHONE` (environment
//! variables); without them, nothing runs.
//!
//! Made for the kernel's loopback card: `modprobe snd-aloop`, `SPEAKER=plughw:CARD=Loopback,DEV=0`,
//! `MICROPHONE=plughw:CARD=Loopback,DEV=1`. Run with `--nocapture` to see the figures.
#![allow(clippy::unwrap_used)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use p2pcam_agent::media::audio::{
    AudioSink, AudioSource, BLOCK, PcmBlock, SAMPLE_RATE, sink::AlsaSink, source::AlsaSource,
};

const HZ: f64 = 700.0;

/// A second of the tone: whole periods, so that it can be repeated.
fn tone() -> Vec<i16> {
    let phase = |n| f64::from(n) * HZ * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
    (0..SAMPLE_RATE).map(|n| (8000.0 * phase(n).sin()) as i16).collect()
}

/// How often the samples pass zero upwards in a second.
fn pitch(samples: &[i16]) -> f64 {
    let ups: Vec<usize> =
        samples.windows(2).enumerate().filter(|(_, w)| w[0] < 0 && w[1] >= 0).map(|(n, _)| n).collect();
    match (ups.first(), ups.last()) {
        (Some(first), Some(last)) if last > first => {
            (ups.len() - 1) as f64 * f64::from(SAMPLE_RATE) / (last - first) as f64
        }
        _ => 0.0,
    }
}

#[test]
fn what_is_played_into_one_end_of_a_loop_is_captured_at_the_other() {
    let (Ok(speaker), Ok(microphone)) = (std::env::var("SPEAKER"), std::env::var("MICROPHONE")) else {
        return println!("not run: SPEAKER and MICROPHONE name no devices");
    };
    for round in 0..3 {
        let done = AtomicBool::new(false);
        let blocks = std::thread::scope(|scope| {
            let player = scope.spawn(|| {
                let mut sink = AlsaSink::open(&speaker).unwrap();
                let (tone, begin, mut blocks) = (tone(), Instant::now(), 0);
                while !done.load(Ordering::SeqCst) {
                    let from = blocks * BLOCK % tone.len();
                    sink.play(&tone[from..from + BLOCK])?;
                    blocks += 1;
                }
                anyhow::Ok(blocks as f64 * 0.02 / begin.elapsed().as_secs_f64())
            });
            let captured = capture(&microphone);
            done.store(true, Ordering::SeqCst);
            let pace = player.join().unwrap().unwrap();
            println!("round {round}: played at {pace:.3} of real time");
            assert!((0.8..1.1).contains(&pace), "played at {pace} of real time");
            captured.unwrap()
        });
        assert!((120..=160).contains(&blocks.len()), "{} blocks in 3 s", blocks.len());
        let steps: Vec<Duration> =
            blocks.windows(2).map(|pair| pair[1].captured - pair[0].captured).collect();
        let even = steps.iter().filter(|step| (18..=22).contains(&step.as_millis())).count();
        // Dropouts of a busy machine shift the phase: most pieces of 100 ms are clean.
        let pitches: Vec<f64> = blocks[25..]
            .chunks_exact(5)
            .map(|piece| pitch(&piece.iter().flat_map(|block| block.samples.clone()).collect::<Vec<_>>()))
            .collect();
        let clean = pitches.iter().filter(|hz| (**hz - HZ).abs() < 3.0).count();
        println!(
            "round {round}: {} blocks in 3 s, {even} of {} steps even, {clean} of {} pieces clean",
            blocks.len(),
            steps.len(),
            pitches.len()
        );
        assert!(clean * 2 > pitches.len(), "{pitches:?}");
        assert!(even * 10 > steps.len() * 8, "{steps:?}");
    }
}

/// What comes in 3 s, after the first block.
fn capture(microphone: &str) -> anyhow::Result<Vec<PcmBlock>> {
    let mut source = AlsaSource::open(microphone)?;
    source.next()?;
    let begin = Instant::now();
    let mut blocks = Vec::new();
    while begin.elapsed() < Duration::from_secs(3) {
        let block = source.next()?;
        anyhow::ensure!(block.captured <= Instant::now(), "captured in the future");
        blocks.push(block);
    }
    Ok(blocks)
}
