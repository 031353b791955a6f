//! miniupnpd on a Linux router: those inside ask it for ports.

use std::{fmt::Write as _, fs, io, path::Path};

use tempfile::TempDir;

use crate::{
    lab::namespace::Namespace,
    process::{Program, Spec, find},
    scenario::plan::PortMapping,
};

/// The program and its package with rules for nftables. It starts no service of its own.
const PROGRAM: &str = "miniupnpd";
const PACKAGE: &str = "miniupnpd-nftables";
/// Any one will do: the router is alone in its network.
const UUID: &str = "5a1e0b5c-6f0d-4c0e-9d0a-7032702d6361";

/// miniupnpd that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    _program: Program,
    _folder: TempDir,
}

impl Daemon {
    /// Starts it between two devices of the namespace, whose tables are there already. Takes a tokio runtime.
    pub fn start(namespace: &Namespace, wanted: PortMapping, lan: &str, wan: &str) -> io::Result<Self> {
        let program = find(PROGRAM, PACKAGE).map_err(io::Error::other)?;
        let folder = TempDir::with_prefix("p2phil-miniupnpd-")?;
        let settings = folder.path().join("miniupnpd.conf");
        fs::write(&settings, text(wanted, lan, wan))?;
        let arguments: [&Path; 5] = [
            "-d".as_ref(),
            "-f".as_ref(),
            &settings,
            // One machine may have several routers.
            "-P".as_ref(),
            &folder.path().join("miniupnpd.pid"),
        ];
        let started = Program::start(Spec {
            what: PROGRAM,
            program: &program,
            args: arguments.map(Into::into).to_vec(),
            env: Vec::new(),
            namespace: Some(namespace),
            log: &folder.path().join("miniupnpd.log"),
            pipe_stdout: false,
        });
        Ok(Self { _program: started.map_err(io::Error::other)?, _folder: folder })
    }
}

/// miniupnpd.conf. Hosts inside may open any port, but only for themselves.
fn text(wanted: PortMapping, lan: &str, wan: &str) -> String {
    let switch = |on| if on { "yes" } else { "no" };
    let (pmp, upnp) = (wanted != PortMapping::Upnp, matches!(wanted, PortMapping::Upnp | PortMapping::All));
    format!(
        "ext_ifname={wan}\nlistening_ip={lan}\nipv6_disable=yes\nenable_natpmp={}\nenable_upnp={}\nsecure_mode=yes\n\
         uuid={UUID}\nfriendly_name=p2pcam lab\nallow 1-65535 0.0.0.0/0 1-65535\n",
        switch(pmp),
        switch(upnp),
    )
}

/// The tables that miniupnpd writes its mappings into, by its default names. A packet that one of them leads inside has
/// `ct status dnat` in the router's own rules.
pub(super) const TABLES: &str = "
table inet filter {
  chain forward { type filter hook forward priority filter; policy accept; jump miniupnpd; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; jump postrouting_miniupnpd; }
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
";

/// What of the requests to miniupnpd's port is dropped: it has one switch for PCP and NAT-PMP, and only the version in
/// their first byte tells them apart (RFC 6887 appendix A).
pub(super) fn dropped(wanted: Option<PortMapping>, lan: &str) -> String {
    let version = match wanted {
        Some(PortMapping::Pcp) => 0,
        Some(PortMapping::NatPmp) => 2,
        _ => return String::new(),
    };
    let mut rule = String::new();
    // Writing to a string does not fail.
    let _ = write!(rule, "iifname {lan} udp dport 5351 @th,64,8 {version} drop;");
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_can_be_had_alone() {
        let settings = |wanted| text(wanted, "lan0", "wan0");
        assert!(settings(PortMapping::Upnp).contains("enable_natpmp=no\nenable_upnp=yes"));
        assert!(settings(PortMapping::Pcp).contains("enable_natpmp=yes\nenable_upnp=no"));
        assert!(settings(PortMapping::All).contains("enable_natpmp=yes\nenable_upnp=yes"));
        assert!(dropped(Some(PortMapping::Pcp), "lan0").contains("@th,64,8 0 drop"));
        assert!(dropped(Some(PortMapping::NatPmp), "lan0").contains("@th,64,8 2 drop"));
        assert_eq!(dropped(Some(PortMapping::All), "lan0") + &dropped(None, "lan0"), "");
    }
}
