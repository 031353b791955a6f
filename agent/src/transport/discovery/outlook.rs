//! What to expect of a NAT: who gets a picture directly, who over a relay, and what would help. Pure.

use serde::Serialize;

use super::{Filtering, Mapping, Report};

/// A viewer's network, as most are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewerAt {
    /// Behind a home router (EIM/APDF).
    Home,
    /// On a mobile network, behind the provider's NAT (APDM/APDF).
    Mobile,
    /// Behind a firewall that lets no UDP out.
    Office,
}

/// How such a viewer gets the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Straight.
    Direct,
    /// Over a TURN server, and there is one.
    Relayed,
    /// Only a TURN server would help.
    NoWay,
}

/// The relays that answer this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relays {
    /// By any transport.
    pub any: bool,
    /// At a URL that viewers reach without UDP, by TCP or TLS.
    pub without_udp: bool,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// Who.
    pub viewer: ViewerAt,
    /// How.
    pub way: Way,
}

/// Whether packets find through both NATs with the help of a STUN server alone. Measured for all pairs of kinds
/// (docs/nat-matrix.md); what cannot be told counts as the strictest.
pub fn is_direct(mapping: Option<Mapping>, filtering: Option<Filtering>, viewer: ViewerAt) -> bool {
    let independent = mapping == Some(Mapping::EndpointIndependent);
    match viewer {
        ViewerAt::Home => independent,
        ViewerAt::Mobile => {
            let open = [Some(Filtering::EndpointIndependent), Some(Filtering::AddressDependent)];
            independent && open.contains(&filtering)
        }
        ViewerAt::Office => false,
    }
}

/// The table for what was found. `opened`: the router opens a port to the internet, which lets everybody in.
pub fn expect(report: &Report, relays: Relays, opened: bool) -> [Outlook; 3] {
    [ViewerAt::Home, ViewerAt::Mobile, ViewerAt::Office].map(|viewer| {
        let relayed = if viewer == ViewerAt::Office { relays.without_udp } else { relays.any };
        let way = match relayed {
            _ if is_direct(report.mapping, report.filtering, viewer) => Way::Direct,
            _ if opened && viewer != ViewerAt::Office => Way::Direct,
            true => Way::Relayed,
            false => Way::NoWay,
        };
        Outlook { viewer, way }
    })
}

/// What would help, most effective first. `opened`: as in [`expect`]; `port`: `ice.port`, 0 for any.
pub fn advice(report: &Report, relays: Relays, opened: bool, port: u16) -> Vec<String> {
    let mut advice = Vec::new();
    let named = if port == 0 { "a UDP port (set ice.port to it)".into() } else { format!("UDP port {port}") };
    if report.is_blocked() && !relays.without_udp {
        advice.push(
            "this network lets no UDP out: add a TURN server with a turns: URL on port 443, or open UDP in the firewall"
                .into(),
        );
        return advice;
    }
    if !report.is_blocked() && report.mapping.is_none() && report.mapped.is_some() {
        advice.push(
            "one server cannot tell how ports are mapped: name a second STUN server (--stun), or one with two addresses \
             (RFC 5780, as coturn with two listening-ip)"
                .into(),
        );
    }
    let mobile = is_direct(report.mapping, report.filtering, ViewerAt::Mobile);
    if !mobile && !opened && report.mapped.is_some() {
        let second = if report.is_behind_carrier() {
            "; behind the provider's NAT this helps only within its network: ask the provider for a public address"
        } else {
            ""
        };
        let router = if report.translated == Some(false) {
            format!("let {named} in at the firewall: then all viewers that may send UDP are direct")
        } else {
            format!(
                "switch on UPnP, NAT-PMP or PCP at the router, or forward {named} to this device: then all viewers that \
                 may send UDP are direct{second}"
            )
        };
        advice.push(router);
    }
    if !relays.any {
        advice.push("add a TURN server: the relay is for viewers that cannot be direct".into());
    }
    if !relays.without_udp {
        advice.push("add a turns: URL on port 443 for viewers whose network blocks UDP".into());
    }
    advice
}

