//! The matrix among the records: which kinds, which cell, which outcome.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    lab::nat::Kind,
    record::{Cell, Outcome, Record},
};

/// The cells of a board, with or without TURN.
pub struct Matrix<'a> {
    pub board: &'a str,
    pub turn: bool,
    /// Kinds of the device's side.
    pub rows: Vec<&'a str>,
    /// Kinds of the viewer's.
    pub columns: Vec<&'a str>,
    cells: BTreeMap<(&'a str, &'a str), Vec<usize>>,
    records: &'a [Record],
}

impl<'a> Matrix<'a> {
    /// All there are: by board in order of appearance, with TURN first.
    pub fn all(records: &'a [Record]) -> Vec<Self> {
        let mut boards: Vec<&str> = Vec::new();
        for record in records.iter().filter(|record| record.cell.is_some()) {
            if !boards.contains(&record.board.as_str()) {
                boards.push(&record.board);
            }
        }
        let both =
            boards.into_iter().flat_map(|board| [true, false].map(|turn| Self::of(records, board, turn)));
        both.filter(|matrix| !matrix.cells.is_empty()).collect()
    }

    fn of(records: &'a [Record], board: &'a str, turn: bool) -> Self {
        let mut cells: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let cell = record.cell.as_ref().filter(|cell| cell.turn == turn && record.board == board);
            if let Some(cell) = cell {
                cells.entry((cell.device.as_str(), cell.viewer.as_str())).or_default().push(index);
            }
        }
        let rows = in_order(cells.keys().map(|(device, _)| *device).collect());
        let columns = in_order(cells.keys().map(|(_, viewer)| *viewer).collect());
        Self { board, turn, rows, columns, cells, records }
    }

    /// The record of a cell, with its place among all: the worst if it was run more than once.
    pub fn at(&self, device: &str, viewer: &str) -> Option<(usize, &'a Record)> {
        let worst = self.runs(device, viewer).min_by_key(|(_, record)| rank(record.verdict.outcome));
        worst.filter(|(_, record)| record.cell.is_some())
    }

    /// All runs of a cell.
    pub fn runs(&self, device: &str, viewer: &str) -> impl Iterator<Item = (usize, &'a Record)> + use<'a> {
        let places = self.cells.get(&(device, viewer)).cloned().unwrap_or_default();
        let records = self.records;
        places.into_iter().filter_map(move |place| records.get(place).map(|record| (place, record)))
    }

    /// All runs of all cells.
    pub fn all_runs(&self) -> impl Iterator<Item = &'a Record> + '_ {
        self.cells.values().flatten().filter_map(|place| self.records.get(*place))
    }
}

/// Kinds in the truth table's order; others behind.
fn in_order(mut kinds: BTreeSet<&str>) -> Vec<&str> {
    let known: Vec<String> = Kind::ALL.iter().map(Kind::to_string).collect();
    let mut ordered: Vec<&str> = known.iter().filter_map(|kind| kinds.take(kind.as_str())).collect();
    ordered.extend(kinds);
    ordered
}

/// P if the truth table has a direct path for it, R if it takes a relay.
pub fn letter(cell: &Cell) -> &'static str {
    if cell.truth == "direct" { "P" } else { "R" }
}

/// Outcomes in the order in which people must see them.
pub fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::DeviceFault => 0,
        Outcome::RigFault => 1,
        Outcome::Skipped => 2,
        Outcome::Passed => 3,
    }
}
