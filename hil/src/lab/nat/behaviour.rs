//! How a NAT behaves, in the words of RFC 4787.

use std::{collections::BTreeSet, fmt, net::SocketAddrV4, str::FromStr, time::Duration};

use super::Protocol;

/// When the same inside address gets the same external port again (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Mapping {
    /// Whoever it sends to.
    EndpointIndependent,
    /// As long as it sends to the same address.
    AddressDependent,
    /// As long as it sends to the same address and port.
    AddressAndPortDependent,
}

/// Who is let in at an external port (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub enum Filtering {
    /// Everybody.
    EndpointIndependent,
    /// Addresses that were sent to.
    AddressDependent,
    /// Addresses and ports that were sent to.
    AddressAndPortDependent,
}

/// Which external port a new mapping gets (RFC 4787 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum PortChoice {
    /// The inside port if it is free, else a random one.
    Preserve,
    /// The next one, from a seeded start.
    Sequential,
    /// Any, by the seed.
    Random,
}

impl Mapping {
    /// The part of a destination that a mapping depends on.
    pub(super) fn remote(self, destination: SocketAddrV4) -> Remote {
        match self {
            Self::EndpointIndependent => Remote::Any,
            Self::AddressDependent => Remote::Address(*destination.ip()),
            Self::AddressAndPortDependent => Remote::Endpoint(destination),
        }
    }
}

/// See [`Mapping::remote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Remote {
    Any,
    Address(std::net::Ipv4Addr),
    Endpoint(SocketAddrV4),
}

impl Filtering {
    /// Whether a packet from `source` comes in at a mapping that was used to send to these.
    pub(super) fn lets_in(self, sent_to: &BTreeSet<SocketAddrV4>, source: SocketAddrV4) -> bool {
        match self {
            Self::EndpointIndependent => true,
            Self::AddressDependent => sent_to.iter().any(|to| to.ip() == source.ip()),
            Self::AddressAndPortDependent => sent_to.contains(&source),
        }
    }
}

/// Mapping and filtering, as `EIM/APDF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Kind(pub Mapping, pub Filtering);

impl Kind {
    /// The kinds of the truth table (docs/nat.md), in its order.
    pub const ALL: [Self; 8] = {
        use Filtering as F;
        use Mapping as M;
        [
            Self(M::EndpointIndependent, F::EndpointIndependent),
            Self(M::EndpointIndependent, F::AddressDependent),
            Self(M::EndpointIndependent, F::AddressAndPortDependent),
            Self(M::AddressDependent, F::AddressDependent),
            Self(M::AddressDependent, F::AddressAndPortDependent),
            Self(M::AddressAndPortDependent, F::EndpointIndependent),
            Self(M::AddressAndPortDependent, F::AddressDependent),
            Self(M::AddressAndPortDependent, F::AddressAndPortDependent),
        ]
    };

    /// The name that people know, if there is one (RFC 3489's words).
    pub fn common_name(self) -> Option<&'static str> {
        match (self.0, self.1) {
            (Mapping::EndpointIndependent, Filtering::EndpointIndependent) => Some("full cone"),
            (Mapping::EndpointIndependent, Filtering::AddressDependent) => Some("restricted cone"),
            (Mapping::EndpointIndependent, Filtering::AddressAndPortDependent) => {
                Some("port-restricted cone")
            }
            (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent) => Some("symmetric"),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mapping = match self.0 {
            Mapping::EndpointIndependent => "EIM",
            Mapping::AddressDependent => "ADM",
            Mapping::AddressAndPortDependent => "APDM",
        };
        let filtering = match self.1 {
            Filtering::EndpointIndependent => "EIF",
            Filtering::AddressDependent => "ADF",
            Filtering::AddressAndPortDependent => "APDF",
        };
        write!(f, "{mapping}/{filtering}")
    }
}

/// A kind that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no NAT kind: write MAPPING/FILTERING, with EIM, ADM or APDM before and EIF, ADF or APDF after the stroke"
)]
pub struct BadKind(String);

impl FromStr for Kind {
    type Err = BadKind;

    fn from_str(text: &str) -> Result<Self, BadKind> {
        let bad = || BadKind(text.into());
        let (mapping, filtering) = text.trim().split_once('/').ok_or_else(bad)?;
        let mapping = match mapping.to_ascii_uppercase().as_str() {
            "EIM" => Mapping::EndpointIndependent,
            "ADM" => Mapping::AddressDependent,
            "APDM" => Mapping::AddressAndPortDependent,
            _ => return Err(bad()),
        };
        let filtering = match filtering.to_ascii_uppercase().as_str() {
            "EIF" => Filtering::EndpointIndependent,
            "ADF" => Filtering::AddressDependent,
            "APDF" => Filtering::AddressAndPortDependent,
            _ => return Err(bad()),
        };
        Ok(Self(mapping, filtering))
    }
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Behaviour {
    /// When a mapping is used again.
    pub mapping: Mapping,
    /// Who is let in.
    pub filtering: Filtering,
    /// Which external port is taken.
    pub ports: PortChoice,
    /// Whether those inside reach each other by their external addresses (RFC 4787 section 6).
    pub hairpin: bool,
    /// How long an unused UDP or echo mapping lives; sending keeps it alive, receiving does not. RFC 4787 asks for
    /// two minutes and more, and many home routers give 30 seconds.
    pub udp_life: Duration,
    /// How long an unused TCP mapping lives.
    pub tcp_life: Duration,
}

impl Behaviour {
    /// The usual home router but for mapping and filtering: keeps ports, no hairpinning, two minutes.
    pub fn of(Kind(mapping, filtering): Kind) -> Self {
        // A mapping for each destination cannot keep one port for all of them.
        let ports = match mapping {
            Mapping::EndpointIndependent => PortChoice::Preserve,
            _ => PortChoice::Random,
        };
        Self {
            mapping,
            filtering,
            ports,
            hairpin: false,
            udp_life: Duration::from_secs(120),
            // RFC 5382 asks for two hours and four minutes.
            tcp_life: Duration::from_secs(7440),
        }
    }

    pub(super) fn life(&self, protocol: Protocol) -> Duration {
        if protocol == Protocol::Tcp { self.tcp_life } else { self.udp_life }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!(" eim/apdf ".parse::<Kind>().map(Kind::common_name), Ok(Some("port-restricted cone")));
        for bad in ["", "EIM", "EIM/", "EIF/EIM", "symmetric"] {
            assert!(bad.parse::<Kind>().is_err_and(|error| error.to_string().contains("APDM")), "{bad}");
        }
    }
}
