//! Whether the addresses that the agent listens on are free.

use std::{
    io::{self, ErrorKind},
    net::{Ipv6Addr, TcpListener, UdpSocket},
};

use p2pcam_agent::config::Config;

use super::finding::Finding;

/// All that this configuration listens on.
pub fn all(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tcp = vec![("telemetry.listen", &config.telemetry.listen)];
    if config.signaling.link == "embedded" {
        tcp.extend([("hub.http", &config.hub.http), ("hub.https", &config.hub.https)]);
    }
    for (key, address) in tcp {
        if !address.is_empty() {
            // Set by the standard library as by the agent: SO_REUSEADDR, so a port in TIME_WAIT counts as free.
            findings.push(judge(key, address, TcpListener::bind(address.as_str()).map(drop)));
        }
    }
    if config.ice.port != 0 {
        let tried = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, config.ice.port))
            .or_else(|_| UdpSocket::bind(("0.0.0.0", config.ice.port)));
        findings.push(judge("ice.port", &format!("UDP {}", config.ice.port), tried.map(drop)));
    }
    findings
}

fn judge(key: &str, address: &str, tried: io::Result<()>) -> Finding {
    let Err(error) = tried else { return Finding::ok(key, format!("{address} is free")) };
    match error.kind() {
        ErrorKind::AddrInUse => Finding::warn(
            key,
            format!("{address} is in use"),
            format!(
                "right if the agent runs already (systemctl status p2pcam-agent); else find the other program \
                 (sudo ss -lntup) or change {key}"
            ),
        ),
        ErrorKind::PermissionDenied => Finding::fail(
            key,
            format!("{address}: this user may not listen there"),
            format!(
                "take a port over 1023 in {key}, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE"
            ),
        ),
        ErrorKind::AddrNotAvailable => Finding::fail(
            key,
            format!("{address} is no address of this machine"),
            format!("`ip address` lists its addresses; 0.0.0.0 in {key} stands for all of them"),
        ),
        _ => Finding::fail(key, format!("{address}: {error}"), format!("check {key}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn a_port_in_use_and_an_address_of_another_machine_are_told_apart() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.telemetry.listen = "127.0.0.1:0".into();
        config.hub.http = taken.local_addr().unwrap().to_string();
        // TEST-NET-1, RFC 5737.
        config.hub.https = "192.0.2.1:8443".into();
        let levels: Vec<_> = all(&config).into_iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Warn, Level::Fail]);
    }

    #[test]
    fn without_the_embedded_hub_its_ports_do_not_matter() {
        let mut config = Config::default();
        config.telemetry.listen = String::new();
        config.signaling.link = "stdio".into();
        assert_eq!(all(&config), []);
    }

    #[test]
    fn a_fixed_udp_port_in_use_is_noticed() {
        let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut config = Config::default();
        config.telemetry.listen = String::new();
        config.signaling.link = "stdio".into();
        config.ice.port = taken.local_addr().unwrap().port();
        assert_eq!(all(&config)[0].level, Level::Warn);
    }
}
