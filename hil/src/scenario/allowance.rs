//! More time for a board that is honestly slower than a device: an emulated processor.

use std::time::Duration;

use super::plan::{BoardKind, Plan};

/// What QEMU's emulation is given where nothing else is said: a DTLS handshake takes it about a second, where a real
/// processor of the kind takes a tenth, and pictures wait for the processors that it shares with the rig.
const EMULATED: f64 = 3.0;

/// How many times as long as a scenario says things may take on a board of a kind.
pub fn slowness(kind: BoardKind) -> f64 {
    match kind {
        BoardKind::Local | BoardKind::Labgrid => 1.0,
        BoardKind::Qemu => EMULATED,
    }
}

/// The plan for a board that may take so many times as long until a picture comes, or comes again. What does not depend
/// on the processor's speed (paths, errors, how far sound and picture are apart) stays as it is.
pub fn allow(plan: &Plan, slower: f64) -> Plan {
    let mut plan = plan.clone();
    let expect = &mut plan.expect;
    for limit in [&mut expect.first_picture, &mut expect.longest_freeze, &mut expect.recovered_within] {
        *limit = limit.map(|limit: Duration| limit.mul_f64(slower));
    }
    for window in &mut plan.windows {
        for limit in [&mut window.within, &mut window.delay, &mut window.longest_freeze] {
            *limit = limit.map(|limit: Duration| limit.mul_f64(slower));
        }
    }
    plan
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::read;

    #[test]
    fn a_slower_board_gets_more_time_and_nothing_else() {
        let text = "about = \"A test\"\ntime = \"20s\"\n[device]\nrouters = [\"linux\"]\n\
                    [[event]]\nat = \"2s\"\ndo = \"reboot-router\"\nside = \"device\"\n\
                    [expect]\npath = \"direct\"\nfirst-picture = \"1s\"\nrecovered-within = \"4s\"\n\
                    av-sync = \"100ms\"\n";
        let plan = read(text, "test.toml").unwrap();
        let slow = allow(&plan, slowness(BoardKind::Qemu));
        assert_eq!(slow.expect.first_picture, Some(Duration::from_secs(3)));
        assert_eq!(slow.expect.recovered_within, Some(Duration::from_secs(12)));
        assert_eq!(slow.expect.longest_freeze, None, "what was not limited is not");
        let mut back = slow.clone();
        (back.expect.first_picture, back.expect.recovered_within) =
            (plan.expect.first_picture, plan.expect.recovered_within);
        assert_eq!(back, plan, "all else is the same");
        for kind in [BoardKind::Local, BoardKind::Labgrid] {
            assert_eq!(allow(&plan, slowness(kind)), plan, "a device gets what the scenario says");
        }
    }
}
