//! The page's beginning: what ran, on what, what came of it, and what went wrong.

use super::{
    super::{
        RunInfo,
        compare::label,
        junit::words,
        matrix::rank,
        units::{self, millis},
    },
    badge, class,
    markup::{Html, at, put},
    shortened,
};
use crate::record::{Outcome, Record};

const ALL: [Outcome; 4] = [Outcome::DeviceFault, Outcome::RigFault, Outcome::Skipped, Outcome::Passed];

/// Faults named at once; the others are one click away.
const NAMED: usize = 12;

/// Opens the page.
pub fn write(page: &mut Html, run: &RunInfo, records: &[Record]) {
    let number = |outcome: Outcome| records.iter().filter(|record| record.verdict.outcome == outcome).count();
    put!(page; "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\">"
        // Nothing is loaded from anywhere, whatever the text in it may be.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        "<title>p2pcam-hil: " (number(Outcome::Passed)) " of " (records.len()) " passed</title><style>");
    page.raw(include_str!("page.css"));
    put!(page; "</style></head><body><header><h1>p2pcam-hil <span>" (units::utc(run.began)) "</span></h1>");

    put!(page; "<p class=\"counts\">");
    for outcome in ALL {
        let count = number(outcome);
        if count > 0 || outcome == Outcome::Passed {
            put!(page; "<span class=\"count " (class(outcome)) "\"><b>" (count) "</b> " (plural(outcome, count)) "</span>");
        }
    }
    put!(page; "</p><div class=\"bar\" aria-hidden=\"true\">");
    for outcome in ALL {
        let share = number(outcome) as f64 / records.len().max(1) as f64 * 100.0;
        if share > 0.0 {
            put!(page; "<i class=\"" (class(outcome)) "\" style=\"width:" (at(share)) "%\"></i>");
        }
    }
    put!(page; "</div>");

    put!(page; "<p class=\"command\"><code id=\"command\">" (run.repeat()) "</code>"
        "<button type=\"button\" data-copy=\"command\" hidden>copy</button></p><dl class=\"meta\">");
    let cells = records.iter().filter(|record| record.cell.is_some()).count();
    let what = match (cells, records.len() - cells) {
        (0, scenarios) => units::count(scenarios, "scenario"),
        (cells, 0) => units::count(cells, "cell"),
        (cells, scenarios) => {
            format!("{}, {}", units::count(cells, "cell"), units::count(scenarios, "scenario"))
        }
    };
    let version = match &run.describe {
        Some(describe) => format!("{} ({describe})", run.version),
        None => run.version.clone(),
    };
    let cores = units::count(run.machine.cores, "core");
    for (name, value) in [
        ("ran", what),
        ("took", millis(run.took_ms)),
        ("seed", run.seed.to_string()),
        ("p2pcam-hil", version),
        ("p2pcam-agent", run.agent.clone().unwrap_or_else(|| "unknown".into())),
        ("machine", format!("{}, {cores}, {}", run.machine.cpu, run.machine.kernel)),
    ] {
        put!(page; "<div><dt>" (name) "</dt><dd>" (value) "</dd></div>");
    }
    put!(page; "</dl></header><main>");
    if records.is_empty() {
        put!(page; "<p>Nothing ran.</p>");
    }
}

fn plural(outcome: Outcome, count: usize) -> String {
    match outcome {
        Outcome::DeviceFault | Outcome::RigFault if count != 1 => format!("{}s", words(outcome)),
        _ => words(outcome).to_owned(),
    }
}

/// What did not pass, with its first reason.
pub fn wrong(page: &mut Html, records: &[Record]) {
    let mut wrong: Vec<(usize, &Record)> =
        records.iter().enumerate().filter(|(_, record)| record.verdict.outcome != Outcome::Passed).collect();
    if wrong.is_empty() {
        return;
    }
    wrong.sort_by_key(|(_, record)| rank(record.verdict.outcome));
    put!(page; "<section id=\"wrong\"><h2>What did not pass</h2><ul class=\"wrong\">");
    for entry in wrong.iter().take(NAMED) {
        line(page, entry);
    }
    put!(page; "</ul>");
    if wrong.len() > NAMED {
        put!(page; "<details class=\"fold\"><summary>" (wrong.len() - NAMED) " more</summary><ul class=\"wrong\">");
        for entry in &wrong[NAMED..] {
            line(page, entry);
        }
        put!(page; "</ul></details>");
    }
    put!(page; "</section>");
}

fn line(page: &mut Html, (place, record): &(usize, &Record)) {
    put!(page; "<li>");
    badge(page, record.verdict.outcome);
    put!(page; "<span><a href=\"#c" (place) "\">" (label(record)) "</a> <small>" (record.board) "</small><br>");
    match record.verdict.reasons.as_slice() {
        [] => put!(page; "no reason was given"),
        [only] => put!(page; (shortened(only, 300))),
        [first, more @ ..] => put!(page; (shortened(first, 300)) " <small>and " (more.len()) " more</small>"),
    }
    put!(page; "</span></li>");
}

/// Closes the page.
pub fn foot(page: &mut Html) {
    put!(page; "</main><footer><p>All of it for programs: <a href=\"report.json\">report.json</a>, "
        "<a href=\"junit.xml\">junit.xml</a>.</p></footer><script>");
    page.raw(include_str!("page.js"));
    put!(page; "</script></body></html>\n");
}
