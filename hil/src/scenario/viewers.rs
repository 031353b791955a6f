//! Who watches, in a scenario file.

use std::{collections::BTreeSet, time::Duration};

use super::{
    keys, line,
    plan::{ViewerKind, ViewerPlan},
    problem::{Trouble, shown},
    table::{Notes, Section},
};

/// More than one machine plays with any meaning.
pub(super) const MAX_VIEWERS: usize = 64;
/// Longest name of a scenario or viewer: it becomes part of paths.
const MAX_NAME: usize = 64;
/// Latest start of a viewer.
const LATEST: Duration = Duration::from_secs(600);

const KINDS: [(&str, ViewerKind); 2] =
    [("headless", ViewerKind::Headless), ("chromium", ViewerKind::Chromium)];

/// Reads `[[viewers]]`; without any there is one headless viewer from the start.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>) -> Vec<ViewerPlan> {
    let nodes = top.list(notes, "viewers", "tables, each under [[viewers]]");
    let mut viewers = Vec::new();
    let mut names = BTreeSet::new();
    let mut total: usize = 0;
    let alone = nodes.len() < 2;
    for (index, node) in nodes.into_iter().enumerate() {
        let Some(section) = Section::of(notes, "a viewer", node, &keys::VIEWERS) else { continue };
        let default = if alone { "viewer".to_owned() } else { format!("viewer-{}", index + 1) };
        let named =
            if section.has("name") { section.read(notes, "name", NAME_FORM, name) } else { Some(default) };
        let kind = section.word(notes, "kind", &KINDS).unwrap_or_default();
        let at = section.time(notes, "at", Duration::ZERO..=LATEST).unwrap_or_default();
        let relay_only = section.switch(notes, "relay-only").unwrap_or_default();
        let line = section.node("line").map(|node| line::read(notes, "line", node));
        if section.has("line") && kind == ViewerKind::Chromium {
            let trouble = Trouble::new("Chromium cannot have a `line` of its own")
                .hint("give the side one, in [viewer], or take a headless viewer");
            notes.add(section.place("line"), trouble);
        }
        let count = section.whole(notes, "count", 1..=i64::MAX).unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let within = total.saturating_add(count) <= MAX_VIEWERS;
        if !within && total <= MAX_VIEWERS {
            let trouble = Trouble::new(format!("more than {MAX_VIEWERS} viewers are too many"))
                .allowed(format!("up to {MAX_VIEWERS} in a scenario"))
                .hint("a rig with fewer shows the same: the device encodes once for all");
            notes.add(section.place("count"), trouble);
        }
        total = total.saturating_add(count);
        let Some(named) = named.filter(|_| within) else { continue };
        for number in 1..=count {
            let name = if count == 1 { named.clone() } else { format!("{named}-{number}") };
            if !names.insert(name.clone()) {
                let trouble = Trouble::new(format!("two viewers are called \"{name}\""))
                    .hint("give each a `name` of its own");
                notes.add(section.place("name"), trouble);
            }
            viewers.push(ViewerPlan { name, kind, at, relay_only, line });
        }
    }
    if viewers.is_empty() {
        viewers.push(ViewerPlan {
            name: "viewer".into(),
            kind: ViewerKind::default(),
            at: Duration::ZERO,
            relay_only: false,
            line: None,
        });
    }
    viewers
}

/// What a name is made of, for messages.
pub(super) const NAME_FORM: &str = "1 to 64 of a to z, A to Z, 0 to 9 and -, a letter or digit first";

/// A name that serves in paths and test cases.
pub(super) fn name(text: &str) -> Result<String, Trouble> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(good) && !text.starts_with('-') {
        return Ok(text.into());
    }
    let trouble = Trouble::new(format!("\"{}\" is no name", shown(text))).allowed(NAME_FORM);
    let better: String = text.chars().map(|c| if good(c) { c } else { '-' }).collect();
    let better = better.trim_matches('-');
    if better.is_empty() || better.len() > MAX_NAME {
        return Err(trouble);
    }
    Err(trouble.hint(format!("write \"{better}\"")))
}
