//! A plan's network as a [`Fabric`]: which routers stand between whom, and the addresses of the sides' hosts.
//!
//! ```text
//! host segment -> router -> ... -> router -> access segment -> line -> internet (or a carrier's NAT)
//!             \-> IPv6 firewall ------------/
//! ```
//!
//! The line is a router without NAT that has the faults, the policy and the counts of the uplink, for both IP versions
//! and whatever the routers are.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    DeviceHost,
    addresses::{self, HostAddresses, INTERNET, INTERNET6},
    uplink::{self, Place},
};
use crate::{
    lab::{
        fabric::{EndpointId, Fabric, Plain, Policy, RouterId, SegmentId, Translation},
        link::Attachment,
        linux_router::Settings,
        nat::{Behaviour, Kind, Nat},
        wire::Faults,
    },
    scenario::plan::{Network, Plan, RouterKind, Side, SideName},
};

/// What is where in a fabric.
#[derive(Debug)]
pub struct Wiring {
    /// The internet's host.
    pub internet: EndpointId,
    device: SideWiring,
    viewer: SideWiring,
    /// The address of the carrier's NAT that both sides are behind.
    pub carrier: Option<Ipv4Addr>,
    /// Linux routers that the fabric needs.
    pub linux: Vec<LinuxSpot>,
}

/// A Linux router's place in the fabric.
#[derive(Clone, Debug)]
pub struct LinuxSpot {
    /// Its name, to come after the lab's.
    pub name: String,
    /// How it is built.
    pub settings: Settings,
    /// Its inside.
    pub lan: EndpointId,
    /// Its outside.
    pub wan: EndpointId,
}

/// A side's uplinks and its host.
#[derive(Debug)]
pub struct SideWiring {
    /// The namespace's TUN device.
    pub host: EndpointId,
    /// The first one, and the spare one if there is one.
    pub uplinks: Vec<UplinkWiring>,
    /// The one in use, as an index.
    pub current: usize,
    /// Number of the next public address.
    pub next_wan: u8,
}

/// A router of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// In the fabric.
    Computed(RouterId),
    /// In a namespace, by its place in [`Wiring::linux`].
    Linux(usize),
}

/// An uplink.
#[derive(Debug)]
pub struct UplinkWiring {
    /// IPv4 routers from the host outwards, or the NAT64. Empty: the host has a public address.
    pub hops: Vec<Hop>,
    /// The firewall of IPv6, ...
    pub firewall: Option<RouterId>,
    /// ... and what brings a host's public IPv4 address past it.
    pub public: Option<RouterId>,
    /// The line to the internet.
    pub line: RouterId,
    /// Where the host is when it uses this uplink.
    pub segment: SegmentId,
    /// Where the outermost router's outside is.
    pub access: SegmentId,
    /// The addresses of the namespace's device.
    pub addresses: Vec<IpNet>,
    /// What the namespace gets packets for.
    pub prefixes: Vec<IpNet>,
    /// The addresses of the host itself.
    pub host: HostAddresses,
    /// The faults of its line now, towards the internet and from it.
    pub faults: [Faults; 2],
    /// What its line lets out.
    pub policy: Policy,
    /// What all NATs on the way do together, after the plan.
    pub kind: Option<Kind>,
    /// The public address, if there is IPv4 outside.
    pub wan: Option<Ipv4Addr>,
    /// Whether some router gives ports to those who ask: its public address is [`addresses::mapped`].
    pub maps_ports: bool,
    /// The router that the host knows, if that is one that can be asked.
    pub gateway: Option<Ipv4Addr>,
}

impl Wiring {
    /// Makes the fabric of a plan. All its chance follows from the plan's seed. The first three endpoints are the same
    /// ones for all plans, so that a network that runs can be given another one's fabric.
    pub fn of(plan: &Plan, device_host: DeviceHost) -> (Fabric, Self) {
        let mut fabric = Fabric::default();
        let outside = fabric.segment();
        let internet = fabric.endpoint(outside, internet_addresses());
        let nowhere = fabric.segment();
        let hosts = [(); 2].map(|()| fabric.endpoint(nowhere, Vec::new()));
        let carrier_behaviour = plan.shared_cgn.as_ref().map(|router| behaviour(router.kind));
        let cgn = carrier_behaviour.map(|behaviour| carrier(&mut fabric, outside, behaviour, plan));
        let mut linux = Vec::new();
        let mut side = |name, host, side: &Side, on_lan| {
            let place =
                Place { name, number: 0, outside: cgn.unwrap_or(outside), carrier: cgn.is_some(), on_lan };
            let plans = [Some(&side.uplink), side.spare.as_ref()].into_iter().flatten().enumerate();
            let mut uplinks: Vec<_> = plans
                .map(|(number, plan_uplink)| {
                    let place = Place { number, ..place };
                    uplink::build(&mut fabric, &mut linux, place, side.network, plan_uplink, plan.seed)
                })
                .collect();
            for uplink in &mut uplinks {
                uplink.kind = stricter(uplink.kind, carrier_behaviour.map(kind));
            }
            SideWiring { host, uplinks, current: 0, next_wan: addresses::FIRST_CHANGED_WAN }
        };
        let device = side(SideName::Device, hosts[0], &plan.device, device_host == DeviceHost::Lan);
        let mut viewer = side(SideName::Viewer, hosts[1], &plan.viewer, false);
        viewer.own_lines(&mut fabric, plan);
        let carrier = cgn.map(|_| addresses::CARRIER);
        let wiring = Self { internet, device, viewer, carrier, linux };
        for name in [SideName::Device, SideName::Viewer] {
            wiring.side(name).place_host(&mut fabric);
        }
        (fabric, wiring)
    }

