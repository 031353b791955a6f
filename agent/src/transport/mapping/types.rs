//! What is asked of a router, what it grants, and why it does not.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use crate::transport::candidate::Protocol;

/// A mapping to be made or renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of UDP or TCP.
    pub protocol: Protocol,
    /// The port of this device.
    pub internal_port: u16,
    /// The outside address and port that would be best; unspecified and 0 where any will do.
    pub external: SocketAddrV4,
    /// In whole seconds; zero deletes the mapping.
    pub lifetime: Duration,
}

impl Wanted {
    /// The lifetime on the wire.
    pub(super) fn lifetime_s(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }
}

/// What the router gave. It may be another port and another lifetime than those asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What the internet sends to.
    pub external: SocketAddrV4,
    /// How long it lasts.
    pub lifetime: Duration,
}

/// Why there is no mapping, in words for whoever looks after the router.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Silence, or an ICMP error: the router does not speak it.
    #[error("no answer")]
    NoAnswer,
    /// The router speaks another version of the protocol, or a predecessor.
    #[error("the router speaks another version of it")]
    OtherVersion,
    /// A result code or an error of the router.
    #[error("the router refuses: {words}")]
    Refused {
        /// What its code means, and what to do.
        words: String,
        /// How long it is of no use to ask again.
        wait: Option<Duration>,
    },
    /// The address that the router gives is none that the internet reaches (RFC 1918, RFC 6598).
    #[error(
        "it would open a port of {0}, which is no public address: your router is itself behind a NAT, of the provider \
         or of another router"
    )]
    PrivateAddress(Ipv4Addr),
    /// This device's own network refuses.
    #[error("it cannot be asked: {0}")]
    Io(String),
}

impl Problem {
    pub(super) fn refused(words: impl Into<String>) -> Self {
        Self::Refused { words: words.into(), wait: None }
    }
}

/// Whether the internet reaches the address: not one for private (RFC 1918), shared (RFC 6598) or local use.
pub(super) fn is_public(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let local = ip.is_private() || ip.is_link_local() || ip.is_loopback();
    !(local || shared || a == 0 || a >= 224)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_reaches_is_public() {
        for private in
            ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1"]
        {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for nothing in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
            assert!(!is_public(nothing.parse().expect("an address")), "{nothing}");
        }
        for public in ["100.63.255.255", "100.128.0.1", "198.51.100.1", "172.32.0.1"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
    }
}
