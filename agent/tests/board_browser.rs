//! Chromium on this machine, watching and hearing a booted board through the network between them.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{
    board::Board,
    browser::{Browser, MICROPHONE_HZ},
    eventually,
};

/// An emulated board is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is played into the loopback card, in hertz.
const TONE_HZ: f64 = 700.0;

/// The loopback card gives at one device what is played at the other: the agent has the second, we have the first.
/// Its two substreams are two such cables: one for the microphone, one for the speaker.
const SOUND: &str = r#"
[audio]
source = "alsa:plughw:CARD=Loopback,DEV=1,SUBDEV=0"
sink = "alsa:plughw:CARD=Loopback,DEV=0,SUBDEV=1"
"#;

async fn browser() -> Browser {
    // The board's certificate is its own.
    Browser::start_with(&["--ignore-certificate-errors".into()]).await
}

/// Frequency of the strongest tone that the page receives, in hertz.
async fn heard_hz(browser: &Browser) -> f64 {
    let body = "const video = document.querySelector('video');
        const context = window.hearing ??= new AudioContext();
        const analyser = window.analyser ??= (() => {
          const a = context.createAnalyser(); a.fftSize = 8192;
          context.createMediaStreamSource(video.srcObject).connect(a); return a;
        })();
        context.resume().then(() => setTimeout(() => {
          const bins = new Float32Array(analyser.frequencyBinCount);
          analyser.getFloatFrequencyData(bins);
          const peak = bins.indexOf(Math.max(...bins));
          done(bins[peak] > -80 ? peak * context.sampleRate / analyser.fftSize : 0);
        }, 300));";
    browser.eval_async(body).await.as_f64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_the_boards_camera_through_its_hardware_encoder_and_hears_its_sound_card() {
    let Some(board) = Board::from_env() else { return };
    board.configure(&format!(
        "[video]\nsource = \"auto\"\nencoder = \"m2m\"\nwidth = 640\nheight = 480\nfps = 15\n{SOUND}"
    ));
    let _player = board.start(&format!(
        "speaker-test --device plughw:CARD=Loopback,DEV=0,SUBDEV=0 --channels 2 --test sine --frequency {TONE_HZ}"
    ));
    let _recorder = board.start(
        "arecord --quiet --device plughw:CARD=Loopback,DEV=1,SUBDEV=1 --format S16_LE --rate 48000 --channels 2 /dev/null",
    );
    let browser = browser().await;
    browser.open(&board.page("")).await;
    browser.wait_picture().await;
    browser.wait_frames(60.0).await;

    assert_eq!(browser.video_codec().await, "video/H264");
    assert_eq!(browser.size().await, (640, 480));
    let (mean, variance) = browser.luma().await;
    assert!(mean > 30.0 && variance > 500.0, "vivid's bars are bright and dark: {mean}, {variance}");
    let metrics = board.metrics();
    let count = |name: &str, label: &str| support::board::metric(&metrics, name, label);
    assert!(count("p2pcam_video_frames_encoded_total", "h264") >= 60.0, "{metrics}");
    assert_eq!(count("p2pcam_video_frame_copies_total", ""), 0.0, "camera to encoder without a copy");
    assert_eq!(count("p2pcam_video_encoders", "m2m"), 1.0, "the hardware path is the one in use");

    browser.unmute().await;
    eventually("the tone of the board's sound card is heard", PATIENCE, || async {
        ((heard_hz(&browser).await - TONE_HZ).abs() < 20.0).then_some(())
    })
    .await;

    browser.eval_async("window.p2pcam.talk(true).then(() => done(true), e => done(String(e)))").await;
    board.wait_metric("p2pcam_talkback_peak_frequency_hz", "", PATIENCE, |hertz| {
        (hertz - MICROPHONE_HZ).abs() < 30.0
    });
    browser.close().await;
    board.restore();
}
