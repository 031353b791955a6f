//! `[[window]]`: what must be seen in a part of the time, of one viewer or of all.

use std::{ops::RangeInclusive, time::Duration};

use serde::Serialize;

use super::{
    expect, keys,
    plan::{Event, Plan, SideName, ViewerPlan},
    problem::Trouble,
    sense::Read,
    table::{Notes, Section},
    units,
};

/// More than a scenario has parts.
const MAX_WINDOWS: usize = 64;
/// Viewers tell their figures once a second: of less than two whole seconds nothing is known.
const LEAST: Duration = Duration::from_secs(3);
/// From one clock tick to the longest scenario.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// What sources can be asked for.
const PICTURES: RangeInclusive<i64> = 1..=120;

/// A part of the time, and what must be seen in it. What is `None` is measured and reported all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    /// When it begins, after the first viewer's first picture.
    pub from: Duration,
    /// When it ends; `None`: with the scenario.
    pub to: Option<Duration>,
    /// Whose: a viewer's name, or that of viewers with a `count`; `None`: everybody's.
    pub viewer: Option<String>,
    /// Least share (0 to 1) of the line's rate that pictures and sound take, with their headers.
    pub utilisation: Option<f64>,
    /// Kilobits a second that pictures and sound must take again, with their headers ...
    pub reaches_kbps: Option<f64>,
    /// ... within this time from the beginning.
    pub within: Option<Duration>,
    /// Band of the mean bitrate of pictures, in kilobits a second.
    pub kbps: Option<(f64, f64)>,
    /// Least pictures a second, in the mean.
    pub pictures: Option<f64>,
    /// Longest time from the burnt-in clock to a decoded picture, as the mean of any second.
    pub delay: Option<Duration>,
    /// Longest time without a picture.
    pub longest_freeze: Option<Duration>,
}

impl Window {
    /// Whether it is about a viewer.
    pub fn is_about(&self, viewer: &str) -> bool {
        let Some(name) = &self.viewer else { return true };
        let number = viewer.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        name == viewer || number.is_some_and(|number| number.parse::<usize>().is_ok())
    }

    /// When it ends in a plan.
    pub fn end(&self, plan: &Plan) -> Duration {
        self.to.unwrap_or(plan.time)
    }

    /// The least rate between device and viewer in the window, in bits a second; `None`: any, or none that can be told,
    /// as it changes.
    pub fn line_rate(&self, plan: &Plan, viewer: &ViewerPlan) -> Option<u64> {
        let end = self.end(plan);
        let mut sides = [plan.device.uplink.up.rate, plan.viewer.uplink.down.rate];
        let mut found = None;
        for timed in plan.events.iter().filter(|timed| timed.at < end) {
            if timed.at > self.from {
                found.get_or_insert(sides);
            }
            match &timed.event {
                Event::SetLine { side: SideName::Device, up, .. } => sides[0] = up.rate,
                Event::SetLine { side: SideName::Viewer, down, .. } => sides[1] = down.rate,
                Event::SwitchUplink { .. } => return None,
                _ => {}
            }
        }
        if found.is_some_and(|found| found != sides) {
            return None;
        }
        let own = viewer.line.and_then(|(_, down)| down.rate);
        sides.into_iter().chain([own]).flatten().min()
    }
}

/// Reads `[[window]]`.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>) -> Vec<Window> {
    let nodes = top.list(notes, "window", "tables, each under [[window]]");
    if nodes.len() > MAX_WINDOWS {
        let trouble = Trouble::new(format!("{} windows are too many", nodes.len()))
            .allowed(format!("up to {MAX_WINDOWS}"))
            .hint("make two scenarios of it");
        notes.add(top.place("window"), trouble);
    }
    let window = |node| {
        let section = Section::of(notes, "a window", node, &keys::WINDOW)?;
        let from = section.time(notes, "from", Duration::ZERO..=*TIMES.end());
        if !section.has("from") {
            section.missing(notes, "from", "write from = \"3s\": the time after the first picture");
        }
        let bits = section.read(notes, "reaches", units::RATE_FORM, units::rate);
        for (key, other) in [("reaches", "within"), ("within", "reaches")] {
            if section.has(key) && !section.has(other) {
                section.missing(notes, other, "a rate is to be reached within a time: both say something");
            }
        }
        let window = Window {
            from: from?,
            to: section.time(notes, "to", TIMES),
            viewer: section.text(notes, "viewer").map(str::to_owned),
            utilisation: section.read(notes, "utilisation", units::SHARE_FORM, units::share),
            #[allow(clippy::cast_precision_loss)] // Far below 2^52.
            reaches_kbps: bits.map(|bits| bits as f64 / 1e3),
            within: section.time(notes, "within", TIMES),
            kbps: expect::bitrate(notes, &section),
            #[allow(clippy::cast_precision_loss)] // At most 120.
            pictures: section.whole(notes, "pictures", PICTURES).map(|pictures| pictures as f64),
            delay: section.time(notes, "delay", TIMES),
            longest_freeze: section.time(notes, "longest-freeze", TIMES),
        };
        judge_alone(notes, &section, &window);
        Some(window)
    };
    nodes.into_iter().filter_map(window).collect()
}

/// What is wrong with a window whatever the scenario is.
fn judge_alone(notes: &mut Notes, section: &Section<'_>, window: &Window) {
    if window.to.is_some_and(|to| to < window.from.saturating_add(LEAST)) {
        let trouble = Trouble::new("the window is too short: viewers tell their figures once a second")
            .allowed(format!("{} or more from `from` to `to`", units::shown(LEAST)));
        notes.add(section.place("to"), trouble);
    }
}

/// Notes what contradicts the rest of the scenario.
pub(super) fn check(notes: &mut Notes, read: &Read<'_>) {
    let plan = read.plan;
    let place = read.top.place("window");
    for window in &plan.windows {
        let mut trouble = |trouble| notes.add(place.clone(), trouble);
        let begins = units::shown(window.from);
        if plan.expect.path == Some(super::plan::PathKind::None) && read.expect {
            trouble(Trouble::new("a window contradicts path = \"none\": no picture may come"));
        }
        if read.time && window.end(plan) > plan.time {
            let end = units::shown(plan.time);
            trouble(Trouble::new(format!("the window from {begins} ends after the scenario, at {end}")));
        }
        if read.time && window.from.saturating_add(LEAST) > plan.time {
            trouble(Trouble::new(format!("the window from {begins} begins when the scenario is over")));
        }
        let mut about = plan.viewers.iter().filter(|viewer| window.is_about(&viewer.name)).peekable();
        if read.viewers && about.peek().is_none() {
            let name = window.viewer.clone().unwrap_or_default();
            let names = plan.viewers.iter().map(|viewer| viewer.name.as_str()).collect::<Vec<_>>().join(", ");
            trouble(Trouble::new(format!("there is no viewer \"{name}\"")).allowed(names));
        }
        let unknown = about.any(|viewer| window.line_rate(plan, viewer).is_none());
        if read.sides && read.events && window.utilisation.is_some() && unknown {
            let what = format!("`utilisation` from {begins}: the line has no rate there, or it changes");
            trouble(Trouble::new(what).hint("give the line a `rate`, and let windows begin at \"set-line\""));
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
