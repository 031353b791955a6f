//! What happens to a lab's network while it runs.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::{
    DeviceHost, Lab, LabError, addresses,
    wiring::{Hop, UplinkWiring},
};
use crate::{
    lab::{
        fabric::Policy,
        nat::{Behaviour, Kind, Nat},
        wire::{Count, Faults},
    },
    scenario::plan::SideName,
};

impl Lab {
    /// All routers of a side's uplink forget their mappings and flows, and choose other ports from now on; the host's
    /// addresses stay. A carrier's NAT that both sides are behind is no router of either.
    pub fn reboot_router(&self, side: SideName) -> Result<(), LabError> {
        let wiring = self.wiring();
        let uplink = wiring.side(side).uplink();
        for hop in &uplink.hops {
            match hop {
                Hop::Computed(router) => self.running.with(|fabric| fabric.reboot(*router)),
                Hop::Linux(place) => self.linux_routers()[*place].reboot()?,
            }
        }
        if let Some(firewall) = uplink.firewall {
            self.running.with(|fabric| fabric.reboot(firewall));
        }
        Ok(())
    }

    /// The outermost router gets another IPv4 address and forgets its mappings, as after a new dial-in; with no router,
    /// the host gets it. Behind a carrier that both sides share it is an address of the carrier's network.
    pub fn change_wan_address(&self, side: SideName) -> Result<(), LabError> {
        let host_changes = {
            let mut wiring = self.wiring();
            let carrier = wiring.carrier.is_some();
            let linux = wiring.linux.clone();
            let side_wiring = wiring.side_mut(side);
            let wan = addresses::wan(side, side_wiring.next_wan, carrier);
            let wan = if side_wiring.uplink().maps_ports { addresses::mapped(wan) } else { wan };
            let uplink = side_wiring.uplink_mut();
            if uplink.wan.is_none() {
                let what = format!("change {} address: its network has no IPv4", whose(side));
                return Err(self.unable(what));
            }
            if uplink.hops.is_empty() && side == SideName::Device && self.host == DeviceHost::Lan {
                let what = "change the address of a board that has a public one: its lease would not follow";
                return Err(self.unable(what.into()));
            }
            uplink.wan = Some(wan);
            match uplink.hops.last() {
                Some(Hop::Computed(router)) => self.running.with(|fabric| fabric.set_external(*router, wan)),
                Some(Hop::Linux(place)) => {
                    self.linux_routers()[*place].set_external(wan)?;
                    let prefixes = vec![Ipv4Net::from(wan).into()];
                    let (outside, access) = (linux[*place].wan, uplink.access);
                    self.running.with(|fabric| fabric.move_endpoint(outside, access, prefixes));
                }
                None => self.change_host(uplink, wan),
            }
            side_wiring.next_wan =
                side_wiring.next_wan.checked_add(1).unwrap_or(addresses::FIRST_CHANGED_WAN);
            side_wiring.uplink().hops.is_empty()
        };
        if host_changes {
            return self.readdress(side);
        }
        let wiring = self.wiring();
        self.running.with(|fabric| wiring.side(side).place_host(fabric));
        Ok(())
    }

    /// A host with a public address has another one.
    fn change_host(&self, uplink: &mut UplinkWiring, wan: Ipv4Addr) {
        uplink.host.v4 = Some(wan);
        for list in [&mut uplink.addresses, &mut uplink.prefixes] {
            list.retain(|net| net.addr().is_ipv6());
            list.insert(0, Ipv4Net::from(wan).into());
        }
        if let Some(router) = uplink.public {
            self.running.with(|fabric| fabric.set_external(router, wan));
        }
    }

    /// The side goes by its other uplink from now on. A host that is a process gets other addresses there (192.168.11.2
    /// for 192.168.1.2, 192.168.12.2 for 192.168.2.2; IPv6 likewise), as on another Wi-Fi, while `lan0` stays the same
    /// interface. A board on a LAN keeps its network: there only the gateway's way to the internet is another one.
    pub fn switch_uplink(&self, side: SideName) -> Result<(), LabError> {
        {
            let mut wiring = self.wiring();
            let side_wiring = wiring.side_mut(side);
            if side_wiring.uplinks.len() < 2 {
                let (whose, table) = (whose(side), table(side));
                return Err(self.unable(format!(
                    "switch {whose} uplink: the scenario has no spare one ([{table}.spare])"
                )));
            }
            let on_lan = side == SideName::Device && self.host == DeviceHost::Lan;
            if on_lan && side_wiring.uplinks.iter().any(|uplink| uplink.hops.is_empty()) {
                let what = "switch the uplink of a board between a public address and routers: its lease would not follow";
                return Err(self.unable(what.into()));
            }
            side_wiring.current = 1 - side_wiring.current;
        }
        self.readdress(side)
    }

