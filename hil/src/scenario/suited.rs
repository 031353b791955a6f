//! What a board cannot do for a scenario.

use super::plan::{BoardKind, Event, Plan};

/// Why this board cannot run this scenario, in words; `None` if it can.
pub fn unsuited(plan: &Plan, kind: BoardKind) -> Option<String> {
    let name = word(kind);
    if !plan.board.only.is_empty() && !plan.board.only.contains(&kind) {
        let only: Vec<_> = plan.board.only.iter().map(|kind| word(*kind)).collect();
        return Some(format!("{} is for {} boards, not for a {name} one", plan.name, only.join(" and ")));
    }
    plan.events.iter().find_map(|timed| {
        let what = match (&timed.event, kind) {
            // It watches the test pattern: there is no camera to pull.
            (Event::UnplugCamera { .. }, BoardKind::Local) => "unplug its camera",
            // Its clock is that of the machine that the rig runs on.
            (Event::StepClock { .. }, BoardKind::Local) => "step its clock",
            _ => return None,
        };
        Some(format!("a {name} board cannot {what}"))
    })
}

fn word(kind: BoardKind) -> &'static str {
    match kind {
        BoardKind::Local => "local",
        BoardKind::Qemu => "qemu",
        BoardKind::Labgrid => "labgrid",
    }
}
