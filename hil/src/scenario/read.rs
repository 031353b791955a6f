//! A scenario file as a plan.

use std::{collections::BTreeSet, ops::RangeInclusive, path::Path, time::Duration};

use toml::{
    Table,
    de::{DeTable, DeValue},
};

use super::{
    board, event, expect, keys,
    plan::{Plan, RouterKind, RouterPlan, Servers, TurnTransport},
    problem::{Problem, Problems, Trouble},
    sense::{self, Read},
    side,
    table::{self, Notes, Section},
    viewers, window,
};

/// Longest scenario file in bytes: far more than a person writes.
const MAX_FILE: usize = 1 << 20;
/// How long it lasts if the file does not say.
const TIME: Duration = Duration::from_secs(10);
/// From what a first picture through a satellite takes to what a bench can wait for.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Longest description, in characters.
const MAX_ABOUT: usize = 600;

const TURN: [(&str, TurnTransport); 3] =
    [("udp", TurnTransport::Udp), ("tcp", TurnTransport::Tcp), ("tls", TurnTransport::Tls)];

/// Reads the text of a scenario file (docs/scenarios.md). `file` is its path: messages repeat it, and the scenario is
/// called by its last part if it has no `name`.
///
/// # Errors
///
/// All that is wrong with it, each with line, column, what may stand there and what was probably meant. If it is no
/// TOML, only that: the rest would be guesses.
pub fn read(text: &str, file: &str) -> Result<Plan, Problems> {
    let mut notes = Notes::default();
    if text.len() > MAX_FILE {
        let what = format!("the file has {} bytes", text.len());
        notes.add(0..0, Trouble::new(what).allowed("up to 1 MiB").hint("is it a scenario at all?"));
        return Err(problems(text, file, notes));
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let trouble = Trouble::new(format!("not TOML: {}", error.message()));
        notes.add(span, trouble.hint("see https://toml.io for the form of the file"));
    }
    // The plain values serve for the agent's settings, which are a table of any form.
    let document = text.parse::<Table>();
    if let (Err(error), 0) = (&document, notes.count()) {
        let span = error.span().unwrap_or(0..0);
        notes.add(span, Trouble::new(format!("not TOML: {}", error.message())));
    }
    let (Ok(document), 0) = (document, notes.count()) else { return Err(problems(text, file, notes)) };
    let tree = tree.into_inner();
    let plan = plan(&mut notes, &tree, &document, file);
    if notes.count() > 0 { Err(problems(text, file, notes)) } else { Ok(plan) }
}

fn problems(text: &str, file: &str, notes: Notes) -> Problems {
    let list = notes.in_order().into_iter();
    let list = list.map(|(span, trouble)| Problem::new(text, span, trouble)).collect();
    Problems { file: file.into(), list }
}

fn plan<'a>(notes: &mut Notes, tree: &'a DeTable<'a>, document: &Table, file: &str) -> Plan {
    let (top, no_stranger) = whole(notes, |notes| Section::top(notes, tree, &keys::TOP));
    // With an unknown key at the top, what is not there may be there under a wrong name.
    let sure = |key: &str, known: bool| known && (no_stranger || top.has(key));
    let name = name(notes, &top, file);
    let about = about(notes, &top);
    let seed = top.whole(notes, "seed", 0..=i64::MAX).unwrap_or(1).unsigned_abs();
    let (time, time_known) = whole(notes, |notes| top.time(notes, "time", TIMES).unwrap_or(TIME));
    let ((device, viewer, shared_cgn), sides_known) = whole(notes, |notes| {
        let device = side::read(notes, &top, "device", &keys::DEVICE);
        let viewer = side::read(notes, &top, "viewer", &keys::VIEWER);
        (device, viewer, shared_cgn(notes, &top))
    });
    let (servers, servers_known) = whole(notes, |notes| servers(notes, &top));
    let (board, board_known) = whole(notes, |notes| board::read(notes, &top, document));
    let (viewers, viewers_known) = whole(notes, |notes| viewers::read(notes, &top));
    let (events, events_known) = whole(notes, |notes| event::read(notes, &top));
    let windows = window::read(notes, &top);
    let (expect, expect_known) = whole(notes, |notes| expect::read(notes, &top));
    let (events, event_places) = events.into_iter().unzip();
    let plan = Plan {
        name,
        about,
        seed,
        time,
        device,
        viewer,
        shared_cgn,
        servers,
        board,
        viewers,
        events,
        windows,
        expect,
        plant: None,
    };
    let read = Read {
        plan: &plan,
        top: &top,
        event_places,
        time: sure("time", time_known),
        sides: sure("device", sides_known) && sure("viewer", sides_known),
        servers: sure("servers", servers_known),
        board: sure("board", board_known),
        viewers: sure("viewers", viewers_known),
        events: sure("event", events_known),
        expect: sure("expect", expect_known),
    };
    sense::check(notes, &read);
    plan
}

