//! What `check --network` found, for people and for programs.

use std::fmt;

use p2pcam_agent::transport::discovery::{
    Report,
    outlook::{Outlook, Relays, advice, expect},
};
use serde::Serialize;

use super::{
    super::finding::{Finding, Level},
    address::{LocalAddress, Scope},
    router::Router,
};

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Reply {
    pub addresses: Vec<LocalAddress>,
    /// One for each IP version that a server was asked by.
    pub nat: Vec<Report>,
    /// The default routers, if they may be asked (`ice.port_mapping`).
    pub routers: Vec<Router>,
    pub findings: Vec<Finding>,
    /// Of the best IP version; empty if nothing was found out.
    pub outlook: Vec<Outlook>,
    pub advice: Vec<String>,
}

impl Reply {
    /// Judges it. `port`: `ice.port`.
    pub fn new(
        addresses: Vec<LocalAddress>,
        nat: Vec<Report>,
        routers: Vec<Router>,
        mut findings: Vec<Finding>,
        relays: Relays,
        port: u16,
    ) -> Self {
        let kinds: Vec<_> = nat.iter().map(|report| kind(report, relays)).collect();
        findings.splice(0..0, kinds);
        findings.extend(six(&addresses, &nat));
        findings.extend(routers.iter().map(|router| router.finding(&nat)));
        // IPv4 comes first: it is what every viewer has.
        let judged = nat.iter().find(|report| !report.is_blocked()).or(nat.first());
        let opened = routers.iter().any(|router| router.helps(&nat));
        let outlook = judged.map(|report| expect(report, relays, opened).to_vec()).unwrap_or_default();
        let advice = judged.map(|report| advice(report, relays, opened, port)).unwrap_or_default();
        Self { addresses, nat, routers, findings, outlook, advice }
    }

    /// Whether something keeps all viewers from a picture.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Fail)
    }
}

fn kind(report: &Report, relays: Relays) -> Finding {
    let version = if report.local.is_ipv4() { "IPv4" } else { "IPv6" };
    let what = format!("NAT, {version}, from {}", report.local.ip());
    if report.is_blocked() {
        let advice = "let UDP out in the firewall; a turns: URL on port 443 goes around it";
        let detail =
            "no server answers by UDP: it is blocked here, the servers are down, or there is no internet";
        return match relays.without_udp {
            true => Finding::warn(what, detail, advice),
            false => Finding::fail(what, detail, advice),
        };
    }
    let mut detail = report.to_string();
    if report.is_behind_carrier() {
        detail += "; the provider has a NAT of its own (carrier-grade, RFC 6598)";
    }
    if let Some(best) = report.servers.iter().filter_map(|server| server.rtt).min() {
        detail += &format!("; STUN answers in {} ms", best.as_millis());
    }
    Finding::ok(what, detail)
}

/// Whether IPv6 works out.
fn six(addresses: &[LocalAddress], nat: &[Report]) -> Option<Finding> {
    let global = addresses.iter().any(|a| a.address.is_ipv6() && a.scope == Scope::Global);
    let asked = nat.iter().any(|report| report.local.is_ipv6());
    match (global, asked) {
        // Its own line says it.
        (_, true) => None,
        (true, false) => Some(Finding::ok("IPv6", "there is an address; no STUN server has one to ask by")),
        (false, false) => Some(Finding::ok("IPv6", "this network has none")),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut interfaces: Vec<&str> = Vec::new();
        for address in &self.addresses {
            if !interfaces.contains(&address.interface.as_str()) {
                interfaces.push(&address.interface);
            }
        }
        for interface in interfaces {
            let all = self.addresses.iter().filter(|address| address.interface == interface);
            let all: Vec<_> = all.map(LocalAddress::words).collect();
            writeln!(f, "  {interface}: {}", all.join(", "))?;
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        if !self.outlook.is_empty() {
            writeln!(f, "\nWhat to expect of it, by where the viewer is:")?;
        }
        for line in &self.outlook {
            writeln!(f, "  {:<32} {}", line.viewer.words(), line.way.words())?;
        }
        if !self.advice.is_empty() {
            writeln!(f, "\nWhat would help:")?;
        }
        self.advice.iter().try_for_each(|advice| writeln!(f, "  - {advice}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::transport::discovery::{Filtering, Mapping};

    use super::*;

    fn report(mapping: Option<Mapping>, mapped: Option<&str>) -> Report {
        let local = "192.168.1.20:5000".parse().unwrap();
        let mapped = mapped.map(|text| text.parse().unwrap());
        let server = p2pcam_agent::transport::discovery::ServerSeen {
            server: "192.0.2.1:3478".parse().unwrap(),
            mapped,
            rtt: mapped.map(|_| std::time::Duration::from_millis(40)),
            has_other_address: true,
        };
        Report {
            local,
            servers: vec![server],
            mapped,
            translated: mapped.map(|_| true),
            mapping,
            filtering: mapping.map(|_| Filtering::AddressAndPortDependent),
            preserves_port: mapped.map(|_| true),
            hairpins: None,
        }
    }

    #[test]
    fn a_home_router_reads_as_a_sentence_and_a_table() {
        let nat = vec![report(Some(Mapping::EndpointIndependent), Some("203.0.113.9:5000"))];
        let text = Reply::new(Vec::new(), nat, Vec::new(), Vec::new(), Relays::default(), 40_000).to_string();
        let line = "✓ NAT, IPv4, from 192.168.1.20: EIM/APDF (port-restricted cone), keeps ports, outside it is \
                    203.0.113.9; STUN answers in 40 ms";
        assert!(text.starts_with(line), "{text}");
        assert!(text.contains("at home, behind a usual router   direct\n"), "{text}");
        assert!(text.contains("What would help:\n  - switch on UPnP"), "{text}");
    }

    #[test]
    fn blocked_udp_fails_unless_there_is_a_way_around() {
        let blocked =
            |relays| Reply::new(Vec::new(), vec![report(None, None)], Vec::new(), Vec::new(), relays, 0);
        assert!(blocked(Relays::default()).failed());
        let around = Relays { any: true, without_udp: true };
        assert!(!blocked(around).failed());
        assert!(blocked(around).to_string().contains("relayed over TURN"));
    }

    #[test]
    fn programs_read_the_kind_by_its_short_names() {
        let nat = vec![report(Some(Mapping::AddressDependent), Some("203.0.113.9:5000"))];
        let reply = Reply::new(Vec::new(), nat, Vec::new(), Vec::new(), Relays::default(), 0);
        let json = serde_json::to_value(&reply).unwrap();
        assert_eq!(json["nat"][0]["mapping"], "ADM");
        assert_eq!(json["nat"][0]["filtering"], "APDF");
        assert_eq!(json["nat"][0]["servers"][0]["rtt_ms"], 40.0);
        assert_eq!(json["outlook"][0]["viewer"], "home");
        assert_eq!(json["outlook"][0]["way"], "no-way");
    }
}
