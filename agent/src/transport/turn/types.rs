//! What goes into an allocation and what comes out of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use rtc::crypto::RTCCryptoProvider;

/// What an allocation needs to know.
pub struct Config {
    /// User name of the long-term credential.
    pub username: String,
    /// Its password.
    pub password: String,
    /// What the server asked for at another time: if it still takes it, that saves a round trip.
    pub challenge: Option<Challenge>,
    /// Over TCP or TLS: nothing is sent twice.
    pub reliable: bool,
    /// For MESSAGE-INTEGRITY.
    pub crypto: Arc<dyn RTCCryptoProvider>,
    /// Makes random transaction ids.
    pub ids: Box<dyn FnMut() -> [u8; 12] + Send>,
}

/// What a server asks to be signed with (RFC 8489 section 9.2.4). Good for other allocations there too, if the server
/// likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// REALM.
    pub realm: String,
    /// NONCE.
    pub nonce: String,
}

/// Why there is no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For what is to be done next.
    pub kind: FailureKind,
    /// For people, with advice.
    pub words: String,
}

/// What can be done about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The server does not take these credentials, or nobody who comes from here: others are needed.
    Refused,
    /// The server names another one to ask (RFC 8489 section 10).
    Redirected(Alternate),
    /// Not answered, broken, forgotten by the server, or no room just now: to be tried again later.
    Unavailable,
}

/// Another server of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternate {
    /// ALTERNATE-SERVER.
    pub server: SocketAddr,
    /// ALTERNATE-DOMAIN: the name in its certificate, if it is another one.
    pub domain: Option<String>,
}

/// Why an allocation that is there should be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The server does not take its credentials any more. It lives until the server lets it expire.
    Credentials(String),
    /// The server does not answer. It may come back.
    Silent,
}

/// What an allocation tells.
#[derive(Debug, PartialEq, Eq)]
pub enum AllocationEvent {
    /// It is there.
    Opened {
        /// What peers send to.
        relayed: SocketAddr,
        /// What the server sees of this device.
        mapped: Option<SocketAddr>,
        /// From a request to its answer, the shortest.
        round_trip: Duration,
    },
    /// It was not obtained, or is lost. Nothing follows.
    Failed(Failure),
    /// It still serves, and another one should take its place.
    Doubtful(Doubt),
    /// The server answers again.
    Trusted,
    /// A peer sent this.
    Data {
        /// The peer.
        peer: SocketAddr,
        /// What it sent.
        data: BytesMut,
    },
    /// The server does not relay to this peer; the reason is in words.
    PeerRefused(IpAddr, String),
}
