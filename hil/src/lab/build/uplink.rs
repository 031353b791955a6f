//! One uplink in a fabric: the routers from the host outwards, and the line.

use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    addresses::{self, HostAddresses, LAN_PREFIX, LAN6_PREFIX},
    wiring::{Hop, LinuxSpot, UplinkWiring, behaviour, kind, stricter},
};
use crate::{
    lab::{
        fabric::{Fabric, SegmentId},
        linux_router::{Forward, Settings, Translation},
        nat::{Behaviour, Filtering, Kind, Mapping, Nat},
        nat64::Nat64,
    },
    scenario::plan::{Network, RouterKind, RouterPlan, SideName, Uplink},
};

/// What RFC 6146 asks of a NAT64 (section 3.5): no other mapping, and the stricter of its two filters.
pub const NAT64_KIND: Kind = Kind(Mapping::EndpointIndependent, Filtering::AddressDependent);

/// Which uplink it is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Whose.
    pub name: SideName,
    /// The first (0) or the spare one (1).
    pub number: usize,
    /// Where its line leads to.
    pub outside: SegmentId,
    /// Whether that is a carrier's network.
    pub carrier: bool,
    /// Whether the host is a gateway before a LAN.
    pub on_lan: bool,
}

/// Builds it. What Linux routers it needs is added to `linux`.
pub fn build(
    fabric: &mut Fabric,
    linux: &mut Vec<LinuxSpot>,
    place: Place,
    network: Network,
    plan: &Uplink,
    seed: u64,
) -> UplinkWiring {
    let Place { name, number, .. } = place;
    let has_v4 = matches!(network, Network::Ipv4 | Network::Dual);
    let has_v6 = network != Network::Ipv4;
    let seed = |position| seed_of(seed, place, position);
    let access = fabric.segment();
    let segment = fabric.segment();
    let wan = (network != Network::Ipv6).then(|| {
        let wan = addresses::wan(name, number as u8 + 1, place.carrier);
        if maps_ports(plan) { addresses::mapped(wan) } else { wan }
    });
    let v4 = match (has_v4.then_some(wan).flatten(), plan.routers.is_empty()) {
        (Some(wan), true) => Some(in_public(place, wan)),
        (Some(_), false) => Some(in_lan(place)),
        (None, _) => None,
    };
    let v6 = has_v6.then(|| in_lan6(place));
    let mut hops = Vec::new();
    let line = fabric.plain_router(access, place.outside, Vec::new(), false, seed(0));
    fabric.set_policy(line, plan.policy);
    fabric.set_faults(line, plan.up, plan.down);
    let public = v4.as_ref().filter(|_| plan.routers.is_empty());
    let public = public.map(|v4| fabric.plain_router(segment, access, v4.prefixes.clone(), false, seed(1)));
    if let (Some(wan), Some(v4), None) = (wan, &v4, public) {
        hops = chain(fabric, linux, place, &plan.routers, [segment, access], [v4.host, wan], &seed);
    }
    let firewall =
        v6.as_ref().map(|v6| fabric.plain_router(segment, access, v6.prefixes.clone(), true, seed(2)));
    if let (Network::Nat64, Some(wan)) = (network, wan) {
        let nat = Nat64::new(Behaviour::of(NAT64_KIND), wan, seed(3));
        hops.push(Hop::Computed(fabric.nat64_router(segment, access, nat, seed(3))));
    }
    let host = HostAddresses { v4: v4.as_ref().map(|v4| v4.host), v6: v6.as_ref().map(|v6| v6.host) };
    let (mut addresses, mut prefixes) = (Vec::new(), Vec::new());
    addresses.extend(v4.iter().map(|v4| v4.device));
    addresses.extend(v6.iter().map(|v6| v6.device));
    prefixes.extend(v4.into_iter().flat_map(|v4| v4.prefixes));
    prefixes.extend(v6.into_iter().flat_map(|v6| v6.prefixes));
    let kind = match network {
        Network::Nat64 => Some(NAT64_KIND),
        _ => plan.routers.iter().map(|router| Some(kind(behaviour(router.kind)))).fold(None, stricter),
    };
    let (faults, policy) = ([plan.up, plan.down], plan.policy);
    let asks = v4_behind_linux(plan) && has_v4 && !place.on_lan;
    let gateway = asks.then(|| addresses::gateway(name, number));
    UplinkWiring {
        hops,
        firewall,
        public,
        line,
        segment,
        access,
        addresses,
        prefixes,
        host,
        faults,
        policy,
        kind,
        wan,
        maps_ports: maps_ports(plan),
        gateway,
    }
}

/// Whether some router gives ports to those who ask.
fn maps_ports(uplink: &Uplink) -> bool {
    let maps = |kind| matches!(kind, RouterKind::Linux { port_mapping: Some(_), .. });
    uplink.routers.iter().any(|router| maps(router.kind))
}

/// Whether the host's own router is one with an address inside.
fn v4_behind_linux(uplink: &Uplink) -> bool {
    matches!(uplink.routers.first(), Some(RouterPlan { kind: RouterKind::Linux { .. }, .. }))
}

