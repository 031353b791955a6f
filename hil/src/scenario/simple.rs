//! Plans that are made without a file: by the matrix and by tests.

use std::time::Duration;

use super::plan::{
    BoardPlan, Expect, Network, Plan, RouterKind, RouterPlan, Servers, Side, Uplink, ViewerKind, ViewerPlan,
};
use crate::lab::nat::{Behaviour, Kind};

/// Long enough for a viewer to see a few pictures.
const TIME: Duration = Duration::from_secs(5);

impl RouterPlan {
    /// A router of a kind, with nothing forwarded.
    pub fn computed(kind: Kind) -> Self {
        Self { kind: RouterKind::Computed(Behaviour::of(kind)), forwards: Vec::new() }
    }
}

impl Side {
    /// IPv4 behind these routers, from the host outwards, on a perfect line; behind none it has a public address.
    pub fn behind(routers: impl IntoIterator<Item = RouterPlan>) -> Self {
        let uplink = Uplink { routers: routers.into_iter().collect(), ..Uplink::default() };
        Self { network: Network::Ipv4, uplink, spare: None }
    }
}

impl Default for Servers {
    /// STUN without TURN. The ports: RFC 8656 section 18.6 gives 3478 to TURN; TURN over TLS is where firewalls expect
    /// TLS, 443.
    fn default() -> Self {
        Self { stun: true, turn: [].into(), turn_port: 3478, turns_port: 443 }
    }
}

impl Plan {
    /// One headless viewer watches for five seconds, with STUN alone; nothing happens, and nothing is expected.
    pub fn between(device: Side, viewer: Side) -> Self {
        let viewers = vec![ViewerPlan {
            name: "viewer".into(),
            kind: ViewerKind::Headless,
            at: Duration::ZERO,
            relay_only: false,
            line: None,
        }];
        Self {
            name: "simple".into(),
            about: "Somebody watches.".into(),
            seed: 7,
            time: TIME,
            device,
            viewer,
            shared_cgn: None,
            servers: Servers::default(),
            board: BoardPlan::default(),
            viewers,
            events: Vec::new(),
            windows: Vec::new(),
            expect: Expect::default(),
            plant: None,
        }
    }
}
