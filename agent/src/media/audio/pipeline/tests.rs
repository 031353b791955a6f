//! Tests of the pipeline as a whole.
#![allow(clippy::unwrap_used)]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    board::Privacy,
    media::audio::{
        AudioSource, BLOCK, PcmBlock,
        codec::{AudioDecoder, OpusDecoder},
        dsp::pitch::DominantFrequency,
    },
};

/// No wait in these tests may last longer.
const DEADLINE: Duration = Duration::from_secs(10);

fn tone() -> (AudioPipeline, Metrics) {
    let metrics = Metrics::new();
    let config = AudioConfig { source: "tone".into(), ..AudioConfig::default() };
    (AudioPipeline::start(&config, &Board::default(), &metrics).unwrap(), metrics)
}

/// The value of a line of the exposition, 0 if there is none.
fn value(metrics: &Metrics, line: &str) -> f64 {
    let text = metrics.encode();
    let found = text.lines().find_map(|l| l.strip_prefix(line).and_then(|rest| rest.strip_prefix(' ')));
    found.map_or(0.0, |number| number.parse().unwrap())
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn next(subscription: &mut AudioSubscription) -> Arc<AudioFrame> {
    tokio::time::timeout(DEADLINE, subscription.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_listener_hears_the_tone_in_frames_20_ms_apart() {
    let (pipeline, _) = tone();
    assert_eq!(pipeline.source_words(), "a 440 Hz tone");
    let mut subscription = pipeline.subscribe(AudioCodec::Opus);
    let (mut decoder, mut heard, mut last) = (OpusDecoder::new().unwrap(), vec![], None::<Instant>);
    let (mut run, deadline) = (0, Instant::now() + DEADLINE);
    // On a machine that is busy for 200 ms frames may be lost on either side: then the count starts again.
    while run < 20 {
        assert!(Instant::now() < deadline, "no 20 frames of the tone 20 ms apart");
        let frame = next(&mut subscription).await;
        let follows = last.is_none_or(|last| frame.captured - last == Duration::from_millis(20));
        last = Some(frame.captured);
        if !follows || !(20..=40).contains(&frame.level) {
            (run, decoder) = (0, OpusDecoder::new().unwrap());
            heard.clear();
            continue;
        }
        decoder.decode(&frame.data, &mut heard).unwrap();
        run += 1;
    }
    let mut pitch = DominantFrequency::new().unwrap();
    pitch.push(&heard);
    assert!((pitch.estimate().unwrap() - 440.0).abs() < 3.0);
}

#[tokio::test]
async fn many_listeners_share_one_encode_and_the_last_one_stops_the_capture() {
    let (pipeline, metrics) = tone();
    assert_eq!(value(&metrics, "p2pcam_audio_frames_captured_total"), 0.0);
    let mut listeners: Vec<_> = (0..5).map(|_| pipeline.subscribe(AudioCodec::Opus)).collect();
    let mut other = pipeline.subscribe(AudioCodec::Pcma);
    for _ in 0..5 {
        for listener in &mut listeners {
            next(listener).await;
        }
        assert_eq!(next(&mut other).await.data.len(), 160);
    }
    assert_eq!(value(&metrics, "p2pcam_audio_listeners"), 6.0);
    assert_eq!(value(&metrics, r#"p2pcam_audio_encoders{codec="opus"}"#), 1.0);
    assert_eq!(value(&metrics, r#"p2pcam_audio_encoders{codec="pcma"}"#), 1.0);
    drop(other);
    until("one encoder less", || value(&metrics, r#"p2pcam_audio_encoders{codec="pcma"}"#) == 0.0).await;
    drop(listeners);
    until("no encoder", || value(&metrics, r#"p2pcam_audio_encoders{codec="opus"}"#) == 0.0).await;
    let captured = value(&metrics, "p2pcam_audio_frames_captured_total");
    let encoded = value(&metrics, r#"p2pcam_audio_frames_encoded_total{codec="opus"}"#);
    assert!(encoded <= captured && encoded >= 5.0, "{encoded} of {captured}");
    assert_eq!(value(&metrics, "p2pcam_audio_listeners"), 0.0);
    // It starts again for the next one.
    next(&mut pipeline.subscribe(AudioCodec::Pcmu)).await;
}

#[tokio::test]
async fn a_slow_listener_keeps_the_newest_200_ms_and_holds_up_nobody() {
    let (pipeline, metrics) = tone();
    let (mut slow, mut quick) = (pipeline.subscribe(AudioCodec::Pcmu), pipeline.subscribe(AudioCodec::Pcmu));
    let mut newest = None;
    for _ in 0..25 {
        newest = Some(next(&mut quick).await.captured);
    }
    drop(pipeline);
    let mut kept = vec![];
    while let Some(frame) = slow.next().await {
        kept.push(frame.captured);
    }
    assert_eq!(kept.len(), 10);
    assert!(kept.last().copied() >= newest, "the oldest went");
    assert!(value(&metrics, "p2pcam_audio_frames_dropped_total") >= 10.0);
}

#[tokio::test]
async fn subscriptions_end_with_the_pipeline() {
    let (pipeline, _) = tone();
    let mut subscription = pipeline.subscribe(AudioCodec::Opus);
    next(&mut subscription).await;
    drop(pipeline.clone());
    next(&mut subscription).await;
    drop(pipeline);
    tokio::time::timeout(DEADLINE, async { while subscription.next().await.is_some() {} }).await.unwrap();
}

#[tokio::test]
async fn without_a_source_nothing_is_offered() {
    let config = AudioConfig { source: "none".into(), ..AudioConfig::default() };
    let pipeline = AudioPipeline::start(&config, &Board::default(), &Metrics::new()).unwrap();
    assert!(pipeline.codecs().is_empty());
    assert!(pipeline.subscribe(AudioCodec::Opus).next().await.is_none());
}

#[test]
fn a_config_that_cannot_work_is_refused_with_advice() {
    for (source, bitrate_kbps, word) in [("tne", 32, "did you mean"), ("tone", 2, "6 to 510")] {
        let config = AudioConfig { source: source.into(), bitrate_kbps, ..AudioConfig::default() };
        let error =
            AudioPipeline::start(&config, &Board::default(), &Metrics::new()).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// Gives so many blocks, then breaks.
struct Flaky(usize);

impl AudioSource for Flaky {
    fn name(&self) -> &str {
        "flaky"
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        anyhow::ensure!(self.0 > 0, "unplugged");
        self.0 -= 1;
        std::thread::sleep(Duration::from_millis(20));
        Ok(PcmBlock { samples: vec![12_000; BLOCK], captured: Instant::now() })
    }
}

#[tokio::test]
async fn a_source_that_breaks_gives_silence_until_it_is_opened_again() {
    let registry = Metrics::new();
    let metrics = registry.register(AudioMetrics::register);
    let listeners = Arc::new(Listeners::new(metrics.clone()));
    let opened = Arc::new(AtomicUsize::new(0));
    let open: capture::Open = Box::new({
        let opened = opened.clone();
        move || match opened.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Box::new(Flaky(3))),
            1 => anyhow::bail!("still unplugged"),
            _ => Ok(Box::new(Flaky(usize::MAX))),
        }
    });
    let capture =
        Capture::with(open, "flaky".into(), 32, &Board::default(), listeners.clone(), metrics.clone());
    let thread = std::thread::spawn(move || capture.run());
    let mut subscription = AudioSubscription(listeners.add(AudioCodec::Pcmu, false));
    // Silence through two waits, of 0.5 s and 1 s, and sound again.
    let deadline = Instant::now() + DEADLINE;
    for silent in [true, false] {
        while (next(&mut subscription).await.level == 127) != silent {
            assert!(Instant::now() < deadline, "no {} came", if silent { "silence" } else { "sound" });
        }
    }
    assert_eq!(opened.load(Ordering::SeqCst), 3);
    assert_eq!(value(&registry, "p2pcam_audio_source_restarts_total"), 2.0);
    drop(subscription);
    listeners.close();
    thread.join().unwrap();
}

/// Loud, and tells when it is closed.
struct Loud(Arc<AtomicUsize>);

impl AudioSource for Loud {
    fn name(&self) -> &str {
        "loud"
    }

    fn next(&mut self) -> anyhow::Result<PcmBlock> {
        std::thread::sleep(Duration::from_millis(20));
        Ok(PcmBlock { samples: vec![12_000; BLOCK], captured: Instant::now() })
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_privacy_switch_closes_the_microphone_and_viewers_hear_silence_until_it_is_off() {
    let registry = Metrics::new();
    let metrics = registry.register(AudioMetrics::register);
    let listeners = Arc::new(Listeners::new(metrics.clone()));
    let closed = Arc::new(AtomicUsize::new(0));
    let open: capture::Open = Box::new({
        let closed = closed.clone();
        move || Ok(Box::new(Loud(closed.clone())))
    });
    let privacy = Privacy::default();
    let board = Board { privacy: privacy.clone(), ..Board::default() };
    let capture = Capture::with(open, "loud".into(), 32, &board, listeners.clone(), metrics);
    let thread = std::thread::spawn(move || capture.run());
    let mut subscription = AudioSubscription(listeners.add(AudioCodec::Pcmu, false));
    let deadline = Instant::now() + DEADLINE;
    for (why, silent, closings) in [(None, false, 0), (Some("switch"), true, 1), (None, false, 1)] {
        privacy.set(why.map(Into::into));
        while (next(&mut subscription).await.level == 127) != silent {
            assert!(Instant::now() < deadline, "no {} came", if silent { "silence" } else { "sound" });
        }
        assert_eq!(closed.load(Ordering::SeqCst), closings);
    }
    assert_eq!(value(&registry, "p2pcam_audio_source_restarts_total"), 0.0, "nothing had failed");
    drop(subscription);
    listeners.close();
    thread.join().unwrap();
}
