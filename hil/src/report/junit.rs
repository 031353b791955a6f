//! `junit.xml`: a test suite for each board, a case for each scenario or cell.

use std::{io, time::Duration};

use chrono::{DateTime, FixedOffset};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{RunInfo, compare::label, units};
use crate::record::{Measured, MeasuredWindow, Outcome, Record};

/// The file's text.
pub(super) fn text(run: &RunInfo, records: &[Record]) -> io::Result<String> {
    let mut report = Report::new("p2pcam-hil");
    report.set_time(time(run.took_ms));
    if let Some(began) = moment(run.began) {
        report.set_timestamp(began);
    }
    let mut boards: Vec<&str> = Vec::new();
    for record in records {
        if !boards.contains(&record.board.as_str()) {
            boards.push(&record.board);
        }
    }
    for board in boards {
        let mut suite = TestSuite::new(board);
        suite.add_property(Property::new("command", run.repeat()));
        suite.add_property(Property::new("version", run.describe.as_deref().unwrap_or(&run.version)));
        let of_board = || records.iter().filter(|record| record.board == board);
        suite.set_time(time(of_board().map(|record| record.took_ms).sum()));
        suite.add_test_cases(of_board().map(case));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(io::Error::other)
}

fn case(record: &Record) -> TestCase {
    let reasons = &record.verdict.reasons;
    let mut status = match record.verdict.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::DeviceFault => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::RigFault => TestCaseStatus::non_success(NonSuccessKind::Error),
        Outcome::Skipped => TestCaseStatus::skipped(),
    };
    if record.verdict.outcome != Outcome::Passed {
        status.set_type(words(record.verdict.outcome));
        status.set_message(reasons.join("; "));
        status.set_description(reasons.join("\n"));
    }
    let mut case = TestCase::new(label(record), status);
    let group = if record.cell.is_some() { "matrix" } else { "scenario" };
    case.set_classname(format!("{}.{group}", record.board));
    case.set_time(time(record.took_ms));
    if let Some(began) = moment(record.began) {
        case.set_timestamp(began);
    }
    case.add_property(Property::new("seed", record.seed.to_string()));
    let figures = figures(&record.verdict.measured);
    case.set_system_out(figures.iter().map(|(what, value)| format!("{what}: {value}\n")).collect::<String>());
    case
}

/// The outcome's name.
pub(super) fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::DeviceFault => "device fault",
        Outcome::RigFault => "rig fault",
        Outcome::Skipped => "skipped",
    }
}

/// What was measured, by name and in words.
pub(super) fn figures(measured: &Measured) -> Vec<(&'static str, String)> {
    let figures = [
        ("path", measured.path.clone()),
        ("pair", measured.pair.clone()),
        ("answer", measured.answer_ms.map(units::millis)),
        ("first picture", measured.first_picture_ms.map(units::millis)),
        ("longest freeze", measured.longest_freeze_ms.map(units::millis)),
        ("recovery", measured.recovery_ms.map(units::millis)),
        ("bitrate", measured.kbps.map(units::kbps)),
        ("sound and picture", measured.av_sync_ms.map(units::millis)),
        ("error told", measured.error.clone()),
    ];
    let windows = measured.windows.iter().map(|found| ("window", window(found)));
    figures.into_iter().filter_map(|(what, value)| Some((what, value?))).chain(windows).collect()
}

/// A part of the time, in words.
fn window(found: &MeasuredWindow) -> String {
    let span = format!("{} to {}", units::millis(found.from_ms), units::millis(found.to_ms));
    let figures = [
        found.kbps.map(|kbps| format!("pictures {}", units::kbps(kbps))),
        found.wire_kbps.map(|kbps| format!("with sound and headers {}", units::kbps(kbps))),
        found.utilisation.map(|share| format!("{:.0} % of the line", share * 1e2)),
        found.reached_ms.map(|after| format!("rate reached after {}", units::millis(after))),
        found.pictures.map(|pictures| format!("{pictures:.1} pictures a second")),
        found.delay_ms.map(|delay| format!("up to {} old", units::millis(delay))),
        found.longest_freeze_ms.map(|freeze| format!("longest freeze {}", units::millis(freeze))),
        found
            .freeze_count
            .zip(found.frozen_ms)
            .map(|(count, ms)| format!("freezes counted by the browser {count} ({})", units::millis(ms))),
    ];
    let figures: Vec<_> = figures.into_iter().flatten().collect();
    format!("{span}, {}: {}", found.viewer, figures.join(", "))
}

/// Milliseconds as a time; none or nonsense is zero.
fn time(ms: f64) -> Duration {
    /// Readers of JUnit compute with what they find: no run is longer than a year.
    const LONGEST: f64 = 365.0 * 86_400.0 * 1e3;
    Duration::from_millis(ms.clamp(0.0, LONGEST) as u64)
}

fn moment(seconds: u64) -> Option<DateTime<FixedOffset>> {
    let seconds = i64::try_from(seconds).ok()?;
    // Later years do not fit RFC 3339.
    DateTime::from_timestamp(seconds, 0)
        .filter(|time| time.timestamp() < 253_402_300_800)
        .map(|time| time.fixed_offset())
}
