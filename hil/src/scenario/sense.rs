//! Whether the parts of a scenario make sense together.

use std::{ops::Range, time::Duration};

use super::{
    judge::disturbs,
    paths,
    plan::{Event, Network, PathKind, Plan, SideName, TurnTransport},
    problem::Trouble,
    suited::unsuited,
    table::{Notes, Section},
    units, window,
};

/// Where the hub listens.
const HUB_PORT: u16 = 8080;
/// The picture's first two seconds are left out of its mean bitrate, and one must be left to measure.
const LEAST_FOR_BITRATE: Duration = Duration::from_secs(4);
/// Shortest time that a viewer can watch with any meaning.
const LEAST_TO_WATCH: Duration = Duration::from_secs(1);
/// Least that links must carry whole for IPv6 (RFC 8200 section 5).
const IPV6_MTU: usize = 1280;

/// A plan as read, and which parts of it were read without a problem: what belongs together is judged only where both
/// parts are known.
pub(super) struct Read<'a> {
    pub(super) plan: &'a Plan,
    pub(super) top: &'a Section<'a>,
    /// Where each event of the plan stands.
    pub(super) event_places: Vec<Range<usize>>,
    pub(super) time: bool,
    pub(super) sides: bool,
    pub(super) servers: bool,
    pub(super) board: bool,
    pub(super) viewers: bool,
    /// Those in the plan can be judged in any case; this says that there are no others.
    pub(super) events: bool,
    pub(super) expect: bool,
}

/// Notes what contradicts something else.
pub(super) fn check(notes: &mut Notes, read: &Read<'_>) {
    if read.servers {
        ports(notes, read);
    }
    if read.sides {
        networks(notes, read);
    }
    if read.time {
        times(notes, read);
    }
    overlaps(notes, read);
    if read.sides {
        uplinks(notes, read);
    }
    if read.board {
        boards(notes, read);
    }
    if read.expect {
        expectations(notes, read);
    }
    if read.expect && read.sides && read.servers && read.viewers {
        paths::check(notes, read);
    }
    window::check(notes, read);
    if read.viewers && read.sides {
        own_lines(notes, read);
    }
    if read.viewers && read.time {
        starts(notes, read);
    }
    if read.viewers && read.servers {
        paths::relays(notes, read);
    }
}

impl Read<'_> {
    /// Where a key of a table stands, or the table, or the beginning.
    pub(super) fn place(&self, table: &str, key: &str) -> Range<usize> {
        let Some(node) = self.top.node(table) else { return 0..0 };
        match node.get_ref().as_table().and_then(|table| table.get(key)) {
            Some(value) => value.span(),
            None => node.span(),
        }
    }

    fn events(&self) -> impl Iterator<Item = (Duration, &Event, Range<usize>)> {
        let events = self.plan.events.iter().zip(&self.event_places);
        events.map(|(timed, place)| (timed.at, &timed.event, place.clone()))
    }

    fn side(&self, side: SideName) -> (&'static str, &super::plan::Side) {
        match side {
            SideName::Device => ("device", &self.plan.device),
            SideName::Viewer => ("viewer", &self.plan.viewer),
        }
    }
}

fn ports(notes: &mut Notes, read: &Read<'_>) {
    let servers = &read.plan.servers;
    let plain = servers.turn.iter().any(|transport| *transport != TurnTransport::Tls) || servers.stun;
    let tls = servers.turn.contains(&TurnTransport::Tls);
    if plain && tls && servers.turn_port == servers.turns_port {
        let what = format!("port {} is used twice: for TURN and for TURN over TLS", servers.turn_port);
        let trouble = Trouble::new(what).hint("take 3478 and 443, or leave both keys out");
        notes.add(read.place("servers", "turns-port"), trouble);
    }
    for (key, port, used) in
        [("turn-port", servers.turn_port, plain), ("turns-port", servers.turns_port, tls)]
    {
        if used && port == HUB_PORT {
            let trouble = Trouble::new(format!("port {HUB_PORT} is used twice: the hub listens there"))
                .hint("take another one, or leave the key out");
            notes.add(read.place("servers", key), trouble);
        }
    }
}

