//! One signalling message: the envelope and its bodies (docs/protocol.md).

mod lenient;
mod node;
mod read;
mod read_connect;
mod refusal;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

pub use lenient::{MAX_DEPTH, MAX_MESSAGE};
pub use read::{read, read_inner};
pub use read_connect::MAX_ICE_SERVERS;
pub use refusal::Refusal;
pub(crate) use refusal::quote;
use serde::{Deserialize, Serialize};

/// Names one viewer session; made by the server that pushes `connect`. 1 to 64 characters of `A-Z a-z 0-9 - _ . ~`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SessionId(String);

impl SessionId {
    /// Checks the form. `None` if it is not one.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        let ok = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
        ok.then_some(Self(id))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message and the session that it belongs to. Only an `error` may belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `None` only in an `error` about input that named no readable session.
    pub session: Option<SessionId>,
    /// What is said.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A viewer asks to connect; carries the servers to gather candidates with.
    Connect(Connect),
    /// An offer or an answer.
    Description(Description),
    /// A candidate; `None`: no more will come (W3C: null or an empty candidate string).
    Candidate(Option<Candidate>),
    /// The device asks for an ICE restart: its path to the viewer is broken, or is about to be.
    Restart(Restart),
    /// Something that the viewer should know while the session goes on.
    Notice(WireNotice),
    /// Something was refused or went wrong.
    Error(WireError),
    /// The session is over.
    Bye(Bye),
}

/// STUN and TURN settings for one session: `stun` (the note's form), `iceServers` (W3C), both or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// A STUN server by address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stun: Option<StunAddress>,
    /// W3C RTCIceServer list.
    #[serde(rename = "iceServers", default, skip_serializing_if = "Vec::is_empty")]
    pub ice_servers: Vec<IceServer>,
}

/// A STUN server in the field note's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StunAddress {
    /// IPv4 or IPv6 address, or a host name.
    pub ip: String,
    /// UDP port.
    pub port: u16,
}

/// W3C RTCIceServer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    // Credentials stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// W3C RTCSdpType, as far as this protocol has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SdpType {
    /// From the viewer.
    Offer,
    /// From the device.
    Answer,
}

/// An SDP with CRLF line ends, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// SDP (RFC 8866).
    pub sdp: String,
    /// Offer or answer.
    #[serde(rename = "type")]
    pub kind: SdpType,
}

/// W3C RTCIceCandidateInit, with the capture's keys in the capture's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `candidate:...` (RFC 8839 section 5.1).
    pub candidate: String,
    /// Index of the m-line, from 0.
    #[serde(rename = "sdpMLineIndex", skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u16>,
    /// Identification tag of the m-line.
    #[serde(rename = "sdpMid", skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
}

/// Why the device asks for an ICE restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// What went wrong: a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// One of the codes in [`code`].
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

/// What a viewer should know: a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireNotice {
    /// One of the codes in [`notice`].
    pub code: String,
    /// In words.
    pub message: String,
}

/// Why a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// In words.
    #[serde(default)]
    pub reason: String,
}

/// The notice codes of the protocol.
pub mod notice {
    /// The camera sends a still and silence, because of its privacy switch.
    pub const PRIVACY_ON: &str = "privacy-on";
    /// Picture and sound are back after [`PRIVACY_ON`].
    pub const PRIVACY_OFF: &str = "privacy-off";
    /// Packets go straight between camera and viewer; the message is the verdict.
    pub const PATH_DIRECT: &str = "path-direct";
    /// Packets go over a TURN server; the message is the verdict.
    pub const PATH_RELAYED: &str = "path-relayed";
    /// No path yet, though there should be one; the message says why.
    pub const PATH_NONE: &str = "path-none";
}

/// The error codes of the protocol.
pub mod code {
    /// Not JSON, or not an envelope.
    pub const MALFORMED: &str = "malformed";
    /// Longer than 256 KiB, or an SDP of too many lines.
    pub const TOO_LARGE: &str = "too-large";
    /// More messages than the link takes.
    pub const TOO_MANY_MESSAGES: &str = "too-many-messages";
    /// The device has all the viewers that it can serve.
    pub const TOO_MANY_SESSIONS: &str = "too-many-sessions";
    /// A message for a session that does not exist.
    pub const UNKNOWN_SESSION: &str = "unknown-session";
    /// `connect` for a session that exists.
    pub const DUPLICATE_SESSION: &str = "duplicate-session";
    /// An offer while another is being answered, or an answer where none was asked for.
    pub const WRONG_STATE: &str = "wrong-state";
    /// The SDP cannot be read or lacks something.
    pub const BAD_SDP: &str = "bad-sdp";
    /// The candidate cannot be read.
    pub const BAD_CANDIDATE: &str = "bad-candidate";
    /// Offer and device have no codec in common; the message names both lists.
    pub const NO_COMMON_CODEC: &str = "no-common-codec";
    /// No path between viewer and device was found.
    pub const NO_PATH: &str = "no-path";
    /// The device named is not connected to the hub.
    pub const DEVICE_OFFLINE: &str = "device-offline";
    /// Another client holds this link.
    pub const LINK_BUSY: &str = "link-busy";
    /// The device failed; the message says how.
    pub const INTERNAL: &str = "internal";
    /// All of them.
    pub const ALL: [&str; 14] = [
        MALFORMED,
        TOO_LARGE,
        TOO_MANY_MESSAGES,
        TOO_MANY_SESSIONS,
        UNKNOWN_SESSION,
        DUPLICATE_SESSION,
        WRONG_STATE,
        BAD_SDP,
        BAD_CANDIDATE,
        NO_COMMON_CODEC,
        NO_PATH,
        DEVICE_OFFLINE,
        LINK_BUSY,
        INTERNAL,
    ];
}

impl Envelope {
    /// A message of `session`.
    pub fn new(session: SessionId, body: Body) -> Self {
        Self { session: Some(session), body }
    }

    /// An `error` for `session`, or for none.
    pub fn error(session: Option<SessionId>, code: &str, message: impl Into<String>) -> Self {
        Self { session, body: Body::Error(WireError { code: code.into(), message: message.into() }) }
    }
}
