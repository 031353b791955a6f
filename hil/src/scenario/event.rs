//! The timeline of a scenario file.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use super::{
    keys, line,
    plan::{Event, ServerName, SideName, TimedEvent},
    problem::Trouble,
    table::{Notes, Section},
    units,
};

/// More than a scenario of the longest time can show apart.
const MAX_EVENTS: usize = 64;
/// What lasts is gone long enough to be missed, and is back in the scenario's time.
const LASTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);
/// Farthest jump of a clock: a board without a battery starts decades back.
const MAX_JUMP: i64 = 60 * 366 * 86_400;

const SIDES: [(&str, SideName); 2] = [("device", SideName::Device), ("viewer", SideName::Viewer)];
const SERVERS: [(&str, ServerName); 2] = [("turn", ServerName::Turn), ("hub", ServerName::Hub)];

/// What there is to do, and the keys that go with each, besides `at` and `do`: all must be there.
const DEEDS: [(&str, Deed); 9] = [
    ("reboot-router", Deed { make: |d, n| Some(Event::RebootRouter { side: d.side(n)? }), takes: &["side"] }),
    (
        "change-wan-address",
        Deed { make: |d, n| Some(Event::ChangeWanAddress { side: d.side(n)? }), takes: &["side"] },
    ),
    ("switch-uplink", Deed { make: |d, n| Some(Event::SwitchUplink { side: d.side(n)? }), takes: &["side"] }),
    ("cut-uplink", Deed { make: cut_uplink, takes: &["side", "lasts"] }),
    ("set-line", Deed { make: set_line, takes: &["side", "line"] }),
    ("kill-server", Deed { make: kill_server, takes: &["server", "lasts"] }),
    ("kill-agent", Deed { make: |_, _| Some(Event::KillAgent), takes: &[] }),
    (
        "unplug-camera",
        Deed { make: |d, n| Some(Event::UnplugCamera { lasts: d.lasts(n)? }), takes: &["lasts"] },
    ),
    ("step-clock", Deed { make: step_clock, takes: &["by"] }),
];

#[derive(Clone, Copy)]
struct Deed {
    make: fn(&Details<'_>, &mut Notes) -> Option<Event>,
    takes: &'static [&'static str],
}

/// The names of all deeds, for tests of the documentation.
#[cfg(test)]
pub(super) fn deeds() -> impl Iterator<Item = &'static str> {
    DEEDS.iter().map(|(name, _)| *name)
}

/// Reads `[[event]]`, each with its place in the file, in the order of time.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>) -> Vec<(TimedEvent, Range<usize>)> {
    let nodes = top.list(notes, "event", "tables, each under [[event]]");
    if nodes.len() > MAX_EVENTS {
        let trouble = Trouble::new(format!("{} events are too many", nodes.len()))
            .allowed(format!("up to {MAX_EVENTS}"))
            .hint("make two scenarios of it");
        notes.add(top.place("event"), trouble);
    }
    let mut events: Vec<_> = nodes
        .into_iter()
        .filter_map(|node| {
            let section = Section::of(notes, "an event", node, &keys::EVENT)?;
            let at = section.time(notes, "at", Duration::ZERO..=Duration::from_secs(3600));
            if !section.has("at") {
                section.missing(notes, "at", "write at = \"3s\": the time after the first picture");
            }
            let event = event(notes, &section);
            Some((TimedEvent { at: at?, event: event? }, section.place("at")))
        })
        .collect();
    events.sort_by_key(|(event, _)| event.at);
    events
}

fn event(notes: &mut Notes, section: &Section<'_>) -> Option<Event> {
    if !section.has("do") {
        let names: Vec<_> = DEEDS.iter().map(|(name, _)| *name).collect();
        section.missing(notes, "do", format!("there is {}", names.join(", ")));
    }
    let deed = section.word(notes, "do", &DEEDS)?;
    let name = section.text(notes, "do")?;
    for key in section.present().filter(|key| !["at", "do"].contains(key) && !deed.takes.contains(key)) {
        let mut takes = vec!["at", "do"];
        takes.extend(deed.takes);
        let trouble = Trouble::new(format!("\"{name}\" takes no `{key}`")).allowed(takes.join(", "));
        notes.add(section.place(key), trouble);
    }
    for key in deed.takes.iter().filter(|key| !section.has(key)) {
        let example = match *key {
            "side" => "side = \"device\" or \"viewer\"",
            "server" => "server = \"turn\" (STUN and TURN) or \"hub\"",
            "lasts" => "lasts = \"10s\"",
            "line" => "line = \"lte\" or line = { rate = \"1Mbit\" }",
            _ => "by = \"1h\" or \"-90s\"",
        };
        section.missing(notes, key, format!("\"{name}\" needs it: {example}"));
    }
    (deed.make)(&Details(section), notes)
}

/// The keys of an event that only some deeds take.
struct Details<'a>(&'a Section<'a>);

impl Details<'_> {
    fn side(&self, notes: &mut Notes) -> Option<SideName> {
        self.0.word(notes, "side", &SIDES)
    }

    fn lasts(&self, notes: &mut Notes) -> Option<Duration> {
        self.0.time(notes, "lasts", LASTS)
    }
}

fn cut_uplink(details: &Details<'_>, notes: &mut Notes) -> Option<Event> {
    let (side, lasts) = (details.side(notes), details.lasts(notes));
    Some(Event::CutUplink { side: side?, lasts: lasts? })
}

fn set_line(details: &Details<'_>, notes: &mut Notes) -> Option<Event> {
    let side = details.side(notes);
    let (up, down) = line::read(notes, "line", details.0.node("line")?);
    Some(Event::SetLine { side: side?, up, down })
}

fn kill_server(details: &Details<'_>, notes: &mut Notes) -> Option<Event> {
    let server = match details.0.node("server").and_then(|node| node.get_ref().as_str()) {
        Some("stun" | "coturn") => {
            let trouble = Trouble::new("STUN and TURN are one server")
                .allowed("\"turn\", \"hub\"")
                .hint("write \"turn\": both go together");
            notes.add(details.0.place("server"), trouble);
            None
        }
        _ => details.0.word(notes, "server", &SERVERS),
    };
    let lasts = details.lasts(notes);
    Some(Event::KillServer { server: server?, lasts: lasts? })
}

fn step_clock(details: &Details<'_>, notes: &mut Notes) -> Option<Event> {
    let seconds = details.0.read(notes, "by", "a time, as in \"1h\" or \"-90s\"", |text| {
        let seconds = units::jump(text)?;
        if seconds == 0 || !(-MAX_JUMP..=MAX_JUMP).contains(&seconds) {
            return Err(Trouble::new(format!("{text:?} is out of range"))
                .allowed("1s to 60 years, forwards or (with -) back"));
        }
        Ok(seconds)
    });
    seconds.map(|seconds| Event::StepClock { seconds })
}
