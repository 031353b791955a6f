//! Why a session ended.

use std::fmt;

use super::metrics::EndLabel;
use crate::{
    signaling::message::WireError,
    transport::{CandidateKind, LocalCandidate},
};

/// Why a session ended; its words go to the log and to the viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The viewer, or its hub, said `bye`.
    ViewerLeft(String),
    /// The viewer reported an error.
    ViewerError(String),
    /// The viewer closed its peer connection.
    ViewerClosed,
    /// No path came up in time.
    NoPath,
    /// The path broke and did not come back.
    PathLost,
    /// The offer could not be answered.
    OfferRefused(WireError),
    /// The link is over for good.
    LinkGone,
    /// The agent stops.
    Shutdown,
}

impl End {
    /// As a metrics label.
    pub fn label(&self) -> EndLabel {
        let reason = match self {
            Self::ViewerLeft(_) => "viewer-left",
            Self::ViewerError(_) => "viewer-error",
            Self::ViewerClosed => "viewer-closed",
            Self::NoPath => "no-path",
            Self::PathLost => "path-lost",
            Self::OfferRefused(_) => "offer-refused",
            Self::LinkGone => "link-gone",
            Self::Shutdown => "shutdown",
        };
        EndLabel { reason }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ViewerLeft(reason) if reason.is_empty() => f.write_str("the viewer left"),
            Self::ViewerLeft(reason) => write!(f, "the viewer left: {reason}"),
            Self::ViewerError(message) => write!(f, "the viewer reported: {message}"),
            Self::ViewerClosed => f.write_str("the viewer closed the connection"),
            Self::NoPath => f.write_str("no path between camera and viewer was found"),
            Self::PathLost => f.write_str("the path was lost and did not come back"),
            Self::OfferRefused(error) => write!(f, "offer refused ({}): {}", error.code, error.message),
            Self::LinkGone => f.write_str("the signalling link is over"),
            Self::Shutdown => f.write_str("the camera is shutting down"),
        }
    }
}

/// What was tried, and what would help.
pub(super) fn no_path(local: &[LocalCandidate], remote_seen: usize) -> String {
    use CandidateKind::{Host, Relayed, ServerReflexive};
    let count = |kind| local.iter().filter(|c| c.kind == kind).count();
    let (host, reflexive, relayed) = (count(Host), count(ServerReflexive), count(Relayed));
    let advice = match (remote_seen, reflexive, relayed) {
        (0, ..) => "no candidate came from the viewer: its network may block WebRTC",
        (_, 0, 0) => {
            "the camera reached no STUN or TURN server: check its internet access and the server addresses"
        }
        (_, _, 0) => "both sides seem to be behind strict NATs: configure a TURN server",
        _ => "not even the relay worked: check that the TURN server's ports are open for both sides",
    };
    format!(
        "no path: the camera offered {host} host, {reflexive} reflexive and {relayed} relayed candidates, \
         the viewer {remote_seen}; {advice}"
    )
}
