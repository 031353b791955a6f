//! What goes into an allocation and what comes out of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::BytesMut;
use rtc::crypto::RTCCryptoProvider;

/// What an allocation needs to know.
pub struct Config {
    /// User name of the long-term credential.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Over TCP or TLS: nothing is sent twice.
    pub reliable: bool,
    /// For MESSAGE-INTEGRITY.
    pub crypto: Arc<dyn RTCCryptoProvider>,
    /// Makes random transaction ids.
    pub ids: Box<dyn FnMut() -> [u8; 12] + Send>,
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
    },
    /// It was not obtained, or is lost; the reason is in words, with advice. Nothing follows.
    Failed(String),
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
