//! How a session's path turned out, in one sentence. Pure: made of what both sides told and what servers said.
//!
//! [`Verdict`] is the sentence, [`NoPath`] why there is none; the latter is judged in `blame`.

mod blame;
mod viewer;

use std::{fmt, time::Duration};

use prometheus_client::encoding::EncodeLabelSet;

pub(super) use self::viewer::ViewerCandidates;
use crate::transport::{CandidateKind, LocalCandidate, Path, Protocol, ServerOutcome};

/// The ends of the path in use, as ICE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Their addresses, and what carries the packets.
    pub path: Path,
    /// Kind of this device's candidate: `host`, `srflx`, `prflx` or `relay`.
    pub local: &'static str,
    /// Kind of the viewer's.
    pub remote: &'static str,
}

/// What passed between the two sides besides signalling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// The viewer's checks arrived.
    pub arrived: bool,
    /// A pair of candidates was chosen: it worked both ways.
    pub chosen: bool,
}

/// All that a verdict on a missing path is made of.
pub(super) struct Evidence<'a> {
    /// This device's candidates.
    pub local: &'a [LocalCandidate],
    /// Whether `ice.policy` allows other ways than relays.
    pub direct: bool,
    /// STUN and TURN servers asked.
    pub asked: usize,
    /// What they said.
    pub servers: &'a [ServerOutcome],
    /// The viewer's candidates.
    pub viewer: &'a ViewerCandidates,
    /// See there.
    pub checks: Checks,
}

/// How a session's path turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Packets go straight from one side to the other.
    Direct {
        /// Over UDP or TCP, between which kinds of candidates.
        ends: Ends,
        /// From `connect` to connected.
        took: Duration,
    },
    /// Packets take the way over a TURN server.
    Relayed {
        /// Between which kinds of candidates.
        ends: Ends,
        /// The device's TURN server; `None`: one of the viewer's.
        server: Option<String>,
        /// From `connect` to connected.
        took: Duration,
    },
    /// There is none, for this reason.
    None(NoPath),
    /// It was over before a path could be expected.
    Undecided {
        /// From `connect` to the end.
        after: Duration,
        /// How it ended, in words.
        end: String,
    },
}

/// Why there is no path. Where a relay would help, `relay` says what of it there was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPath {
    /// The viewer told no candidate.
    SilentViewer,
    /// This device has no address that is any good.
    NoAddress,
    /// Only relays are allowed here, and there is none.
    NoRelay(Relay),
    /// Checks went both ways, the DTLS handshake did not.
    NoHandshake,
    /// A relay was there, and the other side did not come through it.
    RelayUnreached(String),
    /// Nobody was asked.
    NoServer,
    /// None of those that were asked has said anything, nor had its time.
    NoAnswerYet,
    /// The servers' names lead nowhere.
    NoNames(String),
    /// No server answered over UDP; `alone`: only this one was asked.
    DeviceUdpBlocked {
        /// The only server, which may be down instead.
        alone: Option<String>,
        /// The way around.
        relay: Relay,
    },
    /// The viewer has no address but those of its own network.
    ViewerUdpBlocked(Relay),
    /// Neither NAT lets the other side in.
    Nats {
        /// Whether the device's changes ports for each destination; `None`: it cannot be told.
        device: Option<bool>,
        /// Whether the viewer's does.
        viewer: Option<bool>,
        /// The way around.
        relay: Relay,
    },
}

/// What there was of a relay at the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relay {
    /// No TURN server is configured.
    NotConfigured,
    /// Only over UDP.
    UdpOnly,
    /// The server gave none; in words.
    Failed(String),
}

/// Labels of the counter of verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabel {
    /// `direct`, `relayed`, `none` or `undecided`.
    pub path: &'static str,
    /// Kind of the device's candidate, `none` without a path.
    pub local: &'static str,
    /// Kind of the viewer's.
    pub remote: &'static str,
    /// `udp` or `tcp`, `none` without a path.
    pub protocol: &'static str,
}

impl Verdict {
    /// On a session that has a path.
    pub(super) fn connected(ends: Ends, local: &[LocalCandidate], took: Duration) -> Self {
        let ours = local.iter().find(|c| c.kind == CandidateKind::Relayed && c.base == ends.path.local);
        match (ours, ends.local, ends.remote) {
            (None, local, remote) if local != "relay" && remote != "relay" => Self::Direct { ends, took },
            (ours, ..) => Self::Relayed { ends, server: ours.and_then(|c| c.server.clone()), took },
        }
    }

    /// On a session that has none though it had the time.
    pub(super) fn without_path(evidence: &Evidence<'_>) -> Self {
        Self::None(blame::judge(evidence))
    }

