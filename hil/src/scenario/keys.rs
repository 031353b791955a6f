//! The keys of a scenario file, table by table. docs/scenarios.md says what each takes; a test compares the two.

/// A table of the file.
#[derive(Debug)]
pub(super) struct Keys {
    /// As messages and the documentation name it.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [&'static str],
}

pub(super) const TOP: Keys = Keys {
    name: "the top of the file",
    keys: &[
        "name",
        "about",
        "seed",
        "time",
        "shared-cgn",
        "device",
        "viewer",
        "servers",
        "board",
        "viewers",
        "event",
        "window",
        "expect",
    ],
};
pub(super) const DEVICE: Keys = Keys { name: "[device]", keys: SIDE };
pub(super) const VIEWER: Keys = Keys { name: "[viewer]", keys: SIDE };
const SIDE: &[&str] = &["network", "routers", "cgn", "firewall", "line", "spare"];
pub(super) const SPARE: Keys = Keys { name: "spare", keys: &["routers", "cgn", "firewall", "line"] };
pub(super) const ROUTER: Keys = Keys {
    name: "a router",
    keys: &["kind", "ports", "hairpin", "udp-life", "tcp-life", "forwards", "port-mapping"],
};
pub(super) const FORWARD: Keys = Keys { name: "a forward", keys: &["protocol", "outside", "inside"] };
pub(super) const LINE: Keys = Keys {
    name: "a line",
    keys: &["preset", "delay", "jitter", "loss", "reorder", "rate", "queue", "mtu", "up", "down"],
};
pub(super) const DIRECTION: Keys = Keys {
    name: "a line's `up` or `down`",
    keys: &["delay", "jitter", "loss", "reorder", "rate", "queue", "mtu"],
};
pub(super) const BURSTS: Keys = Keys { name: "`loss` in bursts", keys: &["begins", "length"] };
pub(super) const SERVERS: Keys =
    Keys { name: "[servers]", keys: &["stun", "turn", "turn-port", "turns-port"] };
pub(super) const BOARD: Keys = Keys { name: "[board]", keys: &["only", "config"] };
pub(super) const VIEWERS: Keys =
    Keys { name: "[[viewers]]", keys: &["name", "kind", "at", "relay-only", "count", "line"] };
pub(super) const EVENT: Keys =
    Keys { name: "[[event]]", keys: &["at", "do", "side", "lasts", "line", "server", "by"] };
pub(super) const WINDOW: Keys = Keys {
    name: "[[window]]",
    keys: &[
        "from",
        "to",
        "viewer",
        "utilisation",
        "reaches",
        "within",
        "bitrate",
        "pictures",
        "delay",
        "longest-freeze",
    ],
};
pub(super) const EXPECT: Keys = Keys {
    name: "[expect]",
    keys: &[
        "path",
        "first-picture",
        "longest-freeze",
        "recovered-within",
        "bitrate",
        "av-sync",
        "error",
        "error-text",
    ],
};

/// All tables, in the order of the documentation.
pub(super) const TABLES: [&Keys; 15] = [
    &TOP, &DEVICE, &VIEWER, &SPARE, &ROUTER, &FORWARD, &LINE, &DIRECTION, &BURSTS, &SERVERS, &BOARD,
    &VIEWERS, &EVENT, &WINDOW, &EXPECT,
];

/// The table that a key belongs in, if it is but one of those with a header of their own.
pub(super) fn home(key: &str) -> Option<&'static str> {
    let mut homes = TABLES.iter().filter(|table| table.name.starts_with('[') && table.keys.contains(&key));
    match (homes.next(), homes.next()) {
        (Some(table), None) => Some(table.name),
        _ => None,
    }
}
