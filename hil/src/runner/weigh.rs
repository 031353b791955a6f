//! Whose fault a run is, once the rig has looked back at itself: faults of its own come before all others.

use crate::record::{Outcome, Verdict};

/// The judge's verdict together with what rig and board could not do meanwhile.
pub fn weigh(judged: Verdict, rig: Vec<String>, board: Vec<String>) -> Verdict {
    let of_rig = judged.outcome == Outcome::RigFault;
    if !rig.is_empty() {
        let others = if of_rig { judged.reasons } else { Vec::new() };
        return Verdict { outcome: Outcome::RigFault, reasons: [rig, others].concat(), ..judged };
    }
    if board.is_empty() || of_rig {
        return judged;
    }
    Verdict { outcome: Outcome::DeviceFault, reasons: [board, judged.reasons].concat(), ..judged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Measured;

    fn verdict(outcome: Outcome, reasons: &[&str]) -> Verdict {
        Verdict { outcome, measured: Measured::default(), reasons: words(reasons) }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_fault_of_the_rig_stands_over_the_boards_which_stands_over_the_viewers() {
        use Outcome::{DeviceFault, Passed, RigFault};
        for (judged, rig, board, expected) in [
            (verdict(Passed, &[]), &[][..], &[][..], verdict(Passed, &[])),
            (verdict(Passed, &[]), &["hub died"], &["no agent"], verdict(RigFault, &["hub died"])),
            (verdict(DeviceFault, &["dark"]), &["hub died"], &[], verdict(RigFault, &["hub died"])),
            (verdict(RigFault, &["NAT"]), &["hub died"], &[], verdict(RigFault, &["hub died", "NAT"])),
            (verdict(RigFault, &["NAT"]), &[], &["no agent"], verdict(RigFault, &["NAT"])),
            (
                verdict(DeviceFault, &["dark"]),
                &[],
                &["no agent"],
                verdict(DeviceFault, &["no agent", "dark"]),
            ),
            (verdict(Passed, &[]), &[], &["no agent"], verdict(DeviceFault, &["no agent"])),
        ] {
            assert_eq!(weigh(judged, words(rig), words(board)), expected);
        }
    }
}
