//! The figures of the live view, measured from outside on the real agent and the real Chromium: offer to answer,
//! click to first picture, burnt-in clock to decoded picture, and from the agent's own trace how long a picture waits
//! in it. Run by `scripts/bench live`; prints a Markdown table.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{
    agent::{Agent, Start},
    board::metric,
    browser::Browser,
};

const OFFER: &str = include_str!("../tests/fixtures/offer-vp8-vp9-only.json");
const ANSWERS: usize = 200;
const CLICKS: usize = 20;
const PICTURES: usize = 300;

/// Reads the test pattern's strip (docs/test-pattern.md) of each shown picture: milliseconds from capture to screen.
const READ_CLOCK: &str = r#"
const v = document.querySelector('video'), delays = [], done = arguments[arguments.length - 1], count = arguments[0];
const c = document.createElement('canvas'), g = c.getContext('2d', { willReadFrequently: true });
const crc16 = bytes => bytes.reduce((crc, b) => {
  crc ^= b << 8;
  for (let i = 0; i < 8; i++) crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1 & 0xffff;
  return crc;
}, 0xffff);
const step = () => {
  const now = Date.now(), w = v.videoWidth, cell = Math.floor(w / 40);
  c.width = w; c.height = cell * 3;
  g.drawImage(v, 0, 0, w, cell * 3, 0, 0, w, cell * 3);
  const d = g.getImageData(0, 0, w, cell * 3).data, bytes = new Uint8Array(15);
  for (let bit = 0; bit < 120; bit++) {
    const x = bit % 40 * cell + (cell >> 1), y = Math.floor(bit / 40) * cell + (cell >> 1);
    if (d[(y * w + x) * 4] > 127) bytes[bit >> 3] |= 0x80 >> bit % 8;
  }
  if (bytes[0] === 0xb5 && bytes[1] === 0xc3 && crc16(bytes.slice(2, 13)) === bytes[13] * 256 + bytes[14]) {
    let time = 0;
    for (let i = 7; i < 13; i++) time = time * 256 + bytes[i];
    delays.push(now - time);
  }
  if (delays.length >= count) done(delays); else v.requestVideoFrameCallback(step);
};
v.requestVideoFrameCallback(step);
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("| figure | median | 95 % | longest | samples | promise |");
    println!("|---|---|---|---|---|---|");
    answers("offer in to answer out", json!({}));
    answers(
        "offer in to answer out, dead STUN and TURN",
        json!({"stun": {"ip": "192.0.2.1", "port": 3478},
               "iceServers": [{"urls": ["turn:192.0.2.2:3478"], "username": "u", "credential": "c"}]}),
    );
    runtime.block_on(async {
        clicks().await;
        clock("video H.264", "").await;
        clock("video VP8", "codec=vp8").await;
    });
}

/// From writing the offer's line to reading the answer's, over stdin and stdout.
fn answers(figure: &str, connect: Value) {
    let mut agent = Agent::start(Start {
        more: vec!["--signaling=stdio".into()],
        env: vec![("P2PCAM_VIDEO_WIDTH", "640".into()), ("P2PCAM_VIDEO_HEIGHT", "360".into())],
        ..Default::default()
    });
    let offer: Value = serde_json::from_str(OFFER).unwrap();
    let mut times = Vec::new();
    for i in 0..ANSWERS {
        let session = format!("s{i}");
        agent.write_line(&json!({"session": session, "connect": connect}).to_string());
        let line = json!({"session": session, "description": offer}).to_string();
        let asked = Instant::now();
        agent.write_line(&line);
        loop {
            let heard: Value = serde_json::from_str(&agent.line(Duration::from_secs(5))).unwrap();
            assert!(heard.get("error").is_none(), "{heard}");
            if heard["session"] == session.as_str() && heard.get("description").is_some() {
                break;
            }
        }
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        agent.write_line(&json!({"session": session, "bye": {}}).to_string());
        // The link takes 50 messages a second for long; stay below it.
        std::thread::sleep(Duration::from_millis(70));
    }
    row(figure, times, "20 ms");
}

/// From a click on the page's start button to the first decoded picture, as the page measures it.
async fn clicks() {
    let agent = Agent::start(pattern());
    let browser = Browser::start().await;
    let mut times = Vec::new();
    for _ in 0..CLICKS {
        browser.open(&agent.page("autostart=0")).await;
        browser
            .wait(
                "the page is ready",
                "window.p2pcam && window.p2pcam.state === 'ready'",
                Duration::from_secs(10),
            )
            .await;
        browser.eval("(window.p2pcam.start(), true)").await;
        browser.wait_picture().await;
        times.push(browser.eval("window.p2pcam.clickToPictureMs()").await.as_f64().unwrap());
        browser.eval("(window.p2pcam.stop(), true)").await;
    }
    row("click to first decoded picture, localhost", times, "300 ms");
}

/// From the clock burnt into the picture at capture to the shown picture.
async fn clock(name: &str, options: &str) {
    let agent = Agent::start(pattern());
    let browser = Browser::start().await;
    browser.open(&agent.page(options)).await;
    browser.wait_picture().await;
    // The first second is start-up, not steady state.
    browser.wait_frames(45.0).await;
    let client = &browser.client;
    let delays = client.execute_async(READ_CLOCK, vec![json!(PICTURES)]).await.unwrap();
    let delays: Vec<f64> = delays.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    let metrics = agent.metrics();
    row(&format!("burnt-in clock to decoded picture, {name}, 640x360 at 30 fps"), delays, "120 ms");
    waits(&metrics, name);
}

/// The stages in which a picture that is encoded waits, of the last 10 s (docs/operation.md).
fn waits(metrics: &str, name: &str) {
    for (words, stage) in [
        ("encoded to packetized (the viewer's queue)", "encoded_to_packetized"),
        ("packetized to sent (pacing and the kernel)", "packetized_to_sent"),
    ] {
        let at = |quantile: &str| {
            let label = format!("stage=\"{stage}\",quantile=\"{quantile}\"");
            metric(metrics, "p2pcam_video_stage_recent_seconds", &label) * 1e3
        };
        let samples = metric(metrics, "p2pcam_video_stage_seconds_count", &format!("stage=\"{stage}\""));
        println!(
            "| {words}, {name}, 640x360 at 30 fps | {:.1} ms | {:.1} ms | {:.1} ms | {samples} | a picture's time, 33 ms |",
            at("0.5"),
            at("0.95"),
            at("1")
        );
    }
}

fn pattern() -> Start<'static> {
    Start {
        env: vec![
            ("P2PCAM_VIDEO_WIDTH", "640".into()),
            ("P2PCAM_VIDEO_HEIGHT", "360".into()),
            ("P2PCAM_VIDEO_FPS", "30".into()),
        ],
        ..Default::default()
    }
}

fn row(figure: &str, mut times: Vec<f64>, promise: &str) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!(
        "| {figure} | {:.1} ms | {:.1} ms | {:.1} ms | {} | {promise} |",
        at(0.5),
        at(0.95),
        at(1.0),
        times.len()
    );
}
