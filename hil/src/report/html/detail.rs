//! All that is known of a record, behind its row.

use super::{
    super::{
        candidate::Candidate,
        compare::label,
        junit::{figures, words},
        units::{count, millis, utc},
    },
    Context, files,
    markup::{Html, put},
    plot, trend, waterfall,
};
use crate::{
    record::{Outcome, Record, Seen},
    viewer::Event,
};

/// Lines of a table at most: what a device sends has no end of its own.
const MOST_LINES: usize = 200;

/// Writes it.
pub fn write(page: &mut Html, context: &mut Context<'_>, place: usize) {
    let record = &context.records[place];
    put!(page; "<div class=\"body\" tabindex=\"-1\" id=\"c" (place) "\"><h3>" (label(record)) "</h3>");
    if !record.about.is_empty() {
        put!(page; "<p>" (record.about) "</p>");
    }
    if !record.verdict.reasons.is_empty() {
        put!(page; "<ul class=\"reasons\">");
        for reason in &record.verdict.reasons {
            put!(page; "<li>" (reason) "</li>");
        }
        put!(page; "</ul>");
    } else if record.verdict.outcome == Outcome::Passed {
        put!(page; "<p class=\"fine\">All was as expected.</p>");
    }
    figures_of(page, context, place);
    for seen in &record.viewers {
        viewer(page, seen, record.viewers.len() > 1);
    }
    plot::write(page, record);
    steps(page, record);
    checks(page, record);
    files::write(page, context.folder, record, &mut context.room);
    put!(page; "<p class=\"facts\">" (words(record.verdict.outcome)) " \u{b7} board " (record.board) " \u{b7} seed "
        (record.seed) " \u{b7} " (utc(record.began)) " \u{b7} took " (millis(record.took_ms)));
    if record.slower > 1.0 {
        put!(page; " \u{b7} pictures might take " (format!("{:.1}", record.slower)) " times as long as the scenario says");
    }
    if let Some(cell) = &record.cell {
        put!(page; " \u{b7} the device behind " (cell.device) ", the viewer behind " (cell.viewer)
            " \u{b7} the truth table says " (cell.truth) " \u{b7} <a href=\"#matrix\">to the matrix</a>");
    }
    put!(page; "</p></div>");
}

fn figures_of(page: &mut Html, context: &Context<'_>, place: usize) {
    let figures = figures(&context.records[place].verdict.measured);
    let change = context.trend.and_then(|trend| trend.changes.iter().find(|change| change.place == place));
    if figures.is_empty() && change.is_none() {
        return;
    }
    put!(page; "<dl class=\"figures\">");
    for (what, value) in figures {
        put!(page; "<div><dt>" (what) "</dt><dd>" (value));
        if let Some(moved) =
            change.and_then(|change| change.figures.iter().find(|figure| figure.what == what))
        {
            put!(page; "<small>");
            trend::moved(page, moved);
            put!(page; "</small>");
        }
        put!(page; "</dd></div>");
    }
    put!(page; "</dl>");
    if let Some(change) = change.filter(|change| change.before != change.now) {
        put!(page; "<p>In the earlier report: " (words(change.before)) ".</p>");
    }
}

fn viewer(page: &mut Html, seen: &Seen, named: bool) {
    put!(page; "<h4>Connecting");
    if named {
        put!(page; ": viewer " (seen.viewer));
        if seen.offset_ms > 0.0 {
            put!(page; ", " (millis(seen.offset_ms)) " after the first");
        }
    }
    put!(page; " <small>" (seen.kind) "</small></h4>");
    waterfall::write(page, seen);
    let mut paths = seen.events.iter().filter_map(|event| match event {
        Event::Path { ms, local, remote, rtt_ms } => Some((ms, local, remote, rtt_ms)),
        _ => None,
    });
    for (ms, local, remote, rtt_ms) in paths.by_ref().take(MOST_LINES) {
        put!(page; "<p class=\"pair\">Pair in use from " (millis(*ms)) " on: viewer <b>" (local) "</b> \u{2194} device <b>"
            (remote) "</b>");
        if let Some(rtt) = rtt_ms {
            put!(page; ", round trip " (millis(*rtt)));
        }
        put!(page; "</p>");
    }
    let mut sessions = 0;
    for event in seen.events.iter().filter(|event| !is_routine(event)).take(MOST_LINES) {
        match event {
            Event::Error { ms, code, message } => {
                put!(page; "<p class=\"pair\">Told after " (millis(*ms)) ": <b>" (code) "</b> " (message) "</p>");
            }
            Event::Session { ms, .. } => {
                sessions += 1;
                if sessions > 1 {
                    put!(page; "<p class=\"pair\">Asked again: session " (sessions) " after " (millis(*ms)) "</p>");
                }
            }
            Event::End { ms, reason } => {
                put!(page; "<p class=\"pair\">Ended after " (millis(*ms)) ": " (reason) "</p>")
            }
            Event::State { ms, state } => {
                put!(page; "<p class=\"pair\">" (state) " after " (millis(*ms)) "</p>")
            }
            _ => {}
        }
    }
    put!(page; "<div class=\"sides\">");
    candidates(page, seen, false);
    candidates(page, seen, true);
    put!(page; "</div>");
}

