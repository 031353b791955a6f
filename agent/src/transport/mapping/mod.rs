//! Ports that the device's routers open for it: PCP (RFC 6887), NAT-PMP (RFC 6886) and UPnP-IGD (versions 1 and 2).
//!
//! A [`Mapper`] runs beside the sessions, which take what it holds as candidates and never wait for it. For each default
//! router it asks for the shared port, renews what it gets, and gives it back at the end.
//!
//! Not here: PCP for IPv6, where hosts have no NAT to open, and PCP's options (RFC 6887 section 13).

mod announce;
mod client;
mod epoch;
mod exchange;
mod mapper;
mod metrics;
pub mod nat_pmp;
mod nonce;
pub mod pcp;
mod router;
mod speak;
mod types;
#[cfg_attr(not(feature = "upnp"), path = "upnp_absent.rs")]
mod upnp;

use std::net::SocketAddr;

pub use self::{
    client::{Asked, ask_once},
    mapper::Mapper,
    metrics::MappingMetrics,
    types::{Granted, Problem, Wanted},
};
use super::candidate::Protocol;

/// What a router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MappingKind {
    /// Port Control Protocol.
    Pcp,
    /// NAT Port Mapping Protocol.
    NatPmp,
    /// UPnP Internet Gateway Device.
    Upnp,
}

impl MappingKind {
    /// All, in the order in which a router is asked.
    const ALL: [Self; 3] = [Self::Pcp, Self::NatPmp, Self::Upnp];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        }
    }

    /// Its label in metrics.
    fn label(self) -> &'static str {
        match self {
            Self::Pcp => "pcp",
            Self::NatPmp => "nat_pmp",
            Self::Upnp => "upnp",
        }
    }
}

/// A port that a router holds open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Of UDP or TCP.
    pub protocol: Protocol,
    /// Where its packets come to on this device.
    pub local: SocketAddr,
    /// What the internet sends to: a public address.
    pub external: SocketAddr,
    /// How the router was asked.
    pub kind: MappingKind,
}
