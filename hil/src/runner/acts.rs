//! What the rig does while somebody watches: the events of a scenario as acts with a beginning and, for some, an end.

use std::time::Duration;

use crate::{
    board::{Board, BoardError},
    lab::Lab,
    scenario::plan::{Event, ServerName, SideName, TimedEvent},
    servers::Servers,
};

/// Half of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act<'a> {
    /// It happens.
    Begin(&'a Event),
    /// What lasts is over.
    End(&'a Event),
}

/// Why an act was not done.
#[derive(Debug)]
pub enum Failed {
    /// The rig could not.
    Rig(String),
    /// The board, or its agent, did not.
    Board(String),
    /// The board has not what it takes, as a camera that can be unplugged.
    Unable(String),
}

/// All acts by time after the scenario's anchor.
pub fn timetable(events: &[TimedEvent]) -> Vec<(Duration, Act<'_>)> {
    let mut acts = Vec::new();
    for TimedEvent { at, event } in events {
        acts.push((*at, Act::Begin(event)));
        acts.extend(lasts(event).map(|lasts| (*at + lasts, Act::End(event))));
    }
    // Stable: what begins together begins in the file's order.
    acts.sort_by_key(|(at, _)| *at);
    acts
}

/// How long an event lasts; `None` for what happens at once.
pub fn lasts(event: &Event) -> Option<Duration> {
    match event {
        Event::CutUplink { lasts, .. } | Event::KillServer { lasts, .. } | Event::UnplugCamera { lasts } => {
            Some(*lasts)
        }
        _ => None,
    }
}

impl<'a> Act<'a> {
    /// What it is half of.
    pub fn event(self) -> &'a Event {
        let (Self::Begin(event) | Self::End(event)) = self;
        event
    }

    /// For people. Beginning and end of the same event have the same words.
    pub fn words(self) -> String {
        let whose = |side: &SideName| match side {
            SideName::Device => "the device's",
            SideName::Viewer => "the viewers'",
        };
        match self.event() {
            Event::RebootRouter { side } => format!("{} router reboots", whose(side)),
            Event::ChangeWanAddress { side } => format!("{} router gets another address", whose(side)),
            Event::SwitchUplink { side } => format!("{} uplink is switched", whose(side)),
            Event::CutUplink { side, .. } => format!("{} line is cut", whose(side)),
            Event::SetLine { side, .. } => format!("{} line changes", whose(side)),
            Event::KillServer { server: ServerName::Turn, .. } => "coturn is killed".into(),
            Event::KillServer { server: ServerName::Hub, .. } => "the hub is killed".into(),
            Event::KillAgent => "the agent is killed".into(),
            Event::UnplugCamera { .. } => "the camera is pulled out".into(),
            Event::StepClock { seconds } => format!("the device's clock jumps by {seconds} s"),
        }
    }
}

/// What can be acted upon.
pub struct Acts<'a> {
    pub lab: &'a Lab,
    pub servers: &'a mut Servers,
    pub board: &'a mut dyn Board,
}

impl Acts<'_> {
    /// Does it; returns when it is done.
    pub async fn perform(&mut self, act: Act<'_>) -> Result<(), Failed> {
        match act {
            Act::Begin(event) => self.begin(event).await,
            Act::End(event) => self.end(event).await,
        }
    }

    async fn begin(&mut self, event: &Event) -> Result<(), Failed> {
        match event {
            Event::RebootRouter { side } => self.lab.reboot_router(*side).map_err(rig),
            Event::ChangeWanAddress { side } => self.lab.change_wan_address(*side).map_err(rig),
            Event::SwitchUplink { side } => self.lab.switch_uplink(*side).map_err(rig),
            Event::CutUplink { side, .. } => {
                self.lab.set_connected(*side, false);
                Ok(())
            }
            Event::SetLine { side, up, down } => {
                self.lab.set_line(*side, *up, *down);
                Ok(())
            }
            Event::KillServer { server, .. } => {
                self.servers.kill(*server).await;
                Ok(())
            }
            Event::KillAgent => self.board.kill_agent().await.map_err(board),
            Event::UnplugCamera { .. } => self.board.plug_camera(false).await.map_err(board),
            Event::StepClock { seconds } => self.board.step_clock(*seconds).await.map_err(board),
        }
    }

    async fn end(&mut self, event: &Event) -> Result<(), Failed> {
        match event {
            Event::CutUplink { side, .. } => {
                self.lab.set_connected(*side, true);
                Ok(())
            }
            Event::KillServer { server, .. } => self.servers.revive(self.lab, *server).await.map_err(rig),
            Event::UnplugCamera { .. } => self.board.plug_camera(true).await.map_err(board),
            _ => Ok(()),
        }
    }
}

fn rig(error: impl std::fmt::Display) -> Failed {
    Failed::Rig(error.to_string())
}

fn board(error: BoardError) -> Failed {
    match error {
        BoardError::Agent(what) => Failed::Board(what),
        BoardError::Unable { .. } => Failed::Unable(error.to_string()),
        BoardError::Unavailable(what) => Failed::Rig(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_ends_in_its_turn() {
        let second = Duration::from_secs(1);
        let cut = Event::CutUplink { side: SideName::Device, lasts: 10 * second };
        let reboot = Event::RebootRouter { side: SideName::Viewer };
        let events = [
            TimedEvent { at: 5 * second, event: cut.clone() },
            TimedEvent { at: 8 * second, event: reboot.clone() },
        ];
        let acts = timetable(&events);
        assert_eq!(
            acts,
            [
                (5 * second, Act::Begin(&cut)),
                (8 * second, Act::Begin(&reboot)),
                (15 * second, Act::End(&cut))
            ]
        );
        assert_eq!(acts[0].1.words(), acts[2].1.words());
    }
}
