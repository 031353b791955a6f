//! What a viewer is told where addresses are hidden, and where they are not.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::{
    telemetry::metrics::Metrics,
    transport::{InterfaceAddress, Interfaces, Protocol},
};

const OWN: [&str; 2] = ["192.168.0.7:5000", "[fd00::7]:5000"];

fn mdns(hide: bool) -> Mdns {
    let address = |own: &str| InterfaceAddress {
        ip: own.parse::<std::net::SocketAddr>().unwrap().ip(),
        interface: "none".into(),
        // No such interface: nothing is sent.
        index: 0,
        temporary: false,
        deprecated: false,
    };
    let interfaces = Interfaces { addresses: OWN.map(address).into(), gateways: Vec::new() };
    let (_, changes) = watch::channel(Arc::new(interfaces));
    Mdns::start(changes, hide, &Metrics::new())
}

fn candidate(kind: CandidateKind, address: &str, base: &str) -> LocalCandidate {
    LocalCandidate {
        kind,
        protocol: Protocol::Udp,
        address: address.parse().unwrap(),
        base: base.parse().unwrap(),
        related: (kind != CandidateKind::Host).then(|| base.parse().unwrap()),
        server: None,
        local_preference: 65535,
    }
}

#[tokio::test]
async fn host_candidates_are_names_and_the_others_do_not_tell_what_is_behind_them() {
    let (mdns, lan) = (mdns(true), candidate(CandidateKind::Host, OWN[0], OWN[0]));
    let disguise = Disguise::new(Some(mdns.clone()));
    let line = disguise.line(&lan, "gX6M").unwrap();
    let words: Vec<_> = line.split(' ').collect();
    assert!(words[4].parse::<HiddenName>().is_ok(), "{line}");
    assert_eq!(
        words[1..4].join(" ") + " " + &words[5..].join(" "),
        "1 udp 2130706431 5000 typ host generation 0 ufrag gX6M"
    );
    assert_ne!(words[0], format!("candidate:{}", lan.foundation()), "it could be guessed from it");
    assert_eq!(disguise.line(&lan, "gX6M").as_ref(), Some(&line), "the same for the session");
    assert_ne!(Disguise::new(Some(mdns)).line(&lan, "gX6M"), Some(line), "another for another session");

    let seen = candidate(CandidateKind::ServerReflexive, "203.0.113.9:6000", OWN[0]);
    let line = disguise.line(&seen, "gX6M").unwrap();
    assert!(line.contains(" 203.0.113.9 6000 typ srflx raddr 0.0.0.0 rport 9 "), "{line}");
    let line = disguise.line(&candidate(CandidateKind::Relayed, "203.0.113.1:7000", "203.0.113.1:7000"), "g");
    assert!(line.unwrap().contains(" typ relay raddr 0.0.0.0 rport 9 "));
}

#[tokio::test]
async fn names_are_counted_and_end_with_the_session() {
    let mdns = mdns(true);
    let disguise = Disguise::new(Some(mdns.clone()));
    for own in OWN {
        assert!(disguise.line(&candidate(CandidateKind::Host, own, own), "g").is_some());
    }
    assert_eq!(mdns.shared.counts.names.get(), 2);
    let gone = "192.168.0.8:5000";
    assert_eq!(disguise.line(&candidate(CandidateKind::Host, gone, gone), "g"), None);
    drop(disguise);
    assert_eq!(mdns.shared.counts.names.get(), 0);
    assert!(mdns.shared.core().is_idle());
}

#[tokio::test]
async fn by_default_nothing_is_hidden() {
    let lan = candidate(CandidateKind::Host, OWN[0], OWN[0]);
    for disguise in [Disguise::new(Some(mdns(false))), Disguise::new(None)] {
        assert_eq!(disguise.line(&lan, "g"), Some(lan.to_line("g")));
    }
}