fn networks(notes: &mut Notes, read: &Read<'_>) {
    for name in [SideName::Device, SideName::Viewer] {
        let (table, side) = read.side(name);
        let only_ipv6 = matches!(side.network, Network::Ipv6 | Network::Nat64);
        let spare = side.spare.as_ref().map(|spare| ("spare", spare));
        for (key, uplink) in [("routers", &side.uplink)].into_iter().chain(spare) {
            let key = if key == "routers" && uplink.routers.len() == 1 && has(read, table, "cgn") {
                "cgn"
            } else {
                key
            };
            if only_ipv6 && !uplink.routers.is_empty() {
                let trouble =
                    Trouble::new(format!("the {table}'s network has no IPv4 that a router could translate"))
                        .hint("leave its routers out, or take network = \"dual\"");
                notes.add(read.place(table, key), trouble);
            }
            let mtu = uplink.up.mtu.min(uplink.down.mtu);
            if side.network != Network::Ipv4 && mtu < IPV6_MTU {
                let trouble = Trouble::new(format!("an MTU of {mtu} bytes is too small for IPv6"))
                    .allowed("1280B to 1500B (RFC 8200 section 5)");
                notes.add(read.place(table, if key == "spare" { key } else { "line" }), trouble);
            }
        }
        if read.plan.shared_cgn.is_some() {
            let why = match side {
                side if side.network != Network::Ipv4 => Some(("network", "an IPv4 network")),
                side if side.uplink.routers.is_empty() => Some(("routers", "a router of its own")),
                side if side.spare.is_some() => {
                    Some(("spare", "no spare uplink: it would lead past the CGN"))
                }
                _ => None,
            };
            if let Some((key, needs)) = why {
                let trouble = Trouble::new(format!("behind a `shared-cgn` the {table} needs {needs}"));
                notes.add(read.place(table, key), trouble);
            }
        }
    }
}

fn has(read: &Read<'_>, table: &str, key: &str) -> bool {
    read.top
        .node(table)
        .and_then(|node| node.get_ref().as_table())
        .is_some_and(|table| table.contains_key(key))
}

/// How long an event lasts.
fn lasts(event: &Event) -> Duration {
    match event {
        Event::CutUplink { lasts, .. } | Event::KillServer { lasts, .. } | Event::UnplugCamera { lasts } => {
            *lasts
        }
        _ => Duration::ZERO,
    }
}

fn times(notes: &mut Notes, read: &Read<'_>) {
    let time = read.plan.time;
    let recovery = read.plan.expect.recovered_within.filter(|_| read.expect).unwrap_or_default();
    for (at, event, place) in read.events() {
        let over = at.saturating_add(lasts(event));
        let needed = over.saturating_add(recovery);
        let end = units::shown(time);
        let trouble = if at >= time {
            Trouble::new(format!("at {} the scenario is over: it lasts {end}", units::shown(at)))
        } else if over >= time {
            Trouble::new(format!("this ends at {}, after the scenario: it lasts {end}", units::shown(over)))
        } else if needed > time {
            let what = format!(
                "recovery may take until {}, after the scenario: it lasts {end}",
                units::shown(needed)
            );
            Trouble::new(what)
        } else {
            continue;
        };
        // A second more for the first picture, from which events count.
        let better = Duration::from_secs(needed.as_secs() + 2);
        notes.add(
            place,
            trouble.hint(format!("let it happen earlier, or set time = \"{}\"", units::shown(better))),
        );
    }
    for (key, limit) in [
        ("first-picture", read.plan.expect.first_picture),
        ("longest-freeze", read.plan.expect.longest_freeze),
    ] {
        if let Some(limit) = limit.filter(|limit| read.expect && *limit >= time) {
            let what = format!(
                "`{key}` allows {}, but the scenario lasts {}",
                units::shown(limit),
                units::shown(time)
            );
            notes.add(
                read.place("expect", key),
                Trouble::new(what).hint("allow less, or set a longer `time`"),
            );
        }
    }
    if read.expect && read.plan.expect.kbps.is_some() && time < LEAST_FOR_BITRATE {
        let trouble = Trouble::new(format!("`bitrate` cannot be told within {}", units::shown(time)))
            .hint("it counts from two seconds after the first picture: set time = \"6s\" or more");
        notes.add(read.place("expect", "bitrate"), trouble);
    }
}

/// What cannot be gone twice at a time.
fn overlaps(notes: &mut Notes, read: &Read<'_>) {
    let same = |a: &Event, b: &Event| match (a, b) {
        (Event::CutUplink { side: a, .. }, Event::CutUplink { side: b, .. }) => a == b,
        (Event::KillServer { server: a, .. }, Event::KillServer { server: b, .. }) => a == b,
        (Event::UnplugCamera { .. }, Event::UnplugCamera { .. }) => true,
        _ => false,
    };
    for (index, (at, event, place)) in read.events().enumerate() {
        let earlier = read
            .events()
            .take(index)
            .find(|(earlier, other, _)| same(other, event) && at < earlier.saturating_add(lasts(other)));
        if let Some((earlier, other, _)) = earlier {
            let back = units::shown(earlier.saturating_add(lasts(other)));
            let what = format!("it is gone already, from {} to {back}", units::shown(earlier));
            notes.add(
                place,
                Trouble::new(what).hint(format!("let this happen after {back}, or leave it out")),
            );
        }
    }
}

