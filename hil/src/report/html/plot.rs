//! A run over time: bitrate of pictures, freezes, packets lost on the lines, and what the rig did.

use super::{
    super::units,
    markup::{Html, at, put},
    waterfall::ticks,
};
use crate::{
    record::{Record, Step},
    viewer::Event,
};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
/// Height of a line of words for a step.
const WORDS: f64 = 15.0;
const BITRATE: f64 = 130.0;
const LOST: f64 = 52.0;
const GAP: f64 = 22.0;
/// Wider bars would be coarse, narrower ones cannot be seen.
const BARS: usize = 160;
/// More steps than this have no words in the plot; all of them stand in the table.
const MOST_WORDS: usize = 12;
/// More points than pixels show nothing.
const MOST_POINTS: usize = 1200;
/// More bands than this cannot be told apart.
const MOST_BANDS: usize = 300;

/// Draws it, if anything was seen over time.
pub fn write(page: &mut Html, record: &Record) {
    let curves = curves(record);
    let freezes = freezes(record);
    let end = curves.iter().flat_map(|(_, points)| points.iter().map(|(ms, _)| *ms));
    let end =
        end.chain(record.lines.iter().map(|line| line.ms)).filter(|ms| ms.is_finite()).fold(0.0, f64::max);
    let pictures = curves.iter().any(|(_, points)| !points.is_empty());
    let lost_any = record.lines.iter().any(|line| line.lost > 0);
    if end <= 0.0 || !(pictures || lost_any || record.steps.iter().any(|step| step.ms >= 0.0)) {
        return;
    }
    put!(page; "<h4>Over time</h4>");
    let steps: Vec<&Step> = record.steps.iter().filter(|step| step.ms >= 0.0 && step.ms <= end).collect();
    let worded = steps.len().min(MOST_WORDS);
    let top = 8.0 + WORDS * worded as f64;
    let lost_top = top + BITRATE + GAP;
    let bottom = lost_top + LOST;
    let x = |ms: f64| LEFT + (ms / end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);

    put!(page; "<div class=\"plot\"><svg viewBox=\"0 0 " (at(WIDTH)) " " (at(bottom + 24.0))
        "\" role=\"img\" aria-label=\"Bitrate, lost packets and freezes over time\">");
    for tick in ticks(end, 8.0) {
        put!(page; "<line class=\"grid\" x1=\"" (at(x(tick))) "\" x2=\"" (at(x(tick))) "\" y1=\"" (at(top)) "\" y2=\""
            (at(bottom)) "\"/><text class=\"axis\" text-anchor=\"middle\" x=\"" (at(x(tick))) "\" y=\"" (at(bottom + 15.0))
            "\">" ((tick / 100.0).round() / 10.0) " s</text>");
    }
    for (ms, lasted) in freezes.iter().take(MOST_BANDS) {
        put!(page; "<rect class=\"freeze\" x=\"" (at(x(*ms))) "\" width=\"" (at((x(ms + lasted) - x(*ms)).max(1.0)))
            "\" y=\"" (at(top)) "\" height=\"" (at(BITRATE)) "\"><title>no picture for " (units::millis(*lasted)) " from "
            (units::millis(*ms)) "</title></rect>");
    }
    bitrate(page, &curves, top, &x);
    lost(page, record, end, lost_top, &x);
    for (row, step) in steps.iter().take(MOST_BANDS).enumerate() {
        mark(page, step, (row < MOST_WORDS).then_some(row), top, bottom, &x);
    }
    // Above all lines, which would cross them.
    for (row, step) in steps.iter().take(MOST_WORDS).enumerate() {
        let left = x(step.ms);
        let (anchor, beside) = if left > WIDTH * 0.6 { ("end", left - 5.0) } else { ("start", left + 5.0) };
        put!(page; "<text class=\"words\" text-anchor=\"" (anchor) "\" x=\"" (at(beside)) "\" y=\""
            (at(13.0 + WORDS * row as f64)) "\">" (super::shortened(&step.what, 64)) "</text>");
    }
    put!(page; "</svg></div>");
    legend(page, record, &curves, !freezes.is_empty(), steps.len() > worded);
}

fn bitrate(page: &mut Html, curves: &[(&str, Vec<(f64, f64)>)], top: f64, x: &impl Fn(f64) -> f64) {
    let highest =
        curves.iter().flat_map(|(_, points)| points).map(|(_, kbps)| *kbps).fold(1.0, f64::max) * 1.1;
    let y = |kbps: f64| top + BITRATE * (1.0 - (kbps / highest).clamp(0.0, 1.0));
    if curves.iter().all(|(_, points)| points.is_empty()) {
        put!(page; "<text class=\"axis\" x=\"" (at(LEFT + 6.0)) "\" y=\"" (at(top + BITRATE / 2.0))
            "\">no picture came</text>");
        return;
    }
    for tick in ticks(highest, 4.0) {
        put!(page; "<line class=\"grid\" x1=\"" (at(LEFT)) "\" x2=\"" (at(WIDTH - RIGHT)) "\" y1=\"" (at(y(tick)))
            "\" y2=\"" (at(y(tick))) "\"/><text class=\"axis\" text-anchor=\"end\" x=\"" (at(LEFT - 6.0)) "\" y=\""
            (at(y(tick) + 4.0)) "\">" (tick.round()) "</text>");
    }
    put!(page; "<text class=\"axis\" transform=\"translate(14 " (at(top + BITRATE / 2.0))
        ") rotate(-90)\" text-anchor=\"middle\">kbit/s</text>");
    for (viewer, (_, points)) in curves.iter().enumerate() {
        put!(page; "<polyline class=\"curve v" (viewer % 4) "\" points=\"");
        for (ms, kbps) in points.iter().step_by(points.len().div_ceil(MOST_POINTS).max(1)) {
            put!(page; (at(x(*ms))) "," (at(y(*kbps))) " ");
        }
        put!(page; "\"/>");
    }
}

