//! `[ice]`: STUN, TURN and the UDP port.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[ice]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceConfig {
    /// The one UDP port of all sessions; 0: any free one.
    pub port: u16,
    /// Listen on the same number over TCP too, for viewers whose network blocks UDP (RFC 6544).
    pub tcp: bool,
    /// Servers used besides those that `connect` names.
    pub servers: Vec<IceServerConfig>,
    /// Offer loopback addresses too: for tests on one machine. Done anyway where there is no other address.
    pub loopback: bool,
    /// `all`; `relay`: only TURN, which hides the device's addresses from viewers; or `host`: no server is asked.
    pub policy: IcePolicy,
    /// Tell the device's own addresses to viewers only as random `.local` names, which its own network alone resolves.
    pub hide_addresses: bool,
    /// PEM file with a certificate to trust for `turns:` servers, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Ask the network's routers to open the port (PCP, NAT-PMP, UPnP). Not with other policies than `all`, and not with
    /// `loopback`.
    pub port_mapping: bool,
}

impl Default for IceConfig {
    fn default() -> Self {
        Self {
            port: 0,
            tcp: true,
            servers: Vec::new(),
            loopback: false,
            policy: IcePolicy::All,
            hide_addresses: false,
            ca_file: None,
            port_mapping: true,
        }
    }
}

/// Which candidates are used (W3C RTCIceTransportPolicy, and `host`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IcePolicy {
    /// Host, server-reflexive and relayed.
    #[default]
    All,
    /// Relayed only.
    Relay,
    /// The device's own addresses only: no server is asked, for cameras that stay in one network.
    Host,
}

/// `[[ice.servers]]`, W3C RTCIceServer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceServerConfig {
    /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`, ...
    pub urls: Vec<String>,
    /// TURN user name.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}
