//! What changed since an earlier report: outcomes, and figures beyond noise.

use std::collections::BTreeMap;

use super::matrix::rank;
use crate::record::{Measured, Outcome, Record};

/// Figures of one run differ by this share from the next on a machine that does other things too ...
const NOISE_SHARE: f64 = 0.25;
/// ... and short times by this much: one lost first check costs a retransmission of 50 ms and more.
const NOISE_MS: f64 = 50.0;
/// The same for bitrates, where a scene change is worth that.
const NOISE_KBPS: f64 = 50.0;

/// All that changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend {
    /// Newly failing first, then the other changed outcomes, then figures: the worse before the better.
    pub changes: Vec<Change>,
    /// Cases of this run alone.
    pub added: Vec<String>,
    /// Cases of the earlier one alone.
    pub gone: Vec<String>,
    /// How many cases are as they were.
    pub unchanged: usize,
}

/// What changed of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place among the records of this run.
    pub place: usize,
    /// Its name.
    pub name: String,
    /// The outcome before.
    pub before: Outcome,
    /// The outcome now.
    pub now: Outcome,
    /// Figures that moved beyond noise; none unless it passed both times.
    pub figures: Vec<FigureChange>,
}

/// A figure that moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FigureChange {
    /// As `first picture`.
    pub what: &'static str,
    /// Before; milliseconds or kilobits a second.
    pub before: f64,
    /// Now.
    pub now: f64,
    /// Whether that is worse.
    pub worse: bool,
}

impl FigureChange {
    /// By how many percent it moved, if it was not nothing before.
    pub fn percent(&self) -> Option<f64> {
        (self.before > 0.0).then(|| (self.now / self.before - 1.0) * 100.0)
    }

    /// Whether it is a bitrate and no time.
    pub fn is_bitrate(&self) -> bool {
        self.what == BITRATE
    }
}

const BITRATE: &str = "bitrate";

/// What a case is called: the scenario's name, or the cell's two sides.
pub fn label(record: &Record) -> String {
    match &record.cell {
        Some(cell) => format!(
            "{} \u{2192} {}, {} TURN",
            cell.device,
            cell.viewer,
            if cell.turn { "with" } else { "without" }
        ),
        None => record.scenario.clone(),
    }
}

/// Compares by board and name; a case that ran more than once, by its turn.
pub fn compare(now: &[Record], before: &[Record]) -> Trend {
    let mut earlier = keyed(before);
    let mut trend = Trend::default();
    for (key, (place, record)) in keyed(now) {
        let Some((_, old)) = earlier.remove(&key) else {
            trend.added.push(named(record));
            continue;
        };
        let (was, is) = (old.verdict.outcome, record.verdict.outcome);
        let both_passed = was == Outcome::Passed && is == Outcome::Passed;
        let figures =
            if both_passed { moved(&old.verdict.measured, &record.verdict.measured) } else { Vec::new() };
        if was == is && figures.is_empty() {
            trend.unchanged += 1;
        } else {
            trend.changes.push(Change { place, name: named(record), before: was, now: is, figures });
        }
    }
    trend.gone = earlier.into_values().map(|(_, record)| named(record)).collect();
    trend.changes.sort_by_key(urgency);
    trend
}

type Key = (String, String, usize);

fn keyed(records: &[Record]) -> BTreeMap<Key, (usize, &Record)> {
    let mut turns: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut keyed = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        let name = (record.board.clone(), label(record));
        let turn = turns.entry(name.clone()).or_default();
        keyed.insert((name.0, name.1, *turn), (place, record));
        *turn += 1;
    }
    keyed
}

fn named(record: &Record) -> String {
    format!("{} ({})", label(record), record.board)
}

/// Less is shown earlier.
fn urgency(change: &Change) -> (u8, u8, i64) {
    let worst = change.figures.iter().filter(|figure| figure.worse).filter_map(FigureChange::percent);
    // Whole percents order well enough, and are ordered at all.
    let worst = -(worst.map(f64::abs).fold(0.0, f64::max) as i64);
    match (change.before, change.now) {
        (before, now) if before != now && now != Outcome::Passed => (0, rank(now), 0),
        (before, now) if before != now => (1, rank(before), 0),
        _ if worst < 0 => (2, 0, worst),
        _ => (3, 0, 0),
    }
}

fn moved(before: &Measured, now: &Measured) -> Vec<FigureChange> {
    let figures = [
        ("first picture", before.first_picture_ms, now.first_picture_ms),
        ("answer", before.answer_ms, now.answer_ms),
        ("longest freeze", before.longest_freeze_ms, now.longest_freeze_ms),
        ("recovery", before.recovery_ms, now.recovery_ms),
        ("sound and picture", before.av_sync_ms, now.av_sync_ms),
        (BITRATE, before.kbps, now.kbps),
    ];
    let moved = figures.into_iter().filter_map(|(what, before, now)| {
        let (before, now) = (before?, now?);
        let noise = if what == BITRATE { NOISE_KBPS } else { NOISE_MS };
        let by = (now - before).abs();
        // False also for what is no number.
        let beyond = by > noise && by > NOISE_SHARE * before.abs();
        beyond.then_some(FigureChange { what, before, now, worse: (now > before) != (what == BITRATE) })
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;

    fn case(scenario: &str, outcome: Outcome, first_picture_ms: f64) -> Record {
        Record {
            scenario: scenario.into(),
            about: String::new(),
            cell: None,
            board: "local".into(),
            slower: 1.0,
            seed: 1,
            began: 0,
            took_ms: 0.0,
            checks: vec![],
            steps: vec![],
            viewers: vec![],
            lines: vec![],
            files: vec![],
            verdict: Verdict {
                outcome,
                measured: Measured { first_picture_ms: Some(first_picture_ms), ..Measured::default() },
                reasons: vec![],
            },
        }
    }

    #[test]
    fn newly_failing_comes_first_and_noise_is_left_out() {
        use Outcome::{DeviceFault, Passed, RigFault};
        let before = [
            case("noise", Passed, 100.0),
            case("small", Passed, 10.0),
            case("better", Passed, 400.0),
            case("worse", Passed, 100.0),
            case("fixed", DeviceFault, 1.0),
            case("broken", Passed, 100.0),
            case("rig", Passed, 100.0),
            case("gone", Passed, 1.0),
        ];
        let now = [
            case("noise", Passed, 124.0),
            case("small", Passed, 50.0),
            case("better", Passed, 100.0),
            case("worse", Passed, 400.0),
            case("fixed", Passed, 1.0),
            case("broken", DeviceFault, 9000.0),
            case("rig", RigFault, 100.0),
            case("new", Passed, 1.0),
        ];
        let trend = compare(&now, &before);
        let names: Vec<&str> = trend.changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(
            names,
            ["broken (local)", "rig (local)", "fixed (local)", "worse (local)", "better (local)"]
        );
        assert_eq!(trend.unchanged, 2);
        assert_eq!((trend.added, trend.gone), (vec!["new (local)".into()], vec!["gone (local)".into()]));
        let worse = trend.changes[3].figures[0];
        assert!(worse.worse && worse.percent() == Some(300.0), "{worse:?}");
        assert!(trend.changes[0].figures.is_empty(), "a case that failed has no figures to compare");
    }

    #[test]
    fn cases_that_ran_twice_are_compared_turn_by_turn() {
        let before = [case("a", Outcome::Passed, 100.0), case("a", Outcome::Passed, 900.0)];
        let now = [case("a", Outcome::Passed, 100.0), case("a", Outcome::Passed, 900.0)];
        assert_eq!(compare(&now, &before), Trend { unchanged: 2, ..Trend::default() });
    }
}
