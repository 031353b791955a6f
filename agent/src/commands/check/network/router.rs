//! What the network's routers say when they are asked to open a port, beside what STUN servers see.

use std::net::IpAddr;

use p2pcam_agent::transport::{
    discovery::Report,
    mapping::{Asked, MappingKind, Problem},
};
use serde::Serialize;

use super::super::finding::Finding;

/// What one router said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Router {
    pub address: IpAddr,
    /// What it opens ports by; `None`: it opens none.
    pub speaks: Option<&'static str>,
    /// Its own address outside, as it says itself.
    pub external: Option<IpAddr>,
    /// What it said to each protocol, if it opens none.
    pub problems: Vec<String>,
    #[serde(skip)]
    behind_nat: bool,
}

impl Router {
    pub fn of(asked: &Asked) -> Self {
        let address = asked.gateway.into();
        match &asked.result {
            Ok((kind, external)) => Self {
                address,
                speaks: Some(kind.as_str()),
                external: Some(external.ip()),
                problems: Vec::new(),
                behind_nat: false,
            },
            Err(problems) => Self {
                address,
                speaks: None,
                external: private(problems),
                problems: problems
                    .iter()
                    .map(|(kind, problem)| format!("{}: {problem}", kind.as_str()))
                    .collect(),
                behind_nat: private(problems).is_some(),
            },
        }
    }

    /// In words. A router whose address is not what STUN servers see has another NAT behind it.
    pub fn finding(&self, nat: &[Report]) -> Finding {
        let what = format!("router {}", self.address);
        let seen = nat.iter().filter(|report| report.local.is_ipv4()).find_map(|report| report.mapped);
        let other = self.external.zip(seen).filter(|(external, seen)| *external != seen.ip());
        if self.behind_nat || (self.speaks.is_some() && other.is_some()) {
            let external =
                self.external.map_or_else(String::new, |external| format!(" ({external} outside)"));
            return Finding::warn(
                what,
                format!(
                    "it is itself behind a NAT{external}: a port that it opens is not reached from the internet"
                ),
                "ask the provider for a public address, or let its box pass everything on to this router (bridge mode)",
            );
        }
        match self.speaks {
            Some(kind) => {
                Finding::ok(what, format!("opens a port by {kind}: viewers that may send UDP are direct"))
            }
            None => Finding::ok(what, format!("opens no port by itself ({})", self.problems.join("; "))),
        }
    }

    /// Whether it makes viewers direct that the NAT alone would not.
    pub fn helps(&self, nat: &[Report]) -> bool {
        let seen = nat.iter().filter(|report| report.local.is_ipv4()).find_map(|report| report.mapped);
        self.speaks.is_some() && self.external == seen.map(|seen| seen.ip())
    }
}

fn private(problems: &[(MappingKind, Problem)]) -> Option<IpAddr> {
    problems.iter().find_map(|(_, problem)| match problem {
        Problem::PrivateAddress(address) => Some((*address).into()),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    fn report(mapped: &str) -> Vec<Report> {
        let mapped = Some(mapped.parse().unwrap());
        vec![Report {
            local: "192.168.1.20:5000".parse().unwrap(),
            servers: Vec::new(),
            mapped,
            translated: Some(true),
            mapping: None,
            filtering: None,
            preserves_port: None,
            hairpins: None,
        }]
    }

    fn router(result: Result<(MappingKind, &str), Vec<(MappingKind, Problem)>>) -> Router {
        let result = result.map(|(kind, external)| (kind, external.parse().unwrap()));
        Router::of(&Asked { gateway: [192, 168, 1, 1].into(), result })
    }

    #[test]
    fn a_router_that_opens_the_public_address_helps() {
        let router = router(Ok((MappingKind::Pcp, "203.0.113.9:4000")));
        assert!(router.helps(&report("203.0.113.9:5000")));
        assert_eq!(router.finding(&report("203.0.113.9:5000")).level, Level::Ok);
    }

    #[test]
    fn a_router_with_another_address_than_servers_see_is_behind_a_nat() {
        let nat = report("203.0.113.9:5000");
        let private = Problem::PrivateAddress([100, 64, 0, 7].into());
        for router in [
            router(Ok((MappingKind::NatPmp, "198.51.100.7:4000"))),
            router(Err(vec![(MappingKind::Upnp, private)])),
        ] {
            assert!(!router.helps(&nat));
            let finding = router.finding(&nat);
            assert_eq!(finding.level, Level::Warn);
            assert!(finding.detail.contains("itself behind a NAT"), "{finding}");
        }
    }

    #[test]
    fn a_router_that_speaks_nothing_is_told_with_what_it_said() {
        let router = router(Err(vec![(MappingKind::Pcp, Problem::NoAnswer)]));
        let finding = router.finding(&report("203.0.113.9:5000"));
        assert_eq!(finding.detail, "opens no port by itself (PCP: no answer)");
    }
}
