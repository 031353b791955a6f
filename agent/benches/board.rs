//! The figures of a booted board, measured by the agent's own metrics while Chromium on this machine watches: pictures
//! a second, processor time a picture, copies, and the time in each stage. Run by `scripts/bench board`; prints
//! Markdown tables.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{
    board::{Board, metric},
    browser::Browser,
};

/// Before it the picture settles: the first key frame, the player's own buffers.
const SETTLE: Duration = Duration::from_secs(5);
/// Long enough for some hundred pictures; the stages' own window is the last 10 s.
const MEASURE: Duration = Duration::from_secs(30);
/// What the agent calls the stages of a picture, in their order.
const STAGES: [&str; 5] = [
    "captured_to_dequeued",
    "dequeued_to_encoded",
    "encoded_to_packetized",
    "packetized_to_sent",
    "captured_to_sent",
];
/// The threads of a picture's way.
const THREADS: [&str; 2] = ["video-capture", "video-h264"];

/// What is measured: name, size and rate asked for, encoder.
const CASES: [(&str, u32, u32, u32, &str); 4] = [
    ("camera buffers read by the M2M encoder", 640, 480, 30, "m2m"),
    ("camera buffers read by the M2M encoder", 1280, 720, 30, "m2m"),
    ("OpenH264", 640, 480, 30, "openh264"),
    ("OpenH264", 1280, 720, 30, "openh264"),
];

/// What has been counted up to an instant.
struct Sample {
    at: Instant,
    metrics: String,
    /// Nanoseconds on a processor, of each of [`THREADS`], and of all threads.
    busy: Vec<f64>,
    decoded: f64,
}

async fn sample(board: &Board, browser: &Browser) -> Sample {
    let decoded = browser.inbound("video", "framesDecoded").await;
    let at = Instant::now();
    let metrics = board.metrics();
    // The first word of schedstat is the time on a processor (kernel doc: scheduler/sched-stats).
    let lines = board.run(
        "cd /proc/$(pidof p2pcam-agent)/task && for t in *; do echo \"$(cat $t/comm) $(cut -d' ' -f1 $t/schedstat)\"; done",
    );
    let threads: Vec<(&str, f64)> = lines
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, busy)| Some((name, busy.parse().ok()?)))
        .collect();
    let of = |wanted: &str| threads.iter().filter(|(name, _)| *name == wanted).map(|(_, busy)| busy).sum();
    let mut busy: Vec<f64> = THREADS.map(of).to_vec();
    busy.push(threads.iter().map(|(_, busy)| busy).sum());
    Sample { at, metrics, busy, decoded }
}

fn main() {
    let Some(board) = Board::from_env() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("| what | asked for | captured | decoded by the viewer | copies a picture | CPU: capture | CPU: encoder thread | CPU: whole agent |");
        println!("|---|---|---|---|---|---|---|---|");
        let mut stages = Vec::new();
        for case in CASES {
            stages.push(measure(&board, case).await);
        }
        println!("\n| stage, p50 / p95 / longest in ms | {} |", CASES.map(|(name, w, h, ..)| format!("{name}, {w}x{h}")).join(" | "));
        println!("|---{}|", "|---".repeat(CASES.len()));
        for (index, stage) in STAGES.iter().enumerate() {
            let cells: Vec<&str> = stages.iter().map(|cells| cells[index].as_str()).collect();
            println!("| {} | {} |", stage.replace('_', " "), cells.join(" | "));
        }
        board.restore();
    });
}

/// Prints a case's row; gives the cells of its stages.
async fn measure(
    board: &Board,
    (name, width, height, fps, encoder): (&str, u32, u32, u32, &str),
) -> Vec<String> {
    board.configure(&format!(
        "[video]\nsource = \"auto\"\nencoder = \"{encoder}\"\nwidth = {width}\nheight = {height}\nfps = {fps}\n[audio]\nsource = \"none\"\nsink = \"none\"\n"
    ));
    let browser = Browser::start_with(&["--ignore-certificate-errors".into()]).await;
    browser.open(&board.page("")).await;
    browser.wait_picture().await;
    tokio::time::sleep(SETTLE).await;
    let before = sample(board, &browser).await;
    tokio::time::sleep(MEASURE).await;
    let after = sample(board, &browser).await;
    browser.close().await;

    let seconds = (after.at - before.at).as_secs_f64();
    let gain = |key: &str| metric(&after.metrics, key, "") - metric(&before.metrics, key, "");
    let captured = gain("p2pcam_video_frames_captured_total");
    let encoded = gain("p2pcam_video_frames_encoded_total");
    let copies = gain("p2pcam_video_frame_copies_total");
    let ms = |index: usize| (after.busy[index] - before.busy[index]) / 1e6 / encoded;
    println!(
        "| {name} | {width}x{height} at {fps} | {:.1} fps | {:.1} fps | {:.2} | {:.2} ms | {:.2} ms | {:.2} ms |",
        captured / seconds,
        (after.decoded - before.decoded) / seconds,
        copies / encoded,
        ms(0),
        ms(1),
        ms(2),
    );
    let quantile = |stage: &str, quantile: &str| {
        let label = format!("stage=\"{stage}\",quantile=\"{quantile}\"");
        metric(&after.metrics, "p2pcam_video_stage_recent_seconds", &label) * 1e3
    };
    STAGES
        .map(|stage| {
            format!(
                "{:.1} / {:.1} / {:.1}",
                quantile(stage, "0.5"),
                quantile(stage, "0.95"),
                quantile(stage, "1")
            )
        })
        .to_vec()
}
