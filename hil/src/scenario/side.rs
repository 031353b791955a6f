//! The two sides of a scenario file: networks, routers, firewalls and lines.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    keys::{self, Keys},
    line,
    plan::{Network, PortMapping, RouterKind, RouterPlan, Side, Uplink},
    problem::{Trouble, shown},
    table::{self, Node, Notes, Section},
};
use crate::lab::{
    fabric::Policy,
    nat::{Behaviour, Filtering, Kind, Mapping, PortChoice},
    packet::Protocol,
};

/// From shorter than any router in the field to a day.
const LIVES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// More in a row than any network has.
const MAX_ROUTERS: usize = 4;
/// More than a lab needs.
const MAX_FORWARDS: usize = 64;

const NETWORKS: [(&str, Network); 4] =
    [("ipv4", Network::Ipv4), ("dual", Network::Dual), ("ipv6", Network::Ipv6), ("nat64", Network::Nat64)];
const FIREWALLS: [(&str, Policy); 3] =
    [("open", Policy::Open), ("no-udp", Policy::NoUdp), ("only-tcp-443", Policy::OnlyTcp(443))];
const PORTS: [(&str, PortChoice); 3] = [
    ("preserve", PortChoice::Preserve),
    ("sequential", PortChoice::Sequential),
    ("random", PortChoice::Random),
];
const PORT_MAPPINGS: [(&str, PortMapping); 4] = [
    ("pcp", PortMapping::Pcp),
    ("nat-pmp", PortMapping::NatPmp),
    ("upnp", PortMapping::Upnp),
    ("all", PortMapping::All),
];
const PROTOCOLS: [(&str, Protocol); 2] = [("udp", Protocol::Udp), ("tcp", Protocol::Tcp)];

/// Routers by the names that people know (RFC 3489's, and Linux').
const ROUTERS: [(&str, RouterName); 6] = {
    use Filtering as F;
    use Mapping as M;
    [
        ("full-cone", RouterName::Cone(Kind(M::EndpointIndependent, F::EndpointIndependent))),
        ("restricted-cone", RouterName::Cone(Kind(M::EndpointIndependent, F::AddressDependent))),
        ("port-restricted", RouterName::Cone(Kind(M::EndpointIndependent, F::AddressAndPortDependent))),
        ("symmetric", RouterName::Cone(Kind(M::AddressAndPortDependent, F::AddressAndPortDependent))),
        ("linux", RouterName::Linux(false)),
        ("linux-random", RouterName::Linux(true)),
    ]
};

#[derive(Clone, Copy)]
enum RouterName {
    Cone(Kind),
    Linux(bool),
}

/// Reads `[device]` or `[viewer]`; a side that is not there is a host on the internet itself.
pub(super) fn read(notes: &mut Notes, top: &Section<'_>, key: &str, keys: &'static Keys) -> Side {
    let Some(section) = top.section(notes, key, keys) else {
        return Side { network: Network::default(), uplink: Uplink::default(), spare: None };
    };
    Side {
        network: section.word(notes, "network", &NETWORKS).unwrap_or_default(),
        uplink: uplink(notes, &section),
        spare: section.section(notes, "spare", &keys::SPARE).map(|spare| uplink(notes, &spare)),
    }
}

fn uplink(notes: &mut Notes, section: &Section<'_>) -> Uplink {
    let nodes = section.list(notes, "routers", "routers, from the host outwards");
    if nodes.len() > MAX_ROUTERS {
        let what = format!("`routers`: {} in a row are too many", nodes.len());
        notes.add(section.place("routers"), Trouble::new(what).allowed(format!("up to {MAX_ROUTERS}")));
    }
    let mut routers: Vec<_> = nodes.into_iter().filter_map(|node| router(notes, "routers", node)).collect();
    // The carrier's is the outermost.
    routers.extend(section.node("cgn").and_then(|node| router(notes, "cgn", node)));
    let (up, down) = section.node("line").map(|node| line::read(notes, "line", node)).unwrap_or_default();
    let policy = section.word(notes, "firewall", &FIREWALLS).unwrap_or_default();
    Uplink { routers, policy, up, down }
}

