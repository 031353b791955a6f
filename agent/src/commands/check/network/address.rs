//! An address of this device, and what it is good for.

use std::net::IpAddr;

use p2pcam_agent::transport::{InterfaceAddress, discovery::is_shared};
use serde::Serialize;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalAddress {
    pub interface: String,
    pub address: IpAddr,
    /// How far it reaches.
    pub scope: Scope,
    /// Made by the kernel for privacy (RFC 8981).
    pub temporary: bool,
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The internet.
    Global,
    /// This network only (RFC 1918, RFC 4193).
    Private,
    /// The provider's network: a carrier-grade NAT follows (RFC 6598).
    Shared,
    /// This cable or Wi-Fi only.
    Link,
    /// This machine only.
    Loopback,
}

impl LocalAddress {
    pub fn of(address: &InterfaceAddress) -> Self {
        Self {
            interface: address.interface.clone(),
            address: address.ip,
            scope: scope(address.ip),
            temporary: address.temporary,
        }
    }

    /// As `192.168.1.20 (private)`.
    pub fn words(&self) -> String {
        let temporary = if self.temporary { ", temporary" } else { "" };
        let scope = match self.scope {
            Scope::Global => "global",
            Scope::Private => "private",
            Scope::Shared => "shared: the provider has a NAT of its own",
            Scope::Link => "this link only",
            Scope::Loopback => "this machine only",
        };
        format!("{} ({scope}{temporary})", self.address)
    }
}

fn scope(ip: IpAddr) -> Scope {
    match ip {
        ip if ip.is_loopback() => Scope::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() => Scope::Link,
        IpAddr::V4(ip) if ip.is_private() => Scope::Private,
        IpAddr::V4(ip) if is_shared(ip) => Scope::Shared,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::Link,
        IpAddr::V6(ip) if ip.is_unique_local() => Scope::Private,
        _ => Scope::Global,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_how_far_they_reach() {
        for (text, expected) in [
            ("203.0.113.9", Scope::Global),
            ("192.168.1.20", Scope::Private),
            ("100.64.0.1", Scope::Shared),
            ("100.128.0.1", Scope::Global),
            ("169.254.1.1", Scope::Link),
            ("127.0.0.1", Scope::Loopback),
            ("2001:db8::1", Scope::Global),
            ("fd00::1", Scope::Private),
            ("fe80::1", Scope::Link),
        ] {
            assert_eq!(scope(text.parse().unwrap()), expected, "{text}");
        }
    }
}
