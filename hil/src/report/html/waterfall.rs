//! How a viewer's connection came about: a line for each milestone, from its request on.

use super::{
    super::units::millis,
    markup::{Html, at, put},
};
use crate::{record::Seen, viewer::Event};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 90.0;
const LINE: f64 = 22.0;

/// More marks than this in one line cannot be told apart.
const MOST_MARKS: usize = 60;

struct Line {
    what: &'static str,
    /// Milliseconds since the request.
    marks: Vec<f64>,
    /// How its marks look: `mark`, `goal` or `told`.
    class: &'static str,
}

/// Draws it, if there is anything.
pub fn write(page: &mut Html, seen: &Seen) {
    let lines = lines(&seen.events);
    let end = end(&lines);
    if end <= 0.0 {
        return;
    }
    let x = |ms: f64| LEFT + (ms / end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let height = LINE * lines.len() as f64 + 26.0;
    put!(page; "<div class=\"plot\"><svg viewBox=\"0 0 " (at(WIDTH)) " " (at(height))
        "\" role=\"img\" aria-label=\"Times of connecting of viewer " (seen.viewer) "\">");
    for tick in ticks(end, 6.0) {
        put!(page; "<line class=\"grid\" x1=\"" (at(x(tick))) "\" x2=\"" (at(x(tick))) "\" y1=\"4\" y2=\"" (at(height - 20.0))
            "\"/><text class=\"axis\" text-anchor=\"middle\" x=\"" (at(x(tick))) "\" y=\"" (at(height - 5.0)) "\">"
            (axis(tick)) "</text>");
    }
    for (row, line) in lines.iter().enumerate() {
        let y = LINE * row as f64 + 16.0;
        put!(page; "<text text-anchor=\"end\" x=\"" (at(LEFT - 12.0)) "\" y=\"" (at(y + 4.0)) "\">" (line.what) "</text>");
        let (shown, later): (Vec<f64>, Vec<f64>) = line.marks.iter().partition(|mark| **mark <= end);
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
            put!(page; "<text class=\"never\" x=\"" (at(LEFT + 4.0)) "\" y=\"" (at(y + 4.0)) "\">");
            match later.first() {
                Some(later) => put!(page; "not before " (millis(*later))),
                None => put!(page; "never"),
            }
            put!(page; "</text>");
            continue;
        };
        put!(page; "<line class=\"wait\" x1=\"" (at(LEFT)) "\" x2=\"" (at(x(*first))) "\" y1=\"" (at(y)) "\" y2=\""
            (at(y)) "\"/>");
        for mark in shown.iter().take(MOST_MARKS) {
            put!(page; "<circle class=\"" (line.class) "\" cx=\"" (at(x(*mark))) "\" cy=\"" (at(y)) "\" r=\"4\"/>");
        }
        put!(page; "<text class=\"value\" x=\"" (at(x(*last) + 10.0)) "\" y=\"" (at(y + 4.0)) "\">");
        match shown.len() {
            1 if *first == 0.0 => {}
            1 => put!(page; (millis(*first))),
            many => put!(page; (many) ": " (millis(*first)) " to " (millis(*last))),
        }
        if !later.is_empty() {
            put!(page; ", " (later.len()) " later");
        }
        put!(page; "</text>");
    }
    put!(page; "</svg></div>");
}

/// Where the drawing ends: at the first picture, else at the error told, else at the last thing that came. What is later
/// (a relay candidate after ten seconds, another session) would press the rest together.
fn end(lines: &[Line]) -> f64 {
    let first =
        |class| lines.iter().filter(|line| line.class == class).find_map(|line| line.marks.first()).copied();
    let last = lines.iter().flat_map(|line| &line.marks).copied().fold(0.0, f64::max);
    first("goal").or_else(|| first("told")).filter(|end| *end > 0.0).unwrap_or(last)
}

fn lines(events: &[Event]) -> Vec<Line> {
    let times = |wanted: &dyn Fn(&Event) -> Option<f64>| -> Vec<f64> {
        let mut times: Vec<f64> = events.iter().filter_map(wanted).filter(|ms| ms.is_finite()).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let candidates = |of_device: bool| {
        times(&|event| match event {
            Event::Candidate { ms, remote, .. } if *remote == of_device => Some(*ms),
            _ => None,
        })
    };
    let first = |mut marks: Vec<f64>| {
        marks.truncate(1);
        marks
    };
    let session = times(&|event| if let Event::Session { ms, .. } = event { Some(*ms) } else { None });
    let answer = times(&|event| if let Event::Answer { ms } = event { Some(*ms) } else { None });
    let connected = times(&|event| match event {
        Event::State { ms, state } if state == "connected" => Some(*ms),
        _ => None,
    });
    let picture = times(&|event| if let Event::FirstPicture { ms, .. } = event { Some(*ms) } else { None });
    let error = times(&|event| if let Event::Error { ms, .. } = event { Some(*ms) } else { None });
    let mut lines = vec![
        Line { what: "request", marks: vec![0.0], class: "mark" },
        Line { what: "session", marks: first(session), class: "mark" },
        Line { what: "viewer\u{2019}s candidates", marks: candidates(false), class: "mark" },
        Line { what: "answer", marks: first(answer), class: "mark" },
        Line { what: "device\u{2019}s candidates", marks: candidates(true), class: "mark" },
        Line { what: "connected", marks: first(connected), class: "mark" },
        Line { what: "first picture", marks: first(picture.clone()), class: "goal" },
    ];
    let waited = picture.first().copied().unwrap_or(f64::INFINITY);
    if error.first().is_some_and(|told| *told <= waited) {
        lines.push(Line { what: "error told", marks: first(error), class: "told" });
    }
    lines
}

/// Round numbers from 0 to the end, about so many.
pub fn ticks(end: f64, about: f64) -> Vec<f64> {
    if !end.is_finite() || end <= 0.0 {
        return Vec::new();
    }
    let rough = end / about;
    let unit = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * unit).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=20).map(|count| f64::from(count) * step).take_while(|tick| *tick <= end).collect()
}

/// A time on the axis.
fn axis(ms: f64) -> String {
    if ms >= 1000.0 { format!("{} s", (ms / 100.0).round() / 10.0) } else { format!("{} ms", ms.round()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_ends_with_the_first_picture_whatever_comes_later() {
        let error = |ms| Event::Error { ms, code: "gone".into(), message: String::new() };
        let picture = Event::FirstPicture { ms: 150.0, width: 1, height: 1 };
        let again = Event::Candidate { ms: 28_000.0, remote: true, candidate: String::new() };
        let watched = lines(&[picture, error(27_000.0), again.clone()]);
        assert_eq!(end(&watched), 150.0);
        assert!(watched.iter().all(|line| line.what != "error told"));
        let refused = lines(&[error(10_000.0), again.clone()]);
        assert_eq!((end(&refused), refused.last().map(|line| line.what)), (10_000.0, Some("error told")));
        assert_eq!(end(&lines(&[again])), 28_000.0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(430.0, 6.0), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(ticks(6.1, 6.0), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(ticks(0.0, 6.0), [0.0; 0]);
        assert!(ticks(f64::INFINITY, 6.0).is_empty());
        assert!(ticks(1e300, 6.0).len() <= 21);
    }
}