/// What is drawn or has a table of its own.
fn is_routine(event: &Event) -> bool {
    match event {
        Event::Session { .. } | Event::Error { .. } | Event::End { .. } => false,
        Event::State { state, .. } => state != "disconnected" && state != "failed",
        _ => true,
    }
}

fn candidates(page: &mut Html, seen: &Seen, of_device: bool) {
    let lines: Vec<(f64, &str)> = seen
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Candidate { ms, remote, candidate } if *remote == of_device => {
                Some((*ms, candidate.as_str()))
            }
            _ => None,
        })
        .collect();
    let whose = if of_device { "the device" } else { "the viewer" };
    put!(page; "<div class=\"wide\"><table><caption>Candidates of " (whose) "</caption>");
    if lines.is_empty() {
        put!(page; "<tbody><tr><td>none</td></tr></tbody></table></div>");
        return;
    }
    put!(page; "<thead><tr><th>after</th><th>type</th><th>address</th><th>protocol</th><th>base</th></tr></thead><tbody>");
    for (ms, line) in lines.iter().take(MOST_LINES) {
        put!(page; "<tr><td class=\"n\">" (millis(*ms)) "</td>");
        match Candidate::read(line) {
            Some(read) => {
                let address = if read.address.contains(':') {
                    format!("[{}]", read.address)
                } else {
                    read.address.clone()
                };
                put!(page; "<td><b>" (read.kind) "</b></td><td>" (address) ":" (read.port) "</td><td>" (read.protocol)
                    "</td><td>" (read.related.unwrap_or_default()) "</td>");
            }
            None if line.is_empty() => put!(page; "<td colspan=\"4\">no more</td>"),
            None => put!(page; "<td colspan=\"4\">" (line) "</td>"),
        }
        put!(page; "</tr>");
    }
    put!(page; "</tbody></table>");
    if lines.len() > MOST_LINES {
        put!(page; "<p>and " (count(lines.len() - MOST_LINES, "candidate")) " more, in report.json</p>");
    }
    put!(page; "</div>");
}

fn steps(page: &mut Html, record: &Record) {
    if record.steps.is_empty() {
        return;
    }
    put!(page; "<div class=\"wide\"><table><caption>What the rig did</caption><thead><tr><th>at</th>"
        "<th>what</th><th>lasted</th>"
        "<th>viewers may feel it</th></tr></thead><tbody>");
    for step in record.steps.iter().take(MOST_LINES) {
        let lasted = step.until_ms.map(|until| millis(until - step.ms)).unwrap_or_default();
        put!(page; "<tr><td class=\"n\">" (millis(step.ms)) "</td><td>" (step.what) "</td><td class=\"n\">" (lasted)
            "</td><td>" (if step.disturbs { "yes" } else { "" }) "</td></tr>");
    }
    put!(page; "</tbody></table></div>");
}

fn checks(page: &mut Html, record: &Record) {
    if record.checks.is_empty() {
        return;
    }
    let bad = record.checks.iter().filter(|check| !check.ok).count();
    put!(page; "<details class=\"fold\"");
    if bad > 0 {
        put!(page; " open");
    }
    put!(page; "><summary>The rig\u{2019}s checks of itself: ");
    match bad {
        0 => put!(page; "all " (record.checks.len()) " as wanted"),
        bad => put!(page; (bad) " of " (record.checks.len()) " not as wanted"),
    }
    put!(page; "</summary><div class=\"wide\"><table><thead><tr>"
        "<th></th><th>what</th><th>wanted</th><th>found</th></tr></thead><tbody>");
    for check in record.checks.iter().take(MOST_LINES) {
        let (class, sign) = if check.ok { ("fine", "\u{2713}") } else { ("bad", "\u{2717}") };
        put!(page; "<tr class=\"" (class) "\"><td>" (sign) "</td><td>" (check.what) "</td><td>" (check.wanted) "</td><td>"
            (check.found) "</td></tr>");
    }
    put!(page; "</tbody></table></div></details>");
}
