//! A checked scenario: what is built, who takes part, what happens when, and what is expected. Whoever reads one from
//! a file (`super::read`) or makes one (the matrix) hands it to the runner; nothing in it can be wrong any more but what
//! only the machine knows.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::Serialize;

use super::window::Window;
use crate::lab::{fabric::Policy, nat::Behaviour, packet::Protocol, wire::Faults};

/// A whole scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Letters, digits and hyphens; names folders and test cases.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// All chance of the lab follows from it.
    pub seed: u64,
    /// How long it lasts, from the first viewer's request to connect; everybody watches to its end.
    pub time: Duration,
    /// Where the device is.
    pub device: Side,
    /// Where the viewers are.
    pub viewer: Side,
    /// A carrier-grade NAT that both sides are behind: the outermost routers of both have their outside in its network,
    /// and it alone has a public address. Always [`RouterKind::Computed`], without forwards.
    pub shared_cgn: Option<RouterPlan>,
    /// What there is on the internet.
    pub servers: Servers,
    /// The device.
    pub board: BoardPlan,
    /// Who watches; one at least.
    pub viewers: Vec<ViewerPlan>,
    /// By time.
    pub events: Vec<TimedEvent>,
    /// What must be seen in parts of the time.
    pub windows: Vec<Window>,
    /// What must be seen.
    pub expect: Expect,
    /// A fault planted to prove that the rig finds it.
    pub plant: Option<Plant>,
}

/// One side of the internet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// IP versions of its network.
    pub network: Network,
    /// Its way to the internet.
    pub uplink: Uplink,
    /// Another way, for [`Event::SwitchUplink`].
    pub spare: Option<Uplink>,
}

/// IP versions of a side's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// IPv4 only.
    #[default]
    Ipv4,
    /// IPv6 without NAT behind a stateful firewall, and IPv4 as usual.
    Dual,
    /// IPv6 only; nothing reaches IPv4.
    Ipv6,
    /// IPv6 only, with a NAT64 (RFC 6146) at [`crate::lab::nat64::PREFIX`] and a DNS that says so (RFC 7050).
    Nat64,
}

/// Routers and line between a side and the internet.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Uplink {
    /// From the host outwards; empty: the host has a public address.
    pub routers: Vec<RouterPlan>,
    /// What the outermost router lets out. With no router it holds for the host's line.
    pub policy: Policy,
    /// The line of the outermost router towards the internet, ...
    pub up: Faults,
    /// ... and from it.
    pub down: Faults,
}

/// One router.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouterPlan {
    /// What it is.
    pub kind: RouterKind,
    /// Static port forwards, as (protocol, outside port, inside port) to the host of the side.
    pub forwards: Vec<(Protocol, u16, u16)>,
}

/// What a router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterKind {
    /// Computed by the lab, exactly as given.
    Computed(Behaviour),
    /// Linux as in the field: a namespace with nftables.
    Linux {
        /// `masquerade fully-random` instead of plain `masquerade`.
        fully_random: bool,
        /// How those inside may ask it for ports.
        port_mapping: Option<PortMapping>,
    },
}

/// What miniupnpd on a Linux router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortMapping {
    /// PCP alone (RFC 6887).
    Pcp,
    /// NAT-PMP alone (RFC 6886).
    NatPmp,
    /// UPnP-IGD alone.
    Upnp,
    /// All three.
    All,
}

/// What there is on the internet, besides the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Servers {
    /// Whether the hub names a STUN server.
    pub stun: bool,
    /// Transports of TURN that the hub names.
    pub turn: BTreeSet<TurnTransport>,
    /// Port for TURN over UDP and TCP; 3478 by default.
    pub turn_port: u16,
    /// Port for TURN over TLS; 443 by default, which firewalls let through.
    pub turns_port: u16,
}

/// How TURN is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TurnTransport {
    /// `turn:...?transport=udp`
    Udp,
    /// `turn:...?transport=tcp`
    Tcp,
    /// `turns:...?transport=tcp`
    Tls,
}

/// The device.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BoardPlan {
    /// Keys of agent.toml that the scenario sets, over those that the rig needs.
    pub config: toml::Table,
    /// Boards that can run it; empty: any.
    pub only: Vec<BoardKind>,
}

