//! Whether the path that a scenario expects can be at all.

use super::{
    plan::{Network, PathKind, Plan, RouterPlan, TurnTransport, Uplink, ViewerKind},
    problem::Trouble,
    sense::Read,
    table::Notes,
};
use crate::lab::{fabric::Policy, packet::Protocol};

/// Whether what is expected of the path can be at all.
pub(super) fn check(notes: &mut Notes, read: &Read<'_>) {
    let plan = read.plan;
    let place = read.place("expect", "path");
    let sides = [("device", &plan.device), ("viewer", &plan.viewer)];
    let trouble = match plan.expect.path {
        Some(PathKind::Direct) => direct_is_impossible(plan),
        Some(PathKind::Relayed) if plan.servers.turn.is_empty() => Some(
            Trouble::new("a relayed path is expected, but there is no TURN").hint("give [servers] a `turn`"),
        ),
        Some(PathKind::Relayed) => sides.iter().find_map(|(name, side)| {
            // A relay of one side serves both, but a side without UDP reaches nobody without its own.
            (side.uplink.policy != Policy::Open && !reaches_turn(plan, &side.uplink)).then(|| {
                let (needs, firewall) = match side.uplink.policy {
                    Policy::NoUdp => ("\"tcp\" or \"tls\"", "no UDP"),
                    _ => ("\"tls\" on port 443", "only TCP 443"),
                };
                Trouble::new(format!(
                    "the {name}'s firewall lets out {firewall}, and no TURN can be reached so"
                ))
                .hint(format!("give [servers] turn {needs}"))
            })
        }),
        // An event or a setting may be what leaves no path.
        Some(PathKind::None)
            if read.events && read.board && plan.events.is_empty() && plan.board.config.is_empty() =>
        {
            let reached = sides.iter().all(|(_, side)| reaches_turn(plan, &side.uplink));
            reached.then(|| {
                Trouble::new("no path is expected, but both sides reach TURN: a relay is a path")
                    .hint("write turn = [] in [servers]")
            })
        }
        _ => None,
    };
    if let Some(trouble) = trouble {
        notes.add(place, trouble);
    }
}

fn direct_is_impossible(plan: &Plan) -> Option<Trouble> {
    for (name, side) in [("device", &plan.device), ("viewer", &plan.viewer)] {
        if side.uplink.policy != Policy::Open && !reaches_by_tcp(plan) {
            return Some(
                Trouble::new(format!("a direct path is expected, but the {name}'s firewall lets no UDP out"))
                    .hint(
                        "expect path = \"relayed\", or set firewall = \"open\", or let Chromium watch a device whose TCP \
                         port is open (no routers, or a forward of TCP)",
                    ),
            );
        }
    }
    let networks = [plan.device.network, plan.viewer.network];
    if networks.contains(&Network::Ipv6) && networks.contains(&Network::Ipv4) {
        return Some(
            Trouble::new("a direct path is expected between a side with only IPv6 and one with only IPv4")
                .hint("give one of them network = \"dual\", or expect path = \"relayed\""),
        );
    }
    let viewer = plan.viewers.iter().find(|viewer| viewer.relay_only)?;
    Some(
        Trouble::new(format!("a direct path is expected, but the viewer {} uses relays only", viewer.name))
            .hint("leave `relay-only` out, or expect path = \"relayed\""),
    )
}

/// Whether the viewers can connect to the device over TCP. The headless viewer opens no such connections.
fn reaches_by_tcp(plan: &Plan) -> bool {
    // A firewall that lets out one port only does not let out the device's.
    let lets = |firewall| matches!(firewall, Policy::Open | Policy::NoUdp);
    let forwards = |router: &RouterPlan| router.forwards.iter().any(|(kind, ..)| *kind == Protocol::Tcp);
    plan.viewers.iter().all(|viewer| viewer.kind == ViewerKind::Chromium)
        && plan.shared_cgn.is_none()
        && plan.device.uplink.routers.iter().all(forwards)
        && lets(plan.device.uplink.policy)
        && lets(plan.viewer.uplink.policy)
}

/// Whether some transport of TURN gets through the firewall.
fn reaches_turn(plan: &Plan, uplink: &Uplink) -> bool {
    let servers = &plan.servers;
    servers.turn.iter().any(|transport| match (uplink.policy, transport) {
        (Policy::Open, _) => true,
        (Policy::NoUdp, transport) => *transport != TurnTransport::Udp,
        (Policy::OnlyTcp(port), TurnTransport::Tcp) => port == servers.turn_port,
        (Policy::OnlyTcp(port), TurnTransport::Tls) => port == servers.turns_port,
        (Policy::OnlyTcp(_), TurnTransport::Udp) => false,
    })
}

/// Who uses relays only needs one.
pub(super) fn relays(notes: &mut Notes, read: &Read<'_>) {
    let only = read.plan.viewers.iter().find(|viewer| viewer.relay_only);
    if let Some(viewer) = only.filter(|_| read.plan.servers.turn.is_empty()) {
        let what = format!("the viewer {} uses relays only, but there is no TURN", viewer.name);
        let place = read.top.node("viewers").map_or(0..0, toml::Spanned::span);
        notes.add(place, Trouble::new(what).hint("leave `relay-only` out, or give [servers] a `turn`"));
    }
}
