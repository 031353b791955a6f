//! Which pairs of NATs have a direct path, with host and server-reflexive candidates and one STUN server: the table that
//! docs/nat-matrix.md shows. It was measured with probes and follows from RFC 4787's behaviours; the tests of [`super`]
//! come to the same by simulation.

use super::Kind;

/// Rows and columns in the order of [`Kind::ALL`]; `P`: a direct path exists and must be found, `R`: a relay is needed.
const TABLE: [&[u8; 8]; 8] =
    [b"PPPPPPPP", b"PPPPPPPP", b"PPPRRRRR", b"PPRRRPRR", b"PPRRRRRR", b"PPRPRRRR", b"PPRRRRRR", b"PPRRRRRR"];

/// Whether hosts behind these two have a direct path. ADM/EIF, which is not in the table as nobody builds it, lets
/// everybody in, so it has one with all.
pub fn is_direct(one: Kind, other: Kind) -> bool {
    let place = |kind: Kind| Kind::ALL.iter().position(|known| *known == kind);
    match (place(one), place(other)) {
        (Some(row), Some(column)) => TABLE[row][column] == b'P',
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_no_difference_who_is_on_which_side() {
        for one in Kind::ALL {
            for other in Kind::ALL {
                assert_eq!(is_direct(one, other), is_direct(other, one), "{one} with {other}");
            }
        }
    }
}
