//! What a board cannot do for a scenario.

use super::plan::{BoardKind, Event, Plan};

/// Why this board cannot run this scenario, in words; `None` if it can.
pub fn unsuited(plan: &Plan, kind: BoardKind) -> Option<String> {
    if !plan.board.only.is_empty() && !plan.board.only.contains(&kind) {
        let only: Vec<_> = plan.board.only.iter().map(ToString::to_string).collect();
        return Some(format!("{} is for {} boards, not for a {kind} one", plan.name, only.join(" and ")));
    }
    plan.events.iter().find_map(|timed| {
        let what = match (&timed.event, kind) {
            // It watches the test pattern: there is no camera to pull.
            (Event::UnplugCamera { .. }, BoardKind::Local) => "unplug its camera",
            // Its clock is that of the machine that the rig runs on.
            (Event::StepClock { .. }, BoardKind::Local) => "step its clock",
            _ => return None,
        };
        Some(format!("a {kind} board cannot {what}"))
    })
}