/// How a host is addressed in one IP version.
struct Addressed<A> {
    /// The host.
    host: A,
    /// The namespace's device: the host itself, or the gateway before it.
    device: IpNet,
    /// What the namespace gets packets for.
    prefixes: Vec<IpNet>,
}

/// A host with a public address, which is alone in its network: on a TUN device everybody else is behind the default
/// route.
fn in_public(place: Place, wan: Ipv4Addr) -> Addressed<Ipv4Addr> {
    let alone = |address: Ipv4Addr| IpNet::from(Ipv4Net::from(address));
    if !place.on_lan {
        return Addressed { host: wan, device: alone(wan), prefixes: vec![alone(wan)] };
    }
    let lan = addresses::public_lan(place.carrier);
    let prefixes = vec![alone(wan), alone(lan.gateway)];
    Addressed { host: wan, device: alone(lan.gateway), prefixes }
}

/// A host in a LAN behind a router. A LAN with a board on it is the same behind the spare uplink.
fn in_lan(place: Place) -> Addressed<Ipv4Addr> {
    let net = |address, prefix| IpNet::V4(Ipv4Net::new_assert(address, prefix));
    if place.on_lan {
        let lan = addresses::lan();
        let (device, network) = (net(lan.gateway, 32), net(lan.subnet, lan.prefix));
        return Addressed { host: lan.leases.0, device, prefixes: vec![network] };
    }
    let host = addresses::host(place.name, place.number);
    Addressed { host, device: net(host, LAN_PREFIX), prefixes: vec![net(host, 32)] }
}

/// The same in IPv6, with public addresses.
fn in_lan6(place: Place) -> Addressed<std::net::Ipv6Addr> {
    let net = |address, prefix| IpNet::V6(Ipv6Net::new_assert(address, prefix));
    let number = if place.on_lan { 0 } else { place.number };
    let host = addresses::host6(place.name, number);
    let network = addresses::network6(place.name, number).into();
    let device = if place.on_lan { net(addresses::lan().gateway6, 128) } else { net(host, LAN6_PREFIX) };
    Addressed { host, device, prefixes: vec![network] }
}

/// Routers in a row between two segments; `ends`: the host, and the last one's outside.
fn chain(
    fabric: &mut Fabric,
    linux: &mut Vec<LinuxSpot>,
    place: Place,
    plans: &[RouterPlan],
    [mut inside, access]: [SegmentId; 2],
    [host, wan]: [Ipv4Addr; 2],
    seed: &impl Fn(u64) -> u64,
) -> Vec<Hop> {
    // What a forward leads to: the next one inwards.
    let mut next = host;
    // What a Linux router is called inside.
    let mut lan = Ipv4Net::new_assert(addresses::gateway(place.name, place.number), LAN_PREFIX);
    let mut hops = Vec::new();
    for (position, plan) in plans.iter().enumerate() {
        let [outer, inner] = addresses::inner(place.name, place.number, position);
        let last = position + 1 == plans.len();
        let (beyond, external) = if last { (access, wan) } else { (fabric.segment(), inner) };
        let forwards = plan.forwards.iter().map(|(protocol, port, to)| Forward {
            protocol: *protocol,
            port: *port,
            inside: SocketAddrV4::new(next, *to),
        });
        hops.push(match plan.kind {
            RouterKind::Computed(behaviour) => {
                let seed = seed(10 + position as u64);
                let mut nat = Nat::new(behaviour, external, seed);
                for Forward { protocol, port, inside } in forwards {
                    nat.forward(protocol, port, inside);
                }
                Hop::Computed(fabric.nat_router(inside, beyond, nat, seed))
            }
            RouterKind::Linux { fully_random, port_mapping } => {
                let translation = Translation { fully_random, forwards: forwards.collect() };
                let settings = Settings { lan, wan: external, translation, port_mapping };
                let lan = fabric.endpoint(inside, vec![Ipv4Net::from(settings.lan.addr()).into()]);
                fabric.gateway(inside, lan);
                let wan = fabric.endpoint(beyond, vec![Ipv4Net::from(external).into()]);
                let side = match place.name {
                    SideName::Device => "dr",
                    SideName::Viewer => "vr",
                };
                let name = format!("{side}{}{position}", place.number);
                linux.push(LinuxSpot { name, settings, lan, wan });
                Hop::Linux(linux.len() - 1)
            }
        });
        (inside, next, lan) = (beyond, external, Ipv4Net::new_assert(outer, LAN_PREFIX));
    }
    hops
}

/// Another one for each router of a lab.
fn seed_of(seed: u64, place: Place, position: u64) -> u64 {
    let side: u64 = match place.name {
        SideName::Device => 1,
        SideName::Viewer => 2,
    };
    // Multiplied by the golden ratio (Fibonacci hashing), so that neighbouring seeds share no bits.
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (side << 32 | (place.number as u64) << 16 | position)
}
