//! What a scenario file expects to be seen.

use std::{ops::RangeInclusive, time::Duration};

use p2pcam_agent::signaling::message::code;

use super::{
    keys,
    plan::{Expect, PathKind},
    problem::{Trouble, shown},
    table::{self, Notes, Section},
    units,
};

/// From one clock tick to the longest scenario.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

const PATHS: [(&str, PathKind); 3] =
    [("direct", PathKind::Direct), ("relayed", PathKind::Relayed), ("none", PathKind::None)];

/// Reads `[expect]`; what is left out is measured all the same.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>) -> Expect {
    let Some(section) = top.section(notes, "expect", &keys::EXPECT) else { return Expect::default() };
    Expect {
        path: section.word(notes, "path", &PATHS),
        first_picture: section.time(notes, "first-picture", TIMES),
        longest_freeze: section.time(notes, "longest-freeze", TIMES),
        recovered_within: section.time(notes, "recovered-within", TIMES),
        kbps: bitrate(notes, &section),
        av_sync: section.time(notes, "av-sync", TIMES),
        error: section.read(notes, "error", "a code of docs/protocol.md, as in \"no-path\"", |text| {
            if code::ALL.contains(&text) {
                return Ok(text.to_owned());
            }
            Err(Trouble::new(format!("there is no error \"{}\"", shown(text)))
                .allowed(code::ALL.join(", "))
                .meant(text, code::ALL))
        }),
        error_text: section.read(notes, "error-text", "words that the viewer must be told", |text| {
            if text.trim().is_empty() {
                return Err(Trouble::new("it is empty").hint("leave it out if any words will do"));
            }
            Ok(text.to_owned())
        }),
    }
}

/// `["500kbit", "3Mbit"]`, as kilobits.
pub(super) fn bitrate(notes: &mut Notes, section: &Section<'_>) -> Option<(f64, f64)> {
    let form = "a list of the least and the most, as in [\"500kbit\", \"3Mbit\"]";
    let nodes = section.list(notes, "bitrate", "two rates: the least and the most");
    if !section.has("bitrate")
        || (nodes.is_empty() && section.node("bitrate")?.get_ref().as_array().is_none())
    {
        return None;
    }
    let [least, most] = nodes[..] else {
        let trouble = Trouble::new(format!("`bitrate` has {} values", nodes.len())).allowed(form);
        notes.add(section.place("bitrate"), trouble);
        return None;
    };
    let mut rate = |node| table::parsed(notes, "bitrate", node, units::RATE_FORM, units::rate);
    let (least, most) = (rate(least), rate(most));
    let (least, most) = (least?, most?);
    if least > most {
        let trouble =
            Trouble::new("`bitrate`: the least is more than the most").allowed(form).hint("swap them");
        notes.add(section.place("bitrate"), trouble);
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    Some((least as f64 / 1e3, most as f64 / 1e3))
}
