//! `report.html`: one page that needs nothing else and works without JavaScript; what went wrong comes first.

mod detail;
mod files;
mod head;
mod heatmap;
mod markup;
mod plot;
mod trend;
mod waterfall;

use std::path::Path;

use self::{
    files::Room,
    markup::{Html, put},
};
use super::{
    Report, RunInfo,
    compare::{Trend, compare, label},
    junit::words,
    matrix::rank,
    units,
};
use crate::record::{Outcome, Record};

/// The whole page.
pub(super) fn page(folder: &Path, run: &RunInfo, records: &[Record], earlier: Option<&Report>) -> String {
    let trend = earlier.map(|earlier| compare(records, &earlier.records));
    let mut page = Html::default();
    let page_ref = &mut page;
    head::write(page_ref, run, records);
    head::wrong(page_ref, records);
    if let (Some(earlier), Some(trend)) = (earlier, &trend) {
        trend::write(page_ref, run, earlier, records, trend);
    }
    heatmap::write(page_ref, records);
    let mut context = Context { folder, records, trend: trend.as_ref(), room: Room::default() };
    // In the order of their importance, so that the page's room for logs is spent on faults.
    let mut places: Vec<usize> = (0..records.len()).collect();
    places.sort_by_key(|place| rank(records[*place].verdict.outcome));
    let (cells, scenarios): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| records[*place].cell.is_some());
    scenario_list(page_ref, &mut context, &scenarios);
    cell_list(page_ref, &mut context, &cells);
    head::foot(page_ref);
    page.finish()
}

/// What all details need.
struct Context<'a> {
    folder: &'a Path,
    records: &'a [Record],
    trend: Option<&'a Trend>,
    room: Room,
}

fn scenario_list(page: &mut Html, context: &mut Context<'_>, places: &[usize]) {
    if places.is_empty() {
        return;
    }
    put!(page; "<section id=\"scenarios\"><h2>Scenarios</h2>");
    rows(page, context, places);
    put!(page; "</section>");
}

/// Cells that did not pass stand open to the eye; the others are folded away.
fn cell_list(page: &mut Html, context: &mut Context<'_>, places: &[usize]) {
    if places.is_empty() {
        return;
    }
    let passed = |place: &usize| context.records[*place].verdict.outcome == Outcome::Passed;
    let (passed, others): (Vec<usize>, Vec<usize>) = places.iter().partition(|place| passed(place));
    put!(page; "<section id=\"cells\"><h2>Cells of the matrix</h2>");
    if !others.is_empty() {
        rows(page, context, &others);
    }
    if !passed.is_empty() {
        put!(page; "<details class=\"fold\"><summary>" (units::count(passed.len(), "cell")) " that passed</summary>");
        rows(page, context, &passed);
        put!(page; "</details>");
    }
    put!(page; "</section>");
}

/// A table whose rows open.
fn rows(page: &mut Html, context: &mut Context<'_>, places: &[usize]) {
    put!(page; "<div class=\"rows\"><div class=\"labels\" aria-hidden=\"true\"><span>outcome</span><span>what</span>"
        "<span>board</span><span>path</span><span>first picture</span><span>longest freeze</span><span>recovery</span>"
        "<span>bitrate</span></div>");
    for place in places {
        let record = &context.records[*place];
        let measured = &record.verdict.measured;
        let dash = || "\u{2013}".to_owned();
        put!(page; "<details class=\"row " (class(record.verdict.outcome)) "\"><summary>");
        badge(page, record.verdict.outcome);
        put!(page; "<span class=\"name\"><b>" (label(record)) "</b>");
        let under = record.verdict.reasons.first().unwrap_or(&record.about);
        if record.cell.is_none() || record.verdict.outcome != Outcome::Passed {
            put!(page; "<small>" (shortened(under, 160)) "</small>");
        }
        put!(page; "</span><span data-k=\"board\">" (record.board) "</span>");
        put!(page; "<span data-k=\"path\">" (measured.path.clone().unwrap_or_else(dash)) "</span>");
        let time = |ms: Option<f64>| ms.map_or_else(dash, units::millis);
        put!(page; "<span data-k=\"first picture\" class=\"n\">" (time(measured.first_picture_ms)) "</span>"
            "<span data-k=\"longest freeze\" class=\"n\">" (time(measured.longest_freeze_ms)) "</span>"
            "<span data-k=\"recovery\" class=\"n\">" (time(measured.recovery_ms)) "</span>"
            "<span data-k=\"bitrate\" class=\"n\">" (measured.kbps.map_or_else(dash, units::kbps)) "</span></summary>");
        detail::write(page, context, *place);
        put!(page; "</details>");
    }
    put!(page; "</div>");
}

/// An outcome as a coloured word with a sign, for those who see no colours.
fn badge(page: &mut Html, outcome: Outcome) {
    put!(page; "<span class=\"badge " (class(outcome)) "\">" (sign(outcome)) " " (words(outcome)) "</span>");
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::DeviceFault => "device-fault",
        Outcome::RigFault => "rig-fault",
        Outcome::Skipped => "skipped",
    }
}

fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "\u{2713}",
        Outcome::DeviceFault => "\u{2717}",
        Outcome::RigFault => "!",
        Outcome::Skipped => "\u{2013}",
    }
}

/// The beginning of a text that would be too long for its place.
fn shortened(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let mut beginning: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        beginning.push('\u{2026}');
    }
    beginning
}
