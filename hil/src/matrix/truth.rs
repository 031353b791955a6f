//! Which pairs of NATs have a direct path, with host and server-reflexive candidates and one STUN server: the table that
//! docs/nat-matrix.md shows. It was measured with probes and follows from RFC 4787's behaviours; the simulation of
//! `lab::nat` comes to the same.

use crate::{lab::nat::Kind, scenario::plan::PathKind};

/// Rows and columns in the order of [`Kind::ALL`]; `P`: a direct path exists and must be found, `R`: a relay is needed.
const TABLE: [&str; 8] =
    ["PPPPPPPP", "PPPPPPPP", "PPPRRRRR", "PPRRRPRR", "PPRRRRRR", "PPRPRRRR", "PPRRRRRR", "PPRRRRRR"];

/// What must be found between a device and a viewer behind these, with TURN or without.
pub fn truth(device: Kind, viewer: Kind, turn: bool) -> PathKind {
    let place = |kind: Kind| Kind::ALL.iter().position(|one| *one == kind);
    let cell = match (place(device), place(viewer)) {
        (Some(row), Some(column)) => TABLE[row].as_bytes().get(column),
        // ADM/EIF, which is not in the table as nobody builds it, is let in by everybody.
        _ => Some(&b'P'),
    };
    match (cell, turn) {
        (Some(b'P'), _) => PathKind::Direct,
        (_, true) => PathKind::Relayed,
        (_, false) => PathKind::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_no_difference_who_is_on_which_side() {
        for one in Kind::ALL {
            for two in Kind::ALL {
                assert_eq!(truth(one, two, false), truth(two, one, false), "{one} with {two}");
            }
        }
    }

    #[test]
    fn turn_changes_only_what_is_not_direct() {
        for one in Kind::ALL {
            for two in Kind::ALL {
                let (with, without) = (truth(one, two, true), truth(one, two, false));
                match without {
                    PathKind::Direct => assert_eq!(with, PathKind::Direct),
                    _ => assert_eq!((with, without), (PathKind::Relayed, PathKind::None)),
                }
            }
        }
    }
}