/// Packets lost, from both lines and both directions, in bars.
fn lost(page: &mut Html, record: &Record, end: f64, top: f64, x: &impl Fn(f64) -> f64) {
    let mut bars = [[0u64; 2]; BARS];
    for sample in &record.lines {
        if sample.ms.is_finite() && sample.ms >= 0.0 {
            let bar = ((sample.ms / end * BARS as f64) as usize).min(BARS - 1);
            let side = usize::from(sample.side != "device");
            bars[bar][side] = bars[bar][side].saturating_add(sample.lost);
        }
    }
    let highest = bars.iter().map(|[device, viewer]| device.saturating_add(*viewer)).max().unwrap_or(0);
    put!(page; "<line class=\"base\" x1=\"" (at(LEFT)) "\" x2=\"" (at(WIDTH - RIGHT)) "\" y1=\"" (at(top + LOST)) "\" y2=\""
        (at(top + LOST)) "\"/><text class=\"axis\" text-anchor=\"end\" x=\"" (at(LEFT - 6.0)) "\" y=\"" (at(top + LOST))
        "\">0</text><text class=\"axis\" transform=\"translate(14 " (at(top + LOST / 2.0))
        ") rotate(-90)\" text-anchor=\"middle\">lost</text>");
    if highest == 0 {
        put!(page; "<text class=\"axis\" x=\"" (at(LEFT + 6.0)) "\" y=\"" (at(top + LOST - 8.0))
            "\">no packet was lost</text>");
        return;
    }
    put!(page; "<text class=\"axis\" text-anchor=\"end\" x=\"" (at(LEFT - 6.0)) "\" y=\"" (at(top + 8.0)) "\">" (highest)
        "</text>");
    let width = (WIDTH - LEFT - RIGHT) / BARS as f64;
    for (bar, lost) in bars.iter().enumerate() {
        let mut base = top + LOST;
        for (lost, class) in lost.iter().zip(["lost device", "lost viewer"]) {
            let height = *lost as f64 / highest as f64 * LOST;
            if height > 0.0 {
                base -= height;
                let left = x(end * bar as f64 / BARS as f64);
                put!(page; "<rect class=\"" (class) "\" x=\"" (at(left)) "\" width=\"" (at(width * 0.85)) "\" y=\"" (at(base))
                    "\" height=\"" (at(height.max(0.8))) "\"/>");
            }
        }
    }
}

/// A step: a line down from where its words stand, and a band for how long it lasted.
fn mark(page: &mut Html, step: &Step, row: Option<usize>, top: f64, bottom: f64, x: &impl Fn(f64) -> f64) {
    let left = x(step.ms);
    let class = if step.disturbs { "step disturbs" } else { "step" };
    if let Some(until) = step.until_ms.filter(|until| *until > step.ms) {
        put!(page; "<rect class=\"lasts\" x=\"" (at(left)) "\" width=\"" (at(x(until) - left)) "\" y=\"" (at(bottom - 5.0))
            "\" height=\"5\"/>");
    }
    let from = row.map_or(top, |row| 4.0 + WORDS * row as f64);
    put!(page; "<line class=\"" (class) "\" x1=\"" (at(left)) "\" x2=\"" (at(left)) "\" y1=\"" (at(from)) "\" y2=\""
        (at(bottom)) "\"/>");
}

fn legend(page: &mut Html, record: &Record, curves: &[(&str, Vec<(f64, f64)>)], froze: bool, hidden: bool) {
    put!(page; "<p class=\"legend\">");
    let seen = curves.iter().enumerate().filter(|(_, (_, points))| !points.is_empty());
    for (viewer, (name, _)) in seen {
        put!(page; "<span><i class=\"key v" (viewer % 4) "\"></i>pictures of " (name) "</span>");
    }
    if froze {
        put!(page; "<span><i class=\"key freeze\"></i>no picture</span>");
    }
    if record.lines.iter().any(|line| line.lost > 0) {
        put!(page; "<span><i class=\"key device\"></i>packets lost on the device\u{2019}s line</span>"
            "<span><i class=\"key viewer\"></i>on the viewer\u{2019}s</span>");
    }
    if hidden {
        put!(page; "<span>words of further steps: in the table</span>");
    }
    put!(page; "</p>");
}

/// Each viewer's name and bitrate by time.
fn curves(record: &Record) -> Vec<(&str, Vec<(f64, f64)>)> {
    let curve = |seen: &crate::record::Seen| {
        let points = seen.events.iter().filter_map(|event| match event {
            Event::Second { ms, kbps, .. } if ms.is_finite() && kbps.is_finite() => {
                Some((ms + seen.offset_ms, *kbps))
            }
            _ => None,
        });
        points.collect()
    };
    record.viewers.iter().map(|seen| (seen.viewer.as_str(), curve(seen))).collect()
}

/// When each freeze began and how long it was.
fn freezes(record: &Record) -> Vec<(f64, f64)> {
    let of_viewer = |seen: &crate::record::Seen| -> Vec<(f64, f64)> {
        let freezes = seen.events.iter().filter_map(|event| match event {
            Event::Freeze { ms, lasted_ms } if ms.is_finite() && lasted_ms.is_finite() => {
                Some((ms + seen.offset_ms, *lasted_ms))
            }
            _ => None,
        });
        freezes.collect()
    };
    record.viewers.iter().flat_map(of_viewer).collect()
}
