//! The device of a scenario file: boards that may run it, and settings of the agent.

use std::path::Path;

use p2pcam_agent::config::{self, ConfigError, Place};
use toml::{Table, Value, de::DeTable};

use super::{
    keys,
    plan::{BoardKind, BoardPlan},
    problem::{Trouble, nearest},
    table::{self, Node, Notes, Section, sort},
};

const KINDS: [(&str, BoardKind); 3] =
    [("local", BoardKind::Local), ("qemu", BoardKind::Qemu), ("labgrid", BoardKind::Labgrid)];

/// What the rig itself must set, or it cannot reach the agent.
const RIGS_OWN: [&str; 5] =
    ["device.id", "signaling.link", "signaling.token_file", "ice.ca_file", "telemetry.listen"];

/// Reads `[board]`.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>, document: &Table) -> BoardPlan {
    let Some(section) = top.section(notes, "board", &keys::BOARD) else { return BoardPlan::default() };
    let mut only = Vec::new();
    for node in section.list(notes, "only", "boards, as in [\"qemu\"]") {
        let Some(kind) = table::word(notes, "only", node, &KINDS) else { continue };
        if only.contains(&kind) {
            notes.add(node.span(), Trouble::new("`only`: this board is named twice").hint("leave one out"));
        } else {
            only.push(kind);
        }
    }
    let config = section.node("config").map(|node| settings(notes, node, document)).unwrap_or_default();
    BoardPlan { config, only }
}

/// Checks keys of agent.toml by the agent's own reader.
fn settings(notes: &mut Notes, node: Node<'_>, document: &Table) -> Table {
    let Some(sections) = node.get_ref().as_table() else {
        let trouble = Trouble::new(format!("`config` is {}", sort(node)))
            .allowed("tables of agent.toml, as in [board.config.video] with width = 640");
        notes.add(node.span(), trouble);
        return Table::new();
    };
    let plain = document.get("board").and_then(|board| board.get("config")).and_then(Value::as_table);
    let plain = plain.cloned().unwrap_or_default();
    check(notes, sections, &plain);
    plain
}

fn check(notes: &mut Notes, sections: &DeTable<'_>, plain: &Table) {
    // One key a line, so that the line of the agent's complaint says which of ours it is.
    let mut lines = String::new();
    let mut spans = Vec::new();
    for (name, section) in sections {
        let known: Vec<_> = config::schema::sections().iter().map(|section| section.name).collect();
        let Some(keys) = section.get_ref().as_table().filter(|_| known.contains(&name.get_ref().as_ref()))
        else {
            let what = format!("agent.toml has no section [{}]", super::problem::shown(name.get_ref()));
            let trouble = Trouble::new(what).allowed(known.join(", "));
            let trouble = match nearest(name.get_ref(), known.iter().copied()) {
                Some(near) => trouble.hint(format!("did you mean [board.config.{near}]?")),
                None => trouble.hint("settings stand in sections, as in [board.config.video]"),
            };
            notes.add(name.span(), trouble);
            continue;
        };
        for (key, value) in keys {
            let path = format!("{}.{}", name.get_ref(), key.get_ref());
            if RIGS_OWN.contains(&path.as_str()) {
                let trouble =
                    Trouble::new(format!("`{path}` is the rig's own: it could not reach the agent"))
                        .hint("leave it out");
                notes.add(key.span(), trouble);
                continue;
            }
            let plain =
                plain.get(name.get_ref().as_ref()).and_then(|section| section.get(key.get_ref().as_ref()));
            let Some(plain) = plain else { continue };
            let quoted = |name: &str| Value::String(name.into()).to_string();
            let line = format!("{}.{} = {plain}\n", quoted(name.get_ref()), quoted(key.get_ref()));
            spans.extend(line.matches('\n').map(|_| (key.span(), value.span())));
            lines.push_str(&line);
        }
    }
    let Err(ConfigError::Invalid(problems)) = config::parse(&lines, Path::new("agent.toml")) else { return };
    for problem in problems {
        let place = match problem.place {
            Place::File { line, column, .. } => spans.get(line.saturating_sub(1)).map(|(key, value)| {
                // A complaint about the key itself stands at its beginning.
                if column == 1 || problem.what.starts_with("unknown key") {
                    key.clone()
                } else {
                    value.clone()
                }
            }),
            _ => None,
        };
        let Some(place) = place.or_else(|| spans.first().map(|(key, _)| key.clone())) else { continue };
        notes.add(place, Trouble::new(format!("agent.toml: {}", problem.what)).hint(problem.advice));
    }
}