    /// A side.
    pub fn side(&self, name: SideName) -> &SideWiring {
        match name {
            SideName::Device => &self.device,
            SideName::Viewer => &self.viewer,
        }
    }

    /// A side, to be changed.
    pub fn side_mut(&mut self, name: SideName) -> &mut SideWiring {
        match name {
            SideName::Device => &mut self.device,
            SideName::Viewer => &mut self.viewer,
        }
    }
}

impl SideWiring {
    /// Gives viewers with a line of their own an address that has it.
    fn own_lines(&mut self, fabric: &mut Fabric, plan: &Plan) {
        for (number, viewer) in plan.viewers.iter().enumerate() {
            let Some((up, down)) = viewer.line else { continue };
            let own = addresses::own(number);
            fabric.lane(self.host, own.into(), up, down, plan.seed.wrapping_add(number as u64));
            let uplink = &mut self.uplinks[0];
            uplink.addresses.push(Ipv4Net::new_assert(own, addresses::LAN_PREFIX).into());
            uplink.prefixes.push(Ipv4Net::from(own).into());
        }
    }

    /// The uplink in use.
    pub fn uplink(&self) -> &UplinkWiring {
        &self.uplinks[self.current]
    }

    /// The same, to be changed.
    pub fn uplink_mut(&mut self) -> &mut UplinkWiring {
        &mut self.uplinks[self.current]
    }

    /// Puts the host where its uplink is. IPv6 goes by the uplink in use alone: a LAN that stays when the uplink is
    /// switched keeps its prefix.
    pub fn place_host(&self, fabric: &mut Fabric) {
        let current = self.uplink();
        fabric.move_endpoint(self.host, current.segment, current.prefixes.clone());
        for (number, uplink) in self.uplinks.iter().enumerate() {
            let networks = uplink.line_prefixes(number == self.current);
            fabric.set_translation(uplink.line, Translation::Plain(Plain::new(networks, None)));
        }
    }
}

impl UplinkWiring {
    /// How the namespace is attached.
    pub fn attachment(&self) -> Attachment {
        Attachment::by(self.addresses.clone(), self.gateway)
    }

    /// What is behind its line.
    fn line_prefixes(&self, in_use: bool) -> Vec<IpNet> {
        let behind_nat = !self.hops.is_empty();
        let wan = self.wan.filter(|_| behind_nat).map(|wan| Ipv4Net::from(wan).into());
        let own = self.prefixes.iter().filter(|prefix| match prefix {
            IpNet::V4(_) => !behind_nat,
            IpNet::V6(_) => in_use,
        });
        wan.into_iter().chain(own.copied()).collect()
    }
}

/// The addresses of the internet's host.
pub fn internet_addresses() -> Vec<IpNet> {
    let v4 = INTERNET.map(|address| IpNet::from(Ipv4Net::from(address)));
    v4.into_iter().chain(INTERNET6.map(|address| Ipv6Net::from(address).into())).collect()
}

/// A carrier's NAT for both sides; where they are.
fn carrier(fabric: &mut Fabric, outside: SegmentId, behaviour: Behaviour, plan: &Plan) -> SegmentId {
    let inside = fabric.segment();
    fabric.nat_router(inside, outside, Nat::new(behaviour, addresses::CARRIER, plan.seed), plan.seed);
    let v6 = [(SideName::Device, &plan.device), (SideName::Viewer, &plan.viewer)];
    let v6 = v6.into_iter().filter(|(_, side)| side.network != Network::Ipv4);
    let prefixes = v6.flat_map(|(name, _)| [0, 1].map(|uplink| addresses::network6(name, uplink).into()));
    let prefixes: Vec<IpNet> = prefixes.collect();
    if !prefixes.is_empty() {
        fabric.plain_router(inside, outside, prefixes, false, plan.seed);
    }
    inside
}

/// What a router does, computed or not.
pub fn behaviour(kind: RouterKind) -> Behaviour {
    match kind {
        RouterKind::Computed(behaviour) => behaviour,
        // As long as no two ports inside collide.
        RouterKind::Linux { fully_random: false, .. } => Behaviour::of(Kind::ALL[2]),
        RouterKind::Linux { fully_random: true, .. } => Behaviour::of(Kind::ALL[7]),
    }
}

/// Its mapping and filtering.
pub fn kind(behaviour: Behaviour) -> Kind {
    Kind(behaviour.mapping, behaviour.filtering)
}

/// What two NATs in a row do together: the stricter of both, for mapping and for filtering.
pub fn stricter(one: Option<Kind>, other: Option<Kind>) -> Option<Kind> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Kind(one.0.max(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}