/// Reads a router: a name, a kind as `EIM/APDF`, or a table.
pub(super) fn router(notes: &mut Notes, key: &str, node: Node<'_>) -> Option<RouterPlan> {
    if !node.get_ref().is_table() {
        let name = table::parsed(notes, key, node, &router_form(), router_name)?;
        return Some(RouterPlan { kind: kind(name), forwards: Vec::new() });
    }
    let section = Section::of(notes, "a router", node, &keys::ROUTER)?;
    if !section.has("kind") {
        section.missing(notes, "kind", "write { kind = \"port-restricted\", ... }");
    }
    let name = section.read(notes, "kind", &router_form(), router_name);
    let mut kind = name.map(kind);
    match &mut kind {
        Some(RouterKind::Computed(behaviour)) => {
            values(notes, &section, behaviour);
            if section.has("port-mapping") {
                let trouble =
                    Trouble::new("`port-mapping`: a computed router opens no ports for those who ask")
                        .hint("take kind = \"linux\" or \"linux-random\", which run miniupnpd");
                notes.add(section.place("port-mapping"), trouble);
            }
        }
        Some(RouterKind::Linux { port_mapping, .. }) => {
            *port_mapping = section.word(notes, "port-mapping", &PORT_MAPPINGS);
            for key in section.present().filter(|key| !["kind", "forwards", "port-mapping"].contains(key)) {
                let trouble = Trouble::new(format!("`{key}`: a Linux router does as its kernel does"))
                    .allowed("kind, forwards, port-mapping")
                    .hint(
                        "leave it out, or take a computed router (docs/scenarios.md lists them) instead of \
                         \"linux\"",
                    );
                notes.add(section.place(key), trouble);
            }
        }
        None => {}
    }
    let forwards = forwards(notes, &section);
    Some(RouterPlan { kind: kind?, forwards })
}

fn router_form() -> String {
    let names: Vec<_> = ROUTERS.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    format!("{}; MAPPING/FILTERING as in \"EIM/APDF\"; or a table with `kind`", names.join(", "))
}

fn router_name(text: &str) -> Result<RouterName, Trouble> {
    if let Some((_, name)) = ROUTERS.iter().find(|(name, _)| *name == text) {
        return Ok(*name);
    }
    text.parse().map(RouterName::Cone).map_err(|_| {
        let kinds: Vec<_> = Kind::ALL.iter().map(ToString::to_string).collect();
        let names = ROUTERS.iter().map(|(name, _)| *name).chain(kinds.iter().map(String::as_str));
        Trouble::new(format!("there is no router \"{}\"", shown(text)))
            .allowed(router_form())
            .meant(text, names)
    })
}

fn kind(name: RouterName) -> RouterKind {
    match name {
        RouterName::Cone(kind) => RouterKind::Computed(Behaviour::of(kind)),
        RouterName::Linux(fully_random) => RouterKind::Linux { fully_random, port_mapping: None },
    }
}

fn values(notes: &mut Notes, section: &Section<'_>, behaviour: &mut Behaviour) {
    if let Some(ports) = section.word(notes, "ports", &PORTS) {
        behaviour.ports = ports;
    }
    if let Some(hairpin) = section.switch(notes, "hairpin") {
        behaviour.hairpin = hairpin;
    }
    if let Some(life) = section.time(notes, "udp-life", LIVES) {
        behaviour.udp_life = life;
    }
    if let Some(life) = section.time(notes, "tcp-life", LIVES) {
        behaviour.tcp_life = life;
    }
}

fn forwards(notes: &mut Notes, section: &Section<'_>) -> Vec<(Protocol, u16, u16)> {
    let mut forwards: Vec<(Protocol, u16, u16)> = Vec::new();
    let nodes = section.list(notes, "forwards", "tables, as in { protocol = \"udp\", outside = 50000 }");
    if nodes.len() > MAX_FORWARDS {
        let what = format!("`forwards`: {} are too many", nodes.len());
        notes.add(section.place("forwards"), Trouble::new(what).allowed(format!("up to {MAX_FORWARDS}")));
    }
    for node in nodes {
        let Some(forward) = Section::of(notes, "a forward", node, &keys::FORWARD) else { continue };
        if !forward.has("outside") {
            forward.missing(notes, "outside", "give the port that is open on the internet's side");
        }
        let protocol = forward.word(notes, "protocol", &PROTOCOLS).unwrap_or(Protocol::Udp);
        let Some(outside) = port(notes, &forward, "outside") else { continue };
        let inside = port(notes, &forward, "inside").unwrap_or(outside);
        if forwards.iter().any(|(other, port, _)| (*other, *port) == (protocol, outside)) {
            let trouble = Trouble::new(format!("the outside port {outside} is forwarded twice"))
                .hint("a port leads to one place only: take another one");
            notes.add(forward.place("outside"), trouble);
        }
        forwards.push((protocol, outside, inside));
    }
    forwards
}

/// A port of UDP or TCP.
pub(super) fn port(notes: &mut Notes, section: &Section<'_>, key: &str) -> Option<u16> {
    section.whole(notes, key, 1..=65535).and_then(|port| u16::try_from(port).ok())
}