    /// Cuts a side's line to the internet, or mends it. The host keeps its addresses and routes. Mending holds for both
    /// uplinks, whichever was cut.
    pub fn set_connected(&self, side: SideName, connected: bool) {
        let wiring = self.wiring();
        let side = wiring.side(side);
        self.running.with(|fabric| {
            for (number, uplink) in side.uplinks.iter().enumerate() {
                if connected || number == side.current {
                    fabric.set_connected(uplink.line, connected);
                }
            }
        });
    }

    /// Gives a side's line to the internet other faults, for packets from now on.
    pub fn set_line(&self, side: SideName, up: Faults, down: Faults) {
        let mut wiring = self.wiring();
        let uplink = wiring.side_mut(side).uplink_mut();
        uplink.faults = [up, down];
        self.running.with(|fabric| fabric.set_faults(uplink.line, up, down));
    }

    /// What went over a side's line to the internet and from it since the lab was wired, over all its uplinks.
    pub fn counts(&self, side: SideName) -> (Count, Count) {
        let wiring = self.wiring();
        let mut sum = (Count::default(), Count::default());
        self.running.with(|fabric| {
            for uplink in &wiring.side(side).uplinks {
                let count = fabric.count(uplink.line);
                add(&mut sum.0, count.up);
                add(&mut sum.1, count.down);
            }
        });
        sum
    }

    /// Makes the device's routers behave otherwise than the plan says, without a word: a fault of the rig for the
    /// self-probe to find. Where no router can be changed so that it shows, UDP is blocked.
    pub fn plant_wrong_nat(&self) {
        let wiring = self.wiring();
        let uplink = wiring.side(SideName::Device).uplink();
        // Of all NATs on the way the strictest counts: it is enough to make one that, if it is not already so.
        let outermost = match uplink.hops.last() {
            Some(Hop::Computed(router)) if uplink.kind != Some(STRICTEST) => Some(*router),
            _ => None,
        };
        self.running.with(|fabric| match outermost.and_then(|router| fabric.nat(router)) {
            Some(nat) => *nat = Nat::new(Behaviour::of(STRICTEST), nat.external(), 0),
            None => fabric.set_policy(uplink.line, Policy::NoUdp),
        });
    }

    /// A side's way to the internet as it should be now.
    pub(in crate::lab) fn line_state(&self, side: SideName) -> LineState {
        let wiring = self.wiring();
        let uplink = wiring.side(side).uplink();
        let addresses = || uplink.addresses.iter().map(|net| net.addr());
        LineState {
            inside: addresses().collect(),
            wan: match (wiring.carrier, uplink.hops.is_empty()) {
                (Some(carrier), _) => Some(carrier.into()),
                // What the probe sends from: on a LAN the gateway's address, not the host's.
                (None, true) => addresses().find(IpAddr::is_ipv4),
                (None, false) => uplink.wan.map(IpAddr::from),
            },
            kind: uplink.kind,
            policy: uplink.policy,
            faults: uplink.faults,
        }
    }
}

/// See [`Lab::line_state`].
#[derive(Clone, Debug)]
pub(in crate::lab) struct LineState {
    /// The addresses of the namespace's device.
    pub inside: Vec<IpAddr>,
    /// How IPv4 is seen outside.
    pub wan: Option<IpAddr>,
    /// What all NATs on the way do together; `None`: there is none.
    pub kind: Option<Kind>,
    /// What the line lets out.
    pub policy: Policy,
    /// The line's faults, towards the internet and from it.
    pub faults: [Faults; 2],
}

/// A symmetric NAT.
const STRICTEST: Kind = Kind::ALL[7];

fn add(sum: &mut Count, more: Count) {
    sum.passed += more.passed;
    sum.lost += more.lost;
    sum.queue_full += more.queue_full;
    sum.too_long += more.too_long;
}

/// For sentences.
pub(in crate::lab) fn whose(side: SideName) -> &'static str {
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
