//! What changed since an earlier report.

use super::{
    super::{
        Report, RunInfo,
        compare::{Change, FigureChange, Trend},
        units::{self, kbps, median, millis},
    },
    badge,
    markup::{Html, put},
};
use crate::record::Record;

/// Names of added or gone cases that are listed; more are counted.
const NAMED: usize = 40;
/// Changed figures that are shown at once, the worst first.
const SHOWN: usize = 8;

/// Writes the section.
pub fn write(page: &mut Html, run: &RunInfo, earlier: &Report, records: &[Record], trend: &Trend) {
    let version = earlier.run.describe.as_deref().unwrap_or(&earlier.run.version);
    put!(page; "<section id=\"trend\"><h2>Since the report of " (units::utc(earlier.run.began)) " <small>" (version)
        "</small></h2>");
    if earlier.run.machine != run.machine {
        put!(page; "<p>It ran on another machine (" (earlier.run.machine.cpu) ", "
            (units::count(earlier.run.machine.cores, "core")) "): times differ for that alone.</p>");
    }
    medians(page, &earlier.records, records);
    let (outcomes, figures): (Vec<&Change>, Vec<&Change>) =
        trend.changes.iter().partition(|change| change.before != change.now);
    table(page, &outcomes, true);
    let (shown, folded) = figures.split_at(figures.len().min(SHOWN));
    table(page, shown, false);
    if !folded.is_empty() {
        put!(page; "<details class=\"fold\"><summary>" (folded.len()) " more with changed figures</summary>");
        table(page, folded, false);
        put!(page; "</details>");
    }
    put!(page; "<p><small>" (units::count(trend.unchanged, "case")) " as before. A figure counts as changed beyond 25 % and "
        "50 ms (50 kbit/s).</small></p>");
    names(page, "Only in this run", &trend.added);
    names(page, "Only in the earlier one", &trend.gone);
    put!(page; "</section>");
}

/// Cases whose outcome changed, or whose figures did.
fn table(page: &mut Html, changes: &[&Change], outcomes: bool) {
    if changes.is_empty() {
        return;
    }
    put!(page; "<table class=\"changes\"><thead><tr><th>what</th>");
    if outcomes {
        put!(page; "<th>before</th><th>now</th></tr></thead><tbody>");
    } else {
        put!(page; "<th>figure</th></tr></thead><tbody>");
    }
    for change in changes {
        put!(page; "<tr><td><a href=\"#c" (change.place) "\">" (change.name) "</a></td><td>");
        if outcomes {
            badge(page, change.before);
            put!(page; "</td><td>");
            badge(page, change.now);
        }
        for figure in &change.figures {
            put!(page; "<span class=\"figure\">" (figure.what) " ");
            moved(page, figure);
            put!(page; "</span>");
        }
        put!(page; "</td></tr>");
    }
    put!(page; "</tbody></table>");
}

/// `120 ms -> 480 ms`, with arrow and percent.
pub fn moved(page: &mut Html, figure: &FigureChange) {
    let value = |value: f64| if figure.is_bitrate() { kbps(value) } else { millis(value) };
    let class = if figure.worse { "worse" } else { "better" };
    let arrow = if figure.now > figure.before { "\u{2191}" } else { "\u{2193}" };
    put!(page; (value(figure.before)) " \u{2192} " (value(figure.now)) " <b class=\"" (class) "\">" (arrow));
    if let Some(percent) = figure.percent() {
        put!(page; " " (format!("{:.0}", percent.abs())) " %");
    }
    put!(page; (if figure.worse { " worse" } else { " better" }) "</b>");
}

/// Medians over all cells by path: they move less by chance than a single figure.
fn medians(page: &mut Html, before: &[Record], now: &[Record]) {
    let of = |records: &[Record], path: &str| {
        let cells = records.iter().filter(|record| record.cell.is_some());
        let times =
            cells.map(|record| &record.verdict.measured).filter(|all| all.path.as_deref() == Some(path));
        median(times.filter_map(|all| all.first_picture_ms))
    };
    for path in ["direct", "relayed"] {
        if let (Some(was), Some(is)) = (of(before, path), of(now, path)) {
            put!(page; "<p class=\"tight\">Median time to first picture of cells, " (path) ": " (millis(was))
                " \u{2192} " (millis(is)) "</p>");
        }
    }
}

fn names(page: &mut Html, title: &'static str, names: &[String]) {
    if !names.is_empty() {
        put!(page; "<details class=\"fold\"><summary>" (title) ": " (names.len()) "</summary><p>"
            (names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ")));
        if names.len() > NAMED {
            put!(page; " and " (names.len() - NAMED) " more");
        }
        put!(page; "</p></details>");
    }
}
