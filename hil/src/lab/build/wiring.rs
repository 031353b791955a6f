//! A plan's network as a [`Fabric`]: which routers stand between whom, and the addresses of the sides' hosts.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use super::addresses::{self, INTERNET, LAN_PREFIX};
use crate::{
    lab::{
        fabric::{EndpointId, Fabric, RouterId, SegmentId},
        nat::{Behaviour, Kind, Nat},
    },
    scenario::plan::{Plan, RouterKind, Side, SideName, Uplink},
};

/// Prefix of a host that is alone in its network: on a TUN device everybody else is behind the default route.
const ALONE: u8 = 32;

/// What is where in a fabric.
#[derive(Debug)]
pub struct Wiring {
    /// The internet's host.
    pub internet: EndpointId,
    device: SideWiring,
    viewer: SideWiring,
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

/// An uplink's routers.
#[derive(Debug)]
pub struct UplinkWiring {
    /// From the host outwards.
    pub routers: Vec<RouterId>,
    /// Where the host is when it uses this uplink.
    pub segment: SegmentId,
    /// The host's addresses with the length of their prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The public address.
    pub wan: Ipv4Addr,
}

impl Wiring {
    /// Makes the fabric of a plan. All its chance follows from the plan's seed. Endpoints are the same ones, in the
    /// same order, for all plans, so that a network that runs can be given another one's fabric.
    pub fn of(plan: &Plan) -> (Fabric, Self) {
        let mut fabric = Fabric::default();
        let outside = fabric.segment();
        let internet = fabric.endpoint(outside, INTERNET.to_vec());
        let device = side(&mut fabric, outside, SideName::Device, &plan.device, plan.seed);
        let viewer = side(&mut fabric, outside, SideName::Viewer, &plan.viewer, plan.seed);
        (fabric, Self { internet, device, viewer })
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
    /// The uplink in use.
    pub fn uplink(&self) -> &UplinkWiring {
        &self.uplinks[self.current]
    }

    /// The same, to be changed.
    pub fn uplink_mut(&mut self) -> &mut UplinkWiring {
        &mut self.uplinks[self.current]
    }
}

fn side(fabric: &mut Fabric, outside: SegmentId, name: SideName, side: &Side, seed: u64) -> SideWiring {
    let uplinks: Vec<_> = [Some(&side.uplink), side.spare.as_ref()]
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(number, plan)| uplink(fabric, outside, (name, number), plan, seed))
        .collect();
    let host = fabric.endpoint(uplinks[0].segment, addresses_v4(&uplinks[0].addresses));
    SideWiring { host, uplinks, current: 0, next_wan: addresses::FIRST_CHANGED_WAN }
}

fn uplink(
    fabric: &mut Fabric,
    outside: SegmentId,
    (name, number): (SideName, usize),
    plan: &Uplink,
    seed: u64,
) -> UplinkWiring {
    let wan = addresses::wan(name, number as u8 + 1);
    let Some(last) = plan.routers.len().checked_sub(1) else {
        let addresses = vec![(wan.into(), ALONE)];
        return UplinkWiring { routers: Vec::new(), segment: outside, addresses, wan };
    };
    let host = addresses::host(name, number);
    let segment = fabric.segment();
    let (mut inside, mut next) = (segment, host);
    let mut routers = Vec::new();
    for (position, router) in plan.routers.iter().enumerate() {
        let (beyond, external) = if position == last {
            (outside, wan)
        } else {
            (fabric.segment(), addresses::inner(name, number, position))
        };
        let seed = seed_of(seed, (name, number), position);
        let mut nat = Nat::new(behaviour(&router.kind), external, seed);
        for (protocol, port, to) in &router.forwards {
            nat.forward(*protocol, *port, SocketAddrV4::new(next, *to));
        }
        routers.push(fabric.router(inside, beyond, nat, seed ^ 1));
        (inside, next) = (beyond, external);
    }
    fabric.set_policy(routers[last], plan.policy);
    fabric.set_faults(routers[last], plan.up, plan.down);
    UplinkWiring { routers, segment, addresses: vec![(host.into(), LAN_PREFIX)], wan }
}

fn behaviour(kind: &RouterKind) -> Behaviour {
    match kind {
        RouterKind::Computed(behaviour) => *behaviour,
        RouterKind::Linux { .. } => Behaviour::of(Kind::ALL[2]),
    }
}

/// Another one for each router of a lab.
fn seed_of(seed: u64, (name, uplink): (SideName, usize), position: usize) -> u64 {
    let side: u64 = match name {
        SideName::Device => 1,
        SideName::Viewer => 2,
    };
    let place = side << 32 | (uplink as u64) << 16 | (position as u64) << 1;
    // Multiplied by the golden ratio (Fibonacci hashing), so that neighbouring seeds share no bits.
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place
}

/// The IPv4 ones.
pub fn addresses_v4(addresses: &[(IpAddr, u8)]) -> Vec<Ipv4Addr> {
    addresses::v4(addresses).into_iter().collect()
}
