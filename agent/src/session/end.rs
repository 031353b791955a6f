//! Why a session ended.

use std::fmt;

use super::metrics::EndLabel;
use crate::signaling::message::WireError;

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
