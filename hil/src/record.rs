//! What was seen in a run, as the report gets it and as `report.json` holds it.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::viewer;

/// A run of one scenario on one board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// Where it stands in the matrix, if it is a cell of it.
    pub cell: Option<Cell>,
    /// `local`, `qemu`, `labgrid`.
    pub board: String,
    /// How many times as long as the scenario says pictures might take: emulated processors are slower.
    #[serde(default = "as_said")]
    pub slower: f64,
    /// The seed of all chance.
    pub seed: u64,
    /// When it began, seconds since 1970 of this machine's clock.
    pub began: u64,
    /// How long it took in milliseconds.
    pub took_ms: f64,
    /// What the rig measured of itself, before the run and, if it went wrong, after it.
    pub checks: Vec<Check>,
    /// What the rig did, in order.
    pub steps: Vec<Step>,
    /// What each viewer saw.
    pub viewers: Vec<Seen>,
    /// Counts of each side's lines, every quarter of a second.
    pub lines: Vec<LineSample>,
    /// Files beside the report, by paths relative to its folder: logs, metrics, captures, core dumps.
    pub files: Vec<Artefact>,
    /// What it comes to.
    pub verdict: Verdict,
}

fn as_said() -> f64 {
    1.0
}

/// A cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// NAT kind of the device's side, as `EIM/APDF`.
    pub device: String,
    /// The same of the viewer's.
    pub viewer: String,
    /// Whether there is TURN.
    pub turn: bool,
    /// What the truth table says: `direct`, `relayed` or `none`.
    pub truth: String,
}

/// A measurement of the rig by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was measured, as `the device's router`.
    pub what: String,
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub found: String,
    /// Whether that will do.
    pub ok: bool,
}

/// Something that the rig did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds since the first viewer's request (negative: before).
    pub ms: f64,
    /// In words.
    pub what: String,
    /// Whether viewers may feel it: what they lose then is recovery, not a freeze.
    pub disturbs: bool,
    /// When it ended, for what lasts.
    pub until_ms: Option<f64>,
}

/// What a viewer saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name in the scenario.
    pub viewer: String,
    /// `headless` or `chromium`.
    pub kind: String,
    /// Milliseconds from the first viewer's request to this one's: add it to the times of its events.
    pub offset_ms: f64,
    /// In order.
    pub events: Vec<viewer::Event>,
}

/// What went over a side's line since the last sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineSample {
    /// Milliseconds since the first viewer's request.
    pub ms: f64,
    /// `device` or `viewer`.
    pub side: String,
    /// `up` or `down`.
    pub direction: String,
    /// Packets that came through.
    pub passed: u64,
    /// Packets that were lost, by chance or as the queue was full.
    pub lost: u64,
}

/// A file beside the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// What it is, as `the agent's journal`.
    pub what: String,
    /// Relative to the report's folder.
    pub path: PathBuf,
}

/// What a run comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whose fault it is.
    pub outcome: Outcome,
    /// The figures that were judged.
    pub measured: Measured,
    /// What was not as expected, in words, each with expectation and finding; empty if it passed.
    pub reasons: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All as expected.
    Passed,
    /// The device did not do what it must.
    DeviceFault,
    /// The rig was not what it should have been: nothing is said about the device.
    RigFault,
    /// It could not be run here (no such board, a tool is missing).
    Skipped,
}

/// Figures of the worst viewer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `direct`, `relayed` or `none`.
    pub path: Option<String>,
    /// The pair in use, as `srflx-prflx`: viewer's candidate, device's.
    pub pair: Option<String>,
    /// From request to answer, in milliseconds.
    pub answer_ms: Option<f64>,
    /// From request to first picture.
    pub first_picture_ms: Option<f64>,
    /// Longest freeze outside of recoveries.
    pub longest_freeze_ms: Option<f64>,
    /// Longest recovery.
    pub recovery_ms: Option<f64>,
    /// Mean bitrate after the first two seconds.
    pub kbps: Option<f64>,
    /// Longest distance of sound and picture.
    pub av_sync_ms: Option<f64>,
    /// Code and words of the error told.
    pub error: Option<String>,
    /// Parts of the time that the scenario asks for, of each viewer.
    #[serde(default)]
    pub windows: Vec<MeasuredWindow>,
}

/// Figures of one viewer in a part of the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuredWindow {
    /// Its name.
    pub viewer: String,
    /// From when, after anybody's first picture.
    pub from_ms: f64,
    /// Until when.
    pub to_ms: f64,
    /// Mean bitrate of pictures, RTP payload.
    pub kbps: Option<f64>,
    /// The same of pictures and sound, with RTP, UDP and IP headers.
    pub wire_kbps: Option<f64>,
    /// Its share of the line's rate.
    pub utilisation: Option<f64>,
    /// From the beginning until a second in which the rate that is wanted was reached.
    pub reached_ms: Option<f64>,
    /// Pictures a second.
    pub pictures: Option<f64>,
    /// The longest mean of a second from burnt-in clock to decoding.
    pub delay_ms: Option<f64>,
    /// Longest time without a picture.
    pub longest_freeze_ms: Option<f64>,
    /// Freezes that the browser itself counted in it, by its own finer measure ...
    pub freeze_count: Option<u32>,
    /// ... and how long they were together.
    pub frozen_ms: Option<f64>,
}

/// As milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