/// Where the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BoardKind {
    /// A process in the lab's namespace.
    Local,
    /// The emulated arm64 board of scripts/board.
    Qemu,
    /// A place of a labgrid coordinator.
    Labgrid,
}

impl fmt::Display for BoardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::Qemu => "qemu",
            Self::Labgrid => "labgrid",
        })
    }
}

/// Who watches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewerPlan {
    /// Letters, digits and hyphens.
    pub name: String,
    /// What it is.
    pub kind: ViewerKind,
    /// When it asks to connect, after the start.
    pub at: Duration,
    /// Uses relays only.
    pub relay_only: bool,
    /// A line of its own behind the side's router: from the viewer, and to it.
    pub line: Option<(Faults, Faults)>,
}

/// What watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ViewerKind {
    /// The rig's own, on the async `webrtc` crate.
    #[default]
    Headless,
    /// Chromium without a window, on the hub's page.
    Chromium,
}

impl fmt::Display for ViewerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Headless => "headless",
            Self::Chromium => "chromium",
        })
    }
}

/// An event and its time after the first viewer's first picture (after its request, if `expect.path` is none).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedEvent {
    /// When.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// A side by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideName {
    /// The device's.
    Device,
    /// The viewers'.
    Viewer,
}

/// A server by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerName {
    /// STUN and TURN: one coturn, so both go together.
    Turn,
    /// The hub.
    Hub,
}

/// What happens while somebody watches.
// A plan has a handful of them; a box would only be in the way.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Event {
    /// All of a side's routers forget their mappings and choose other ports.
    RebootRouter {
        /// Whose.
        side: SideName,
    },
    /// The outermost router gets another address.
    ChangeWanAddress {
        /// Whose.
        side: SideName,
    },
    /// The side goes by its spare uplink from now on, or by the first one again.
    SwitchUplink {
        /// Whose.
        side: SideName,
    },
    /// The side's line to the internet is cut and comes back; the host keeps its addresses and routes.
    CutUplink {
        /// Whose.
        side: SideName,
        /// How long.
        lasts: Duration,
    },
    /// The line is another one from now on.
    SetLine {
        /// Whose.
        side: SideName,
        /// Towards the internet.
        up: Faults,
        /// From it.
        down: Faults,
    },
    /// A server is killed (SIGKILL) and started again.
    KillServer {
        /// Which.
        server: ServerName,
        /// How long it is gone.
        lasts: Duration,
    },
    /// The agent is killed (SIGKILL); its supervisor starts it again.
    KillAgent,
    /// The camera is pulled out and plugged in again.
    UnplugCamera {
        /// How long it is gone.
        lasts: Duration,
    },
    /// The board's wall clock jumps.
    StepClock {
        /// By so many seconds, forwards or back.
        seconds: i64,
    },
}

/// What must be seen of every viewer, or the run fails. What is `None` is measured and reported all the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Expect {
    /// The kind of path.
    pub path: Option<PathKind>,
    /// Longest time from the request to the first picture.
    pub first_picture: Option<Duration>,
    /// Longest time without a picture after the first one, from the start to the end or, if there are events, outside of
    /// the recovery from them.
    pub longest_freeze: Option<Duration>,
    /// Longest time from an event (from its end, where it lasts) to a picture that moves again.
    pub recovered_within: Option<Duration>,
    /// Band of the mean bitrate of pictures after the first two seconds, in kilobits a second.
    pub kbps: Option<(f64, f64)>,
    /// Longest distance of sound and picture, in milliseconds.
    pub av_sync: Option<Duration>,
    /// Code of an error that the viewer must be told (docs/protocol.md); without it none may be.
    pub error: Option<String>,
    /// Part of the words that go with it.
    pub error_text: Option<String>,
}

/// Kinds of path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// From host to host, with or without NATs between.
    Direct,
    /// Through a TURN server of either side.
    Relayed,
    /// None: the viewer gets no picture.
    None,
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::None => "none",
        })
    }
}

/// A fault planted on purpose; see docs/hil.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Plant {
    /// The device's router behaves otherwise than the plan says: a fault of the rig.
    WrongNat,
    /// The STUN server is dead before it begins: a fault of the rig.
    DeadStun,
    /// The agent offers no candidates but its host ones: a fault of the device.
    NoReflexive,
}