    /// Whether somebody should look into it.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::None(_))
    }

    /// As labels of the counter.
    pub fn label(&self) -> VerdictLabel {
        let (path, ends) = match self {
            Self::Direct { ends, .. } => ("direct", Some(ends)),
            Self::Relayed { ends, .. } => ("relayed", Some(ends)),
            Self::None(_) => ("none", None),
            Self::Undecided { .. } => ("undecided", None),
        };
        VerdictLabel {
            path,
            local: ends.map_or("none", |ends| ends.local),
            remote: ends.map_or("none", |ends| ends.remote),
            protocol: ends.map_or("none", |ends| ends.path.protocol.as_str()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { ends, took } => {
                let over = if ends.path.protocol == Protocol::Tcp { " over TCP" } else { "" };
                write!(f, "direct{over}, {} to {}, {} ms", ends.local, ends.remote, took.as_millis())
            }
            Self::Relayed { ends, server, took } => {
                let server = server.as_deref().unwrap_or("the viewer's TURN server");
                write!(f, "relayed over {server}, {} to {}, {} ms", ends.local, ends.remote, took.as_millis())
            }
            Self::None(why) => write!(f, "no path: {why}"),
            Self::Undecided { after, end } => {
                write!(f, "undecided: over after {} ms, before a path was found: {end}", after.as_millis())
            }
        }
    }
}

/// What a NAT is called that nobody can be let through by STUN alone (RFC 4787 section 4.1).
const SYMMETRIC: &str = "changes ports for each destination (symmetric)";

impl fmt::Display for NoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SilentViewer => f.write_str(
                "no candidate came from the viewer: its browser or an extension of it may block WebRTC",
            ),
            Self::NoAddress => f.write_str("the camera has no network address: check its cable or Wi-Fi"),
            Self::NoRelay(relay) => {
                write!(f, "ice.policy allows only relays here, and {}", relay.words("TURN"))
            }
            Self::NoHandshake => f.write_str(
                "checks went both ways, but the DTLS handshake did not: something on the way may drop large packets",
            ),
            Self::RelayUnreached(server) => write!(
                f,
                "not even the relay on {server} was reached by the other side: check that the TURN server's relay \
                 ports (49152 to 65535 by default) are open to the internet"
            ),
            Self::NoServer => f.write_str(
                "no STUN or TURN server is configured, or ice.policy asks none, so only viewers in the camera's own network \
                 reach it: name one",
            ),
            Self::NoAnswerYet => {
                f.write_str("no STUN or TURN server has answered yet: are they up, and may the camera send UDP to them?")
            }
            Self::NoNames(words) => write!(f, "no STUN or TURN server was found: {words}"),
            Self::DeviceUdpBlocked { alone: None, relay } => {
                write!(f, "the camera's network blocks UDP and {}", relay.words("TURN over TLS"))
            }
            Self::DeviceUdpBlocked { alone: Some(server), relay } => {
                let relay = relay.words("TURN over TLS");
                write!(f, "{server} does not answer: it is down, or the camera's network blocks UDP; {relay}")
            }
            Self::ViewerUdpBlocked(relay) => {
                let relay = relay.words("TURN");
                write!(f, "the viewer reached no STUN server: its network blocks UDP; {relay}")
            }
            Self::Nats { device, viewer, relay } => {
                match (device, viewer) {
                    (Some(true), Some(true)) => write!(f, "both sides are behind NATs that each {SYMMETRIC}")?,
                    (Some(true), _) => write!(
                        f,
                        "the camera is behind a NAT that {SYMMETRIC}, and the viewer's NAT does not let it in"
                    )?,
                    (_, Some(true)) => write!(
                        f,
                        "the viewer is behind a NAT that {SYMMETRIC}, and the camera's NAT does not let it in"
                    )?,
                    _ => f.write_str("both sides seem to be behind strict NATs")?,
                }
                write!(f, "; {}", relay.words("TURN"))
            }
        }
    }
}

impl Relay {
    /// What there was, and what to do. `wanted`: the kind of server that would have helped.
    fn words(&self, wanted: &str) -> String {
        let advice = match wanted {
            "TURN" => "configure a TURN server",
            _ => "configure a TURN server with a turns: URL on port 443",
        };
        match self {
            Self::NotConfigured | Self::UdpOnly => format!("no {wanted} is configured: {advice}"),
            Self::Failed(words) => format!("no TURN server gave a relay: {words}"),
        }
    }
}

#[cfg(test)]
#[path = "verdict/verdict_tests.rs"]
mod tests;
