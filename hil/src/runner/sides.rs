//! What the sides are while events happen, as far as the servers' checks ask.

use crate::scenario::plan::{Event, Plan, Side, SideName};

/// The device's side and the viewers' after so many of a plan's events.
pub fn sides_after(plan: &Plan, events: usize) -> (Side, Side) {
    let mut sides = [plan.device.clone(), plan.viewer.clone()];
    let mut timed: Vec<_> = plan.events.iter().collect();
    timed.sort_by_key(|timed| timed.at);
    let place = |side: SideName| usize::from(side == SideName::Viewer);
    for timed in timed.into_iter().take(events) {
        match &timed.event {
            Event::SetLine { side, up, down } => {
                let uplink = &mut sides[place(*side)].uplink;
                (uplink.up, uplink.down) = (*up, *down);
            }
            Event::SwitchUplink { side } => {
                let side = &mut sides[place(*side)];
                if let Some(spare) = &mut side.spare {
                    std::mem::swap(&mut side.uplink, spare);
                }
            }
            _ => {}
        }
    }
    let [device, viewer] = sides;
    (device, viewer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        lab::{fabric::Policy, wire::Faults},
        scenario::plan::{TimedEvent, Uplink},
    };

    #[test]
    fn lines_and_uplinks_are_those_of_the_last_event_that_happened() {
        let spare = Uplink { policy: Policy::NoUdp, ..Uplink::default() };
        let device = Side { spare: Some(spare), ..Side::behind([]) };
        let slow = Faults { delay: Duration::from_millis(300), ..Faults::default() };
        let events = [
            (2, Event::SetLine { side: SideName::Viewer, up: slow, down: Faults::default() }),
            (1, Event::SwitchUplink { side: SideName::Device }),
        ];
        let events = events.map(|(at, event)| TimedEvent { at: Duration::from_secs(at), event }).into();
        let plan = Plan { events, ..Plan::between(device, Side::behind([])) };
        let look = |events| {
            let (device, viewer) = sides_after(&plan, events);
            (device.uplink.policy, viewer.uplink.up.delay.as_millis())
        };
        assert_eq!([0, 1, 2].map(look), [(Policy::Open, 0), (Policy::NoUdp, 0), (Policy::NoUdp, 300)]);
    }
}
