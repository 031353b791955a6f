//! What one viewer saw, as figures. Times are milliseconds since its own request.

use std::collections::BTreeMap;

use p2pcam_agent::signaling::message::code;

use super::stills::{Still, Stills};
use crate::{
    record::{Seen, Step},
    scenario::plan::PathKind,
    viewer::Event,
};

/// The bitrate is told from here on after the first picture: before, an encoder finds its rate.
const SETTLED_MS: f64 = 2000.0;
/// A second as a viewer tells it, less what its timer may be off.
const SECOND_MS: f64 = 950.0;
/// Longest piece of somebody's words in a reason, in characters.
const MAX_WORDS: usize = 300;

/// An event of the lab as it disturbed this viewer.
#[derive(Debug)]
pub(super) struct Recovery<'a> {
    pub(super) step: &'a Step,
    /// From the end of the event until pictures moved again.
    pub(super) took: f64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watched<'a> {
    pub(super) name: &'a str,
    pub(super) session: bool,
    pub(super) answer: Option<f64>,
    pub(super) first_picture: Option<f64>,
    /// The last one, and the pair as `srflx-prflx`.
    pub(super) path: Option<(PathKind, String)>,
    /// Errors of device or hub: when, code, words.
    pub(super) told: Vec<(f64, &'a str, &'a str)>,
    /// What the viewer itself could not do.
    pub(super) own: Vec<(&'a str, &'a str)>,
    pub(super) end: Option<(f64, &'a str)>,
    pub(super) last: f64,
    pub(super) recoveries: Vec<Recovery<'a>>,
    pub(super) windows: Vec<Still>,
    pub(super) longest_freeze: Option<f64>,
    pub(super) stopped_for_good: Option<f64>,
    pub(super) kbps: Option<f64>,
    /// When anybody's first picture came: windows count from there.
    pub(super) anchor: f64,
    /// What it told once a second.
    pub(super) seconds: Vec<&'a Event>,
    pub(super) stills: Option<Stills>,
    /// Packets of sound.
    pub(super) sounds: u64,
    /// Whether sound and picture could be compared, and how far apart they were outside of the windows.
    pub(super) av_told: bool,
    pub(super) av: Option<f64>,
    state: Option<&'a str>,
    candidates: [BTreeMap<&'static str, usize>; 2],
}

impl<'a> Watched<'a> {
    /// `allowed` is how long recovery from a step may take.
    pub(super) fn new(seen: &'a Seen, steps: &'a [Step], allowed: f64) -> Self {
        let mut events: Vec<&Event> = seen.events.iter().collect();
        events.sort_by(|a, b| a.ms().total_cmp(&b.ms()));
        let mut this = Self { name: &seen.viewer, ..Self::default() };
        for event in &events {
            this.take(event);
        }
        let Some(first) = this.first_picture else {
            this.windows = windows(seen, steps).map(|(_, window)| until(window, allowed)).collect();
            return this;
        };
        let stills = Stills::find(&events, first, this.ended().max(this.last));
        for (step, disturbed) in windows(seen, steps) {
            let again = stills.moving_again(disturbed.from, disturbed.to);
            // What was over before there was a picture is nobody's recovery.
            if disturbed.to >= first {
                this.recoveries.push(Recovery { step, took: again - disturbed.to });
            }
            let allowed = until(disturbed, allowed);
            this.windows.push(Still { from: allowed.from, to: allowed.to.max(again) });
        }
        this.longest_freeze = Some(stills.longest_outside(&this.windows));
        this.stopped_for_good = stills.stopped_for_good();
        this.rates(&events, first);
        this.seconds = events.into_iter().filter(|event| matches!(event, Event::Second { .. })).collect();
        this.stills = Some(stills);
        this
    }

    fn take(&mut self, event: &'a Event) {
        self.last = self.last.max(event.ms());
        match event {
            Event::Session { .. } => self.session = true,
            Event::Candidate { remote, candidate, .. } => {
                *self.candidates[usize::from(*remote)].entry(kind(candidate)).or_default() += 1;
            }
            Event::Answer { ms } => self.answer = self.answer.or(Some(*ms)),
            Event::State { state, .. } => self.state = Some(state),
            Event::FirstPicture { ms, .. } => self.first_picture = self.first_picture.or(Some(*ms)),
            Event::Path { local, remote, .. } => {
                let relayed = [local, remote].iter().any(|kind| *kind == "relay");
                let path = if relayed { PathKind::Relayed } else { PathKind::Direct };
                self.path = Some((path, format!("{local}-{remote}")));
            }
            Event::Error { ms, code, message } if code::ALL.contains(&code.as_str()) => {
                self.told.push((*ms, code, message));
            }
            Event::Error { code, message, .. } => self.own.push((code, message)),
            Event::End { ms, reason } => self.end = Some((*ms, reason)),
            Event::Freeze { .. } | Event::Second { .. } => {}
        }
    }

    fn rates(&mut self, events: &[&Event], first: f64) {
        let (mut sum, mut count) = (0.0, 0.0);
        for event in events {
            let Event::Second { ms, kbps, sound_packets, av_ms, .. } = event else { continue };
            self.sounds += u64::from(*sound_packets);
            if ms - SECOND_MS >= first + SETTLED_MS {
                sum += kbps;
                count += 1.0;
            }
            self.av_told |= av_ms.is_some();
            let outside = !self.in_window(*ms) && !self.in_window(ms - SECOND_MS);
            if let Some(av) = av_ms.filter(|_| outside) {
                self.av = Some(self.av.unwrap_or_default().max(av.abs()));
            }
        }
        self.kbps = (count > 0.0).then(|| sum / count);
    }

    /// When it watched no longer.
    pub(super) fn ended(&self) -> f64 {
        self.end.map_or(self.last, |(ms, _)| ms)
    }

    pub(super) fn in_window(&self, ms: f64) -> bool {
        self.windows.iter().any(|window| (window.from..=window.to).contains(&ms))
    }

    /// The worst way in which it got pictures: the last path, or none.
    pub(super) fn path_kind(&self) -> Option<PathKind> {
        match self.first_picture {
            None => Some(PathKind::None),
            Some(_) => self.path.as_ref().map(|(kind, _)| *kind),
        }
    }

    /// What it knew that never got a picture.
    pub(super) fn summary(&self) -> String {
        let mut parts = vec![match (self.session, self.answer) {
            (_, Some(ms)) => format!("the device answered after {ms:.0} ms"),
            (true, None) => "the hub gave a session, but no answer came".into(),
            (false, None) => "the hub gave no session".into(),
        }];
        for (whose, candidates) in ["the viewer's", "the device's"].iter().zip(&self.candidates) {
            let counts: Vec<_> = candidates.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let counts = if counts.is_empty() { "none".into() } else { counts.join(", ") };
            parts.push(format!("{whose} candidates: {counts}"));
        }
        parts.push(format!("the connection's state: {}", words(self.state.unwrap_or("unknown"))));
        if self.told.is_empty() && self.own.is_empty() {
            parts.push("no error was told".into());
        }
        parts.extend(self.told.iter().map(|(_, code, message)| format!("told: {}", error(code, message))));
        parts.extend(self.own.iter().map(|(code, message)| format!("the viewer: {}", error(code, message))));
        parts.join("; ")
    }
}

/// An error in a reason.
pub(super) fn error(code: &str, message: &str) -> String {
    match words(message).as_str() {
        "" => words(code),
        message => format!("{}: {message}", words(code)),
    }
}

/// Somebody's words in a reason: on one line, cut short.
pub(super) fn words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_WORDS) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

/// Steps that disturb, with their time in this viewer's.
fn windows<'a>(seen: &Seen, steps: &'a [Step]) -> impl Iterator<Item = (&'a Step, Still)> {
    let offset = seen.offset_ms;
    steps.iter().filter(|step| step.disturbs).map(move |step| {
        let until = step.until_ms.unwrap_or(step.ms).max(step.ms);
        (step, Still { from: step.ms - offset, to: until - offset })
    })
}

fn until(disturbed: Still, allowed: f64) -> Still {
    Still { to: disturbed.to + allowed, ..disturbed }
}

/// The type of a candidate (RFC 8839 section 5.1).
fn kind(candidate: &str) -> &'static str {
    let mut parts = candidate.split_whitespace();
    parts.find(|part| *part == "typ");
    let kind = parts.next().unwrap_or_default();
    ["host", "srflx", "prflx", "relay"].into_iter().find(|known| *known == kind).unwrap_or("of no known type")
}