impl ViewerAt {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Home => "at home, behind a usual router",
            Self::Mobile => "on a mobile network",
            Self::Office => "in an office that blocks UDP",
        }
    }
}

impl Way {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed over TURN",
            Self::NoWay => "no picture: needs a TURN server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(mapping: Option<Mapping>, filtering: Option<Filtering>, mapped: &str) -> Report {
        Report {
            local: "192.168.1.2:5000".parse().expect("an address"),
            servers: Vec::new(),
            mapped: mapped.parse().ok(),
            translated: Some(true),
            mapping,
            filtering,
            preserves_port: None,
            hairpins: None,
        }
    }

    const PUBLIC: &str = "203.0.113.1:5000";
    const BOTH: Relays = Relays { any: true, without_udp: true };

    fn ways(report: &Report, relays: Relays) -> [Way; 3] {
        expect(report, relays, false).map(|line| line.way)
    }

    #[test]
    fn a_home_router_is_direct_with_homes_and_relays_the_rest() {
        let home =
            report(Some(Mapping::EndpointIndependent), Some(Filtering::AddressAndPortDependent), PUBLIC);
        assert_eq!(ways(&home, BOTH), [Way::Direct, Way::Relayed, Way::Relayed]);
        let udp_only = Relays { any: true, without_udp: false };
        assert_eq!(ways(&home, udp_only), [Way::Direct, Way::Relayed, Way::NoWay]);
        assert_eq!(ways(&home, Relays::default()), [Way::Direct, Way::NoWay, Way::NoWay]);
        let opened = expect(&home, Relays::default(), true).map(|line| line.way);
        assert_eq!(opened, [Way::Direct, Way::Direct, Way::NoWay]);
        let said = advice(&home, Relays::default(), false, 40_000).join("\n");
        assert!(
            said.contains("UPnP") && said.contains("UDP port 40000") && said.contains("turns:"),
            "{said}"
        );
    }

    #[test]
    fn an_open_nat_is_direct_with_mobile_networks_too_and_a_symmetric_one_with_nobody() {
        let open = report(Some(Mapping::EndpointIndependent), Some(Filtering::EndpointIndependent), PUBLIC);
        assert_eq!(ways(&open, BOTH), [Way::Direct, Way::Direct, Way::Relayed]);
        assert_eq!(advice(&open, BOTH, false, 0), Vec::<String>::new());
        for mapping in [None, Some(Mapping::Dependent), Some(Mapping::AddressAndPortDependent)] {
            let strict = report(mapping, Some(Filtering::EndpointIndependent), PUBLIC);
            assert_eq!(ways(&strict, BOTH), [Way::Relayed; 3]);
        }
    }

    #[test]
    fn one_server_is_asked_to_have_company_and_a_carrier_is_named() {
        let said = advice(&report(None, None, PUBLIC), BOTH, false, 0).join("\n");
        assert!(said.contains("second STUN server"), "{said}");
        let carrier = report(Some(Mapping::AddressAndPortDependent), None, "100.64.3.4:5000");
        assert!(carrier.is_behind_carrier());
        let said = advice(&carrier, BOTH, false, 0).join("\n");
        assert!(said.contains("ask the provider"), "{said}");
    }

    #[test]
    fn where_udp_is_blocked_only_tls_helps() {
        let mut blocked = report(None, None, "");
        blocked.servers.push(super::super::ServerSeen {
            server: PUBLIC.parse().expect("an address"),
            mapped: None,
            rtt: None,
            has_other_address: false,
        });
        assert_eq!(ways(&blocked, Relays::default()), [Way::NoWay; 3]);
        assert!(advice(&blocked, Relays::default(), false, 0)[0].contains("turns: URL on port 443"));
        assert_eq!(ways(&blocked, BOTH), [Way::Relayed; 3]);
    }
}
