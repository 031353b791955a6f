//! The matrix as heat maps: with TURN and without, side by side, coloured by outcome or by time.

use super::{
    super::{
        junit::words,
        matrix::{Matrix, letter},
        units::{median, millis, quantile},
    },
    class,
    markup::{Html, at, put},
    sign,
};
use crate::record::{Outcome, Record};

/// Draws all there are.
pub fn write(page: &mut Html, records: &[Record]) {
    let matrices = Matrix::all(records);
    if matrices.is_empty() {
        return;
    }
    put!(page; "<section id=\"matrix\"><h2>Matrix</h2><div class=\"heat\"><fieldset><legend>colour by</legend>"
        "<label><input type=\"radio\" name=\"by\" id=\"by-outcome\" checked> outcome</label>"
        "<label><input type=\"radio\" name=\"by\" id=\"by-first\"> time to first picture</label>"
        "<label><input type=\"radio\" name=\"by\" id=\"by-answer\"> answer time</label></fieldset>");
    let first = Scale::of(records, |record| record.verdict.measured.first_picture_ms);
    let answer = Scale::of(records, |record| record.verdict.measured.answer_ms);
    put!(page; "<p class=\"legend by-outcome\"><span><i class=\"key direct\"></i>direct</span>"
        "<span><i class=\"key relayed\"></i>relayed</span><span><i class=\"key none\"></i>none, and said so</span>"
        "<span><i class=\"key device-fault\"></i>\u{2717} device fault</span>"
        "<span><i class=\"key rig-fault\"></i>! rig fault</span><span><i class=\"key skipped\"></i>\u{2013} skipped</span>"
        "<span><b>P</b> a direct path exists, <b>R</b> it takes a relay</span></p>");
    first.legend(page, "by-first");
    answer.legend(page, "by-answer");
    put!(page; "<div class=\"maps\">");
    let boards = matrices.iter().any(|matrix| matrix.board != matrices[0].board);
    for matrix in &matrices {
        map(page, matrix, &first, &answer, boards);
    }
    put!(page; "</div></div></section>");
}

fn map(page: &mut Html, matrix: &Matrix<'_>, first: &Scale, answer: &Scale, name_board: bool) {
    let runs = || matrix.all_runs();
    let passed = runs().filter(|record| record.verdict.outcome == Outcome::Passed).count();
    put!(page; "<figure><table class=\"map\"><caption>" (if matrix.turn { "with TURN" } else { "without TURN" }));
    if name_board {
        put!(page; ", board " (matrix.board));
    }
    put!(page; " <small>" (passed) " of " (runs().count()) " passed</small></caption><thead><tr>"
        "<td class=\"corner\"><span>viewer \u{2192}</span><span>device \u{2193}</span></td>");
    for kind in &matrix.columns {
        put!(page; "<th scope=\"col\">");
        split(page, kind);
        put!(page; "</th>");
    }
    put!(page; "</tr></thead><tbody>");
    for device in &matrix.rows {
        put!(page; "<tr><th scope=\"row\">");
        split(page, device);
        put!(page; "</th>");
        for viewer in &matrix.columns {
            match matrix.at(device, viewer) {
                Some((place, record)) => cell(page, place, record, first, answer),
                None => put!(page; "<td></td>"),
            }
        }
        put!(page; "</tr>");
    }
    put!(page; "</tbody></table><figcaption>");
    for path in ["direct", "relayed"] {
        let times = runs().filter(|record| record.verdict.measured.path.as_deref() == Some(path));
        let times: Vec<f64> = times.filter_map(|record| record.verdict.measured.first_picture_ms).collect();
        if let Some(middle) = median(times.iter().copied()) {
            put!(page; "<span>" (path) ": first picture after " (millis(middle)) " (median of " (times.len()) ")</span> ");
        }
    }
    put!(page; "</figcaption></figure>");
}

/// `EIM/APDF` in two lines.
fn split(page: &mut Html, kind: &str) {
    match kind.split_once('/') {
        Some((mapping, filtering)) => put!(page; (mapping) "/<br>" (filtering)),
        None => put!(page; (kind)),
    }
}

fn cell(page: &mut Html, place: usize, record: &Record, first: &Scale, answer: &Scale) {
    let Some(cell) = &record.cell else { return };
    let (outcome, measured) = (record.verdict.outcome, &record.verdict.measured);
    let path = match (outcome, measured.path.as_deref()) {
        (Outcome::Passed, Some("direct")) => "direct",
        (Outcome::Passed, Some("relayed")) => "relayed",
        (Outcome::Passed, _) => "none",
        _ => "",
    };
    let time = |ms: Option<f64>| ms.map_or_else(|| "\u{2013}".to_owned(), short);
    put!(page; "<td><a class=\"cell " (class(outcome)) " " (path) "\" href=\"#c" (place) "\" style=\"--f:"
        (first.share(measured.first_picture_ms)) "%;--a:" (answer.share(measured.answer_ms)) "%\" title=\"device "
        (cell.device) ", viewer " (cell.viewer) ": " (words(outcome)));
    if let Some(path) = &measured.path {
        put!(page; ", path " (path));
    }
    if let Some(ms) = measured.first_picture_ms {
        put!(page; ", first picture after " (millis(ms)));
    }
    put!(page; "\"><b>" (letter(cell)));
    if outcome != Outcome::Passed {
        put!(page; (sign(outcome)));
    }
    put!(page; "</b><small class=\"tf\">" (time(measured.first_picture_ms)) "</small><small class=\"ta\">"
        (time(measured.answer_ms)) "</small></a></td>");
}

/// A time of at most four letters: milliseconds, or seconds with an s.
fn short(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => "?".into(),
        ms if ms < 999.5 => format!("{ms:.0}"),
        ms if ms < 9_950.0 => format!("{:.1}s", ms / 1e3),
        ms => format!("{:.0}s", ms / 1e3),
    }
}

/// A logarithmic scale over the times that occur: what differs by a factor differs as much to the eye.
struct Scale {
    least: f64,
    most: f64,
    middle: Option<f64>,
}

impl Scale {
    fn of(records: &[Record], time: impl Fn(&Record) -> Option<f64>) -> Self {
        let times = || records.iter().filter(|record| record.cell.is_some()).filter_map(&time);
        Self {
            least: quantile(times(), 0.0).unwrap_or(1.0).max(1.0),
            most: quantile(times(), 1.0).unwrap_or(1.0).max(1.0),
            middle: median(times()),
        }
    }

    /// How much of the scale's colour, in percent.
    fn share(&self, ms: Option<f64>) -> String {
        let Some(ms) = ms.filter(|ms| ms.is_finite()) else { return "0".into() };
        // With less than a factor of two between them they shall not look as different as they can.
        let range = (self.most / self.least).max(2.0).ln();
        at(8.0 + 72.0 * ((ms.max(1.0) / self.least).ln() / range).clamp(0.0, 1.0))
    }

    fn legend(&self, page: &mut Html, class: &'static str) {
        put!(page; "<p class=\"legend " (class) "\">");
        match self.middle {
            Some(middle) => {
                put!(page; "<span>" (millis(self.least)) " <i class=\"scale\"></i> " (millis(self.most))
                "</span><span>median " (millis(middle)) "; in milliseconds unless it says s; logarithmic</span>")
            }
            None => put!(page; "<span>no such time was measured</span>"),
        }
        put!(page; "</p>");
    }
}
