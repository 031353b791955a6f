//! What was found out about a NAT.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::{Serialize, Serializer};

/// When the same socket gets the same external port again (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Mapping {
    /// Whoever it sends to.
    #[serde(rename = "EIM")]
    EndpointIndependent,
    /// As long as it sends to the same address.
    #[serde(rename = "ADM")]
    AddressDependent,
    /// As long as it sends to the same address and port.
    #[serde(rename = "APDM")]
    AddressAndPortDependent,
    /// Not for another server: one of the last two, by servers that know nothing of each other.
    #[serde(rename = "dependent")]
    Dependent,
}

/// Who is let in at an external port (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Filtering {
    /// Everybody.
    #[serde(rename = "EIF")]
    EndpointIndependent,
    /// Addresses that were sent to.
    #[serde(rename = "ADF")]
    AddressDependent,
    /// Addresses and ports that were sent to.
    #[serde(rename = "APDF")]
    AddressAndPortDependent,
}

/// One server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServerSeen {
    /// The server.
    pub server: SocketAddr,
    /// What it sees; `None`: it did not answer.
    pub mapped: Option<SocketAddr>,
    /// From the last request to its answer, in ms.
    #[serde(rename = "rtt_ms", serialize_with = "ms")]
    pub rtt: Option<Duration>,
    /// It has two addresses, and so can tell of filtering (RFC 5780).
    pub has_other_address: bool,
}

fn ms<S: Serializer>(rtt: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match rtt {
        Some(rtt) => serializer.serialize_some(&(rtt.as_secs_f64() * 1e3)),
        None => serializer.serialize_none(),
    }
}

/// What lies between a local address and the internet. `None` everywhere: it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The local address and port that asked.
    pub local: SocketAddr,
    /// All servers that were asked.
    pub servers: Vec<ServerSeen>,
    /// The public address, by the first server that answered.
    pub mapped: Option<SocketAddr>,
    /// Whether it is another one than `local`.
    pub translated: Option<bool>,
    /// How external ports are given.
    pub mapping: Option<Mapping>,
    /// Whom the NAT, or a firewall, lets in.
    pub filtering: Option<Filtering>,
    /// Whether the external port is the local one.
    pub preserves_port: Option<bool>,
    /// Whether two sockets here reach each other by their external addresses. Not asked of a NAT whose ports depend on the
    /// destination: there they cannot.
    pub hairpins: Option<bool>,
}

impl Report {
    /// No server answered.
    pub fn is_blocked(&self) -> bool {
        !self.servers.is_empty() && self.mapped.is_none()
    }

    /// A second NAT, of the provider, by the addresses alone: what the server sees, or this device has, is of the shared
    /// address space (RFC 6598), or the server sees a private address.
    pub fn is_behind_carrier(&self) -> bool {
        let private = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.is_private() || is_shared(ip));
        let shared = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if is_shared(ip));
        shared(self.local.ip())
            || self.mapped.is_some_and(|mapped| self.translated == Some(true) && private(mapped.ip()))
    }
}

/// 100.64.0.0/10 (RFC 6598).
pub fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

impl Mapping {
    /// As RFC 4787 abbreviates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointIndependent => "EIM",
            Self::AddressDependent => "ADM",
            Self::AddressAndPortDependent => "APDM",
            Self::Dependent => "ADM or APDM",
        }
    }
}

impl Filtering {
    /// As RFC 4787 abbreviates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndpointIndependent => "EIF",
            Self::AddressDependent => "ADF",
            Self::AddressAndPortDependent => "APDF",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Filtering as F;
        let Some(mapped) = self.mapped else {
            return f.write_str("UDP is blocked, or no server is up: none answered");
        };
        let filtering = self.filtering.map_or("filtering unknown", Filtering::as_str);
        if self.translated == Some(false) {
            let firewall = match self.filtering {
                Some(F::EndpointIndependent) => "everybody may come in",
                Some(F::AddressDependent) => "a firewall lets in addresses that were sent to (ADF)",
                Some(F::AddressAndPortDependent) => "a firewall lets in answers only (APDF)",
                None => "whom a firewall lets in cannot be told",
            };
            return write!(f, "no NAT, {firewall}");
        }
        match (self.mapping, self.filtering) {
            (None, _) => write!(f, "mapping unknown, {filtering}")?,
            (Some(mapping), _) => write!(f, "{}/{filtering}", mapping.as_str())?,
        }
        let name = match (self.mapping, self.filtering) {
            (Some(Mapping::EndpointIndependent), Some(F::EndpointIndependent)) => " (full cone)",
            (Some(Mapping::EndpointIndependent), Some(F::AddressDependent)) => " (restricted cone)",
            (Some(Mapping::EndpointIndependent), Some(F::AddressAndPortDependent)) => {
                " (port-restricted cone)"
            }
            (Some(Mapping::EndpointIndependent), None) | (None, _) => "",
            _ => " (symmetric)",
        };
        f.write_str(name)?;
        if let Some(preserves) = self.preserves_port {
            f.write_str(if preserves { ", keeps ports" } else { ", changes ports" })?;
        }
        if let Some(hairpins) = self.hairpins {
            f.write_str(if hairpins { ", hairpins" } else { ", does not hairpin" })?;
        }
        write!(f, ", outside it is {}", mapped.ip())
    }
}
