//! What happens to a lab's network while it runs.

use super::{Lab, LabError, addresses};
use crate::{
    lab::wire::{Count, Faults},
    scenario::plan::SideName,
};

impl Lab {
    /// All routers of a side's uplink forget their mappings and choose other ports from now on.
    pub fn reboot_router(&self, side: SideName) {
        let wiring = self.wiring();
        self.running.with(|fabric| {
            for router in &wiring.side(side).uplink().routers {
                let nat = fabric.nat(*router);
                nat.reboot(nat.external());
            }
        });
    }

    /// The outermost router gets another address and forgets its mappings, as after a new dial-in; with no router, the
    /// host gets it.
    pub fn change_wan_address(&self, side: SideName) -> Result<(), LabError> {
        let host_changes = {
            let mut wiring = self.wiring();
            let side_wiring = wiring.side_mut(side);
            let wan = addresses::wan(side, side_wiring.next_wan);
            side_wiring.next_wan += 1;
            let uplink = side_wiring.uplink_mut();
            uplink.wan = wan;
            match uplink.routers.last() {
                Some(router) => self.running.with(|fabric| fabric.nat(*router).reboot(wan)),
                None => uplink.addresses = vec![(wan.into(), 32)],
            }
            uplink.routers.is_empty()
        };
        if host_changes { self.readdress(side) } else { Ok(()) }
    }

    /// The side goes by its other uplink from now on. A host that is a process gets another address there (192.168.11.2
    /// for 192.168.1.2, 192.168.12.2 for 192.168.2.2), as on another Wi-Fi, while `lan0` stays the same interface. A
    /// board on a LAN keeps its network: there only the gateway's way to the internet is another one.
    pub fn switch_uplink(&self, side: SideName) -> Result<(), LabError> {
        {
            let mut wiring = self.wiring();
            let side_wiring = wiring.side_mut(side);
            if side_wiring.uplinks.len() < 2 {
                let whose = whose(side);
                return Err(self.unable(format!(
                    "switch {whose} uplink: the scenario has no spare one ([{}.spare])",
                    table(side)
                )));
            }
            side_wiring.current = 1 - side_wiring.current;
        }
        self.readdress(side)
    }

    /// Cuts a side's line to the internet, or mends it. The host keeps its addresses and routes.
    pub fn set_connected(&self, side: SideName, connected: bool) {
        let wiring = self.wiring();
        self.running.with(|fabric| {
            for uplink in &wiring.side(side).uplinks {
                if let Some(router) = uplink.routers.last() {
                    fabric.set_connected(*router, connected);
                }
            }
        });
    }

    /// Gives a side's line to the internet other faults, for packets from now on.
    pub fn set_line(&self, side: SideName, up: Faults, down: Faults) {
        let wiring = self.wiring();
        if let Some(router) = wiring.side(side).uplink().routers.last() {
            self.running.with(|fabric| fabric.set_faults(*router, up, down));
        }
    }

    /// What went over a side's line to the internet and from it since the lab was wired, over all its uplinks.
    pub fn counts(&self, side: SideName) -> (Count, Count) {
        let wiring = self.wiring();
        let mut sum = (Count::default(), Count::default());
        self.running.with(|fabric| {
            for router in wiring.side(side).uplinks.iter().filter_map(|uplink| uplink.routers.last()) {
                let count = fabric.count(*router);
                add(&mut sum.0, count.up);
                add(&mut sum.1, count.down);
            }
        });
        sum
    }
}

fn add(sum: &mut Count, more: Count) {
    sum.passed += more.passed;
    sum.lost += more.lost;
    sum.queue_full += more.queue_full;
    sum.too_long += more.too_long;
}

/// For sentences.
pub(super) fn whose(side: SideName) -> &'static str {
    match side {
        SideName::Device => "the device's",
        SideName::Viewer => "the viewer's",
    }
}

/// The side's table in a scenario.
fn table(side: SideName) -> &'static str {
    match side {
        SideName::Device => "device",
        SideName::Viewer => "viewer",
    }
}