/// What a part is, and whether it was read without a problem.
fn whole<T>(notes: &mut Notes, read: impl FnOnce(&mut Notes) -> T) -> (T, bool) {
    let before = notes.count();
    let value = read(notes);
    (value, notes.count() == before)
}

fn name(notes: &mut Notes, top: &Section<'_>, file: &str) -> String {
    if top.has("name") {
        return top.read(notes, "name", viewers::NAME_FORM, viewers::name).unwrap_or_default();
    }
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    viewers::name(&stem).unwrap_or_else(|_| {
        let trouble = Trouble::new("the scenario has no `name`, and its file's will not do")
            .allowed(viewers::NAME_FORM)
            .hint("write name = \"home-to-home\" at the top of the file");
        notes.add(0..0, trouble);
        String::new()
    })
}

fn about(notes: &mut Notes, top: &Section<'_>) -> String {
    if !top.has("about") {
        top.missing(notes, "about", "say what it shows: about = \"Two homes find a direct path\"");
        return String::new();
    }
    let about = top.read(notes, "about", "a sentence", |text| {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() || words.chars().count() > MAX_ABOUT {
            return Err(Trouble::new(format!("it has {} characters", words.chars().count()))
                .allowed(format!("1 to {MAX_ABOUT}")));
        }
        Ok(words)
    });
    about.unwrap_or_default()
}

fn shared_cgn(notes: &mut Notes, top: &Section<'_>) -> Option<RouterPlan> {
    let node = top.node("shared-cgn")?;
    let router = side::router(notes, "shared-cgn", node)?;
    let trouble = match router.kind {
        RouterKind::Linux { .. } => Trouble::new("`shared-cgn` cannot be a Linux router")
            .hint("take a computed one, as in { kind = \"port-restricted\", hairpin = true }"),
        RouterKind::Computed(_) if !router.forwards.is_empty() => {
            Trouble::new("`shared-cgn` has forwards: a carrier makes none for its customers")
                .hint("leave `forwards` out")
        }
        RouterKind::Computed(_) => return Some(router),
    };
    notes.add(node.span(), trouble);
    None
}

fn servers(notes: &mut Notes, top: &Section<'_>) -> Servers {
    let all: BTreeSet<_> = TURN.iter().map(|(_, transport)| *transport).collect();
    let default = Servers { turn: all, ..Servers::default() };
    let Some(section) = top.section(notes, "servers", &keys::SERVERS) else { return default };
    let turn = if section.has("turn") { turn(notes, &section) } else { default.turn };
    Servers {
        stun: section.switch(notes, "stun").unwrap_or(default.stun),
        turn,
        turn_port: side::port(notes, &section, "turn-port").unwrap_or(default.turn_port),
        turns_port: side::port(notes, &section, "turns-port").unwrap_or(default.turns_port),
    }
}

fn turn(notes: &mut Notes, section: &Section<'_>) -> BTreeSet<TurnTransport> {
    if let Some(DeValue::Boolean(_)) = section.node("turn").map(|node| node.get_ref()) {
        let trouble = Trouble::new("`turn` is true or false")
            .allowed("a list of \"udp\", \"tcp\" and \"tls\"")
            .hint("write turn = [] for no TURN, turn = [\"udp\", \"tcp\", \"tls\"] for all of it");
        notes.add(section.place("turn"), trouble);
        return BTreeSet::new();
    }
    let nodes = section.list(notes, "turn", "\"udp\", \"tcp\" and \"tls\"; empty for none");
    nodes.into_iter().filter_map(|node| table::word(notes, "turn", node, &TURN)).collect()
}
