//! The matrix: all kinds of NAT at the device and at the viewer, with TURN and without, against the truth table.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    lab::{
        nat::{Kind, truth::is_direct},
        wire::Faults,
    },
    record::Cell,
    scenario::plan::{
        BoardPlan, Expect, PathKind, Plan, RouterPlan, Servers, Side, TurnTransport, ViewerKind,
    },
};

/// How long a viewer waits in a cell that must connect: many times what it takes.
const PATIENCE: Duration = Duration::from_secs(15);
/// After this time without a path the device gives up, in cells that cannot connect: longer than any cell that can
/// needs, so that what is slow is not taken for what is impossible.
const GIVE_UP: Duration = Duration::from_secs(8);
/// What an explanation may take beyond that to be told.
const TELLING: Duration = Duration::from_secs(4);

/// Which cells.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Kinds on both sides; empty: all eight.
    pub kinds: Vec<Kind>,
    /// With TURN, without, or both.
    pub turn: Vec<bool>,
    /// Time from the device to the viewer and back.
    pub round_trip: Duration,
    /// The seed of the first cell; each has another.
    pub seed: u64,
    /// Who watches.
    pub viewer: ViewerKind,
}

/// The plans of all chosen cells, row by row.
pub fn plans(selection: &Selection) -> Vec<(Cell, Plan)> {
    let kinds = if selection.kinds.is_empty() { Kind::ALL.to_vec() } else { selection.kinds.clone() };
    let mut plans = Vec::new();
    for turn in &selection.turn {
        for device in &kinds {
            for viewer in &kinds {
                let seed = selection.seed + plans.len() as u64;
                plans.push(plan(*device, *viewer, *turn, seed, selection));
            }
        }
    }
    plans
}

fn plan(device: Kind, viewer: Kind, turn: bool, seed: u64, selection: &Selection) -> (Cell, Plan) {
    let path = match (is_direct(device, viewer), turn) {
        (true, _) => PathKind::Direct,
        (false, true) => PathKind::Relayed,
        (false, false) => PathKind::None,
    };
    let servers = if turn { "turn" } else { "stun" };
    let name = format!("{device}-{viewer}-{servers}").replace('/', "_").to_lowercase();
    let mut between = Plan::between(side(device, selection.round_trip), side(viewer, selection.round_trip));
    for viewer in &mut between.viewers {
        viewer.kind = selection.viewer;
    }
    let plan = Plan {
        name,
        about: format!(
            "A device behind {device}, a viewer behind {viewer}, {}.",
            if turn { "STUN and TURN" } else { "STUN only" }
        ),
        seed,
        time: if path == PathKind::None { GIVE_UP + TELLING } else { PATIENCE },
        servers: servers_for(turn),
        board: board_plan(),
        expect: Expect {
            path: Some(path),
            error: (path == PathKind::None).then(|| "no-path".into()),
            // The device must say what would help.
            error_text: (path == PathKind::None).then(|| "TURN".into()),
            ..Expect::default()
        },
        ..between
    };
    let cell = Cell { device: device.to_string(), viewer: viewer.to_string(), turn, truth: path.to_string() };
    (cell, plan)
}

fn side(kind: Kind, round_trip: Duration) -> Side {
    // Each of the four ways between the hosts' routers takes a quarter of a round trip between them.
    let line = Faults { delay: round_trip / 4, ..Faults::default() };
    let mut side = Side::behind([RouterPlan::computed(kind)]);
    (side.uplink.up, side.uplink.down) = (line, line);
    side
}

fn servers_for(turn: bool) -> Servers {
    let turn = if turn { BTreeSet::from([TurnTransport::Udp]) } else { BTreeSet::new() };
    Servers { turn, ..Servers::default() }
}

fn board_plan() -> BoardPlan {
    let session = toml::Table::from_iter([(
        "connect_timeout_s".to_owned(),
        toml::Value::Integer(GIVE_UP.as_secs() as i64),
    )]);
    let config = toml::Table::from_iter([("session".to_owned(), session.into())]);
    BoardPlan { config, only: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_matrix_has_128_cells_and_no_name_twice() {
        let all = Selection {
            kinds: Vec::new(),
            turn: vec![true, false],
            round_trip: Duration::from_millis(40),
            seed: 1,
            viewer: ViewerKind::Headless,
        };
        let plans = plans(&all);
        let names: BTreeSet<&str> = plans.iter().map(|(_, plan)| plan.name.as_str()).collect();
        assert_eq!((plans.len(), names.len()), (128, 128));
        let none = plans.iter().filter(|(cell, _)| cell.truth == "none").count();
        let relayed = plans.iter().filter(|(cell, _)| cell.truth == "relayed").count();
        assert_eq!((none, relayed), (33, 33));
        let direct =
            |turn| plans.iter().filter(move |(cell, _)| cell.turn == turn && cell.truth == "direct").count();
        assert_eq!((direct(true), direct(false)), (31, 31), "TURN changes only what is not direct");
    }
}