fn uplinks(notes: &mut Notes, read: &Read<'_>) {
    for (_, event, place) in read.events() {
        let trouble = match event {
            Event::SwitchUplink { side } => {
                let (name, side) = read.side(*side);
                side.spare.is_none().then(|| {
                    Trouble::new(format!("the {name} has no spare uplink to switch to"))
                        .hint(format!("describe one under [{name}.spare]"))
                })
            }
            Event::RebootRouter { side } | Event::ChangeWanAddress { side } => {
                let (name, side) = read.side(*side);
                let none = side.uplink.routers.is_empty();
                none.then(|| {
                    Trouble::new(format!("the {name} has no router"))
                        .hint(format!("give it one: routers = [\"port-restricted\"] in [{name}]"))
                })
            }
            Event::SetLine { side, up, down } => {
                let (name, side) = read.side(*side);
                let mtu = up.mtu.min(down.mtu);
                (side.network != Network::Ipv4 && mtu < IPV6_MTU).then(|| {
                    Trouble::new(format!("an MTU of {mtu} bytes is too small for the {name}'s IPv6"))
                        .allowed("1280B to 1500B (RFC 8200 section 5)")
                })
            }
            _ => None,
        };
        if let Some(trouble) = trouble {
            notes.add(place, trouble);
        }
    }
}

fn boards(notes: &mut Notes, read: &Read<'_>) {
    let only = &read.plan.board.only;
    if only.is_empty() || only.iter().any(|kind| unsuited(read.plan, *kind).is_none()) {
        return;
    }
    if let Some(why) = only.first().and_then(|kind| unsuited(read.plan, *kind)) {
        notes.add(read.place("board", "only"), Trouble::new(why).hint("name a board that can: \"qemu\""));
    }
}

fn expectations(notes: &mut Notes, read: &Read<'_>) {
    let expect = &read.plan.expect;
    if expect.path == Some(PathKind::None) {
        for (key, set) in [
            ("first-picture", expect.first_picture.is_some()),
            ("longest-freeze", expect.longest_freeze.is_some()),
            ("recovered-within", expect.recovered_within.is_some()),
            ("bitrate", expect.kbps.is_some()),
            ("av-sync", expect.av_sync.is_some()),
        ] {
            if set {
                let trouble =
                    Trouble::new(format!("`{key}` contradicts path = \"none\": no picture may come"))
                        .hint(format!("leave `{key}` out, or expect a path"));
                notes.add(read.place("expect", key), trouble);
            }
        }
    }
    let felt = || read.plan.events.iter().any(|timed| disturbs(read.plan, &timed.event));
    if read.events && expect.recovered_within.is_some() && !felt() {
        let trouble = Trouble::new("`recovered-within`: nothing happens that a viewer may feel")
            .hint("add an [[event]] that disturbs (docs/scenarios.md), or leave it out");
        notes.add(read.place("expect", "recovered-within"), trouble);
    }
}

/// A line of one viewer's own leads to an address of its own, behind the router of the others.
fn own_lines(notes: &mut Notes, read: &Read<'_>) {
    let side = &read.plan.viewer;
    if read.plan.viewers.iter().all(|viewer| viewer.line.is_none()) {
        return;
    }
    let needs = match side {
        side if side.network != Network::Ipv4 => "an IPv4 network",
        side if side.uplink.routers.is_empty() => "a router",
        side if side.spare.is_some() => "no spare uplink",
        _ => return,
    };
    let place = read.top.node("viewers").map_or(0..0, toml::Spanned::span);
    let what = format!("for a viewer with a `line` of its own the side [viewer] needs {needs}");
    notes.add(place, Trouble::new(what));
}

/// Who comes must have time to see something.
fn starts(notes: &mut Notes, read: &Read<'_>) {
    let late = |at: Duration| at.saturating_add(LEAST_TO_WATCH) > read.plan.time;
    if let Some(viewer) = read.plan.viewers.iter().find(|viewer| late(viewer.at)) {
        let (at, time) = (units::shown(viewer.at), units::shown(read.plan.time));
        let what = format!("the viewer {} comes at {at}, and the scenario lasts {time}", viewer.name);
        let hint =
            format!("let it come {} before the end, or set a longer `time`", units::shown(LEAST_TO_WATCH));
        let place = read.top.node("viewers").map_or(0..0, toml::Spanned::span);
        notes.add(place, Trouble::new(what).hint(hint));
    }
}
