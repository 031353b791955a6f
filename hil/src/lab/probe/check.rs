//! The rig measures its own routers and lines against the plan, before it says a word about a device.

use std::{net::IpAddr, thread, time::Duration};

use super::{Blocked, Measured, Places, ProbeError, lifetime::Lifetime, measure::Ends};
use crate::{
    lab::{
        Lab,
        build::{INTERNET, INTERNET6, LineState, whose},
        fabric::Policy,
        nat::{Filtering, Kind},
        wire::Faults,
    },
    record::Check,
    scenario::plan::SideName,
};

/// A round trip may take so much longer than the line makes it: two wake-ups of the thread and of the probe, on a
/// machine that does other things.
const LATE: Duration = Duration::from_millis(25);
/// A probe's packet with its IP header, in bits: what a rate is asked to carry.
const PACKET: f64 = 8.0 * 61.0;
/// A second measurement, if the first is not as wanted, waits so many times longer for each packet: what the machine
/// was too busy for is no fault.
const PATIENT: u32 = 4;

/// What a way out should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nat(Kind),
    /// No NAT, and everybody may come in.
    Open,
    /// No NAT, and only answers come in.
    Firewall,
    Blocked(Policy),
}

impl Wanted {
    fn words(self) -> String {
        match self {
            Self::Nat(kind) => match kind.common_name() {
                Some(name) => format!("{kind} ({name})"),
                None => kind.to_string(),
            },
            Self::Open => "no NAT, everybody may come in".into(),
            Self::Firewall => "no NAT, only answers come in".into(),
            Self::Blocked(Policy::OnlyTcp(port)) => format!("UDP blocked, TCP to port {port} only"),
            Self::Blocked(_) => "UDP blocked, TCP not".into(),
        }
    }

    fn is(self, found: &Result<Measured, ProbeError>) -> bool {
        match (self, found) {
            (Self::Nat(kind), Ok(measured)) => measured.translates && measured.kind == kind,
            (Self::Open, Ok(measured)) => {
                !measured.translates && measured.kind.1 == Filtering::EndpointIndependent
            }
            (Self::Firewall, Ok(measured)) => {
                !measured.translates && measured.kind.1 == Filtering::AddressAndPortDependent
            }
            (
                Self::Blocked(policy),
                Err(ProbeError::Blocked { blocked: Blocked { tcp_to_port, tcp, .. }, .. }),
            ) => *tcp_to_port && *tcp == (policy == Policy::NoUdp),
            _ => false,
        }
    }
}

/// A way from a side to the internet, by one IP version.
#[derive(Clone, Copy, Debug)]
struct Way {
    what: &'static str,
    side: SideName,
    places: Places,
    wanted: Wanted,
    /// Its address outside, if it is to be checked.
    external: Option<IpAddr>,
}

impl Lab {
    /// Measures the routers and lines of both sides at once, as they should be now: after the plan, and after what was
    /// done to them since. Double NAT counts as the stricter of both. Servers may run meanwhile.
    pub fn self_probe(&self) -> Vec<Check> {
        let states = [SideName::Device, SideName::Viewer].map(|side| (side, self.line_state(side)));
        let ways: Vec<_> = states
            .iter()
            .flat_map(|(side, state)| ways(*side, state).into_iter().map(move |way| (way, state)))
            .collect();
        thread::scope(|scope| {
            let threads: Vec<_> =
                ways.iter().map(|(way, state)| scope.spawn(|| self.check(way, state))).collect();
            let all = threads.into_iter().zip(&ways);
            all.flat_map(|(thread, (way, _))| thread.join().unwrap_or_else(|_| vec![unmeasured(way)]))
                .collect()
        })
    }

    /// How long both sides' routers remember an idle UDP mapping, each way with its name.
    pub fn lifetimes(&self, up_to: Duration) -> Vec<(String, Result<Lifetime, ProbeError>)> {
        let ways: Vec<_> = [SideName::Device, SideName::Viewer]
            .into_iter()
            .flat_map(|side| ways(side, &self.line_state(side)))
            .collect();
        let measure = |way: &Way| {
            let (inside, outside) = (self.side(way.side), self.internet());
            let ends =
                Ends { inside: &|job| inside.run(job), outside: &|job| outside.run(job), places: way.places };
            let lifetime = ends.lifetime(up_to);
            (format!("{} {}", whose(way.side), way.what), lifetime)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = ways.iter().map(|way| scope.spawn(move || measure(way))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    fn check(&self, way: &Way, state: &LineState) -> Vec<Check> {
        let (inside, outside) = (self.side(way.side), self.internet());
        let ends =
            Ends { inside: &|job| inside.run(job), outside: &|job| outside.run(job), places: way.places };
        let right = |found: &Result<Measured, ProbeError>| {
            let address = found.as_ref().map(|measured| Some(measured.external));
            way.wanted.is(found)
                && (way.external.is_none() || address.is_ok_and(|found| found == way.external))
        };
        let mut found = ends.measure(1);
        if !right(&found) {
            found = ends.measure(PATIENT);
        }
        let words = match &found {
            Ok(measured) => measured.to_string(),
            Err(error) => error.to_string(),
        };
        let at = way.external.map(|address| format!(", outside it is {address}")).unwrap_or_default();
        let mut checks = vec![Check {
            what: format!("{} {}", whose(way.side), way.what),
            wanted: format!("{}{at}", way.wanted.words()),
            found: words,
            ok: right(&found),
        }];
        if let Ok(measured) = &found {
            checks.push(round_trip(way, state.faults, measured.round_trip));
        }
        checks
    }
}

/// What was not measured is not as planned.
fn unmeasured(way: &Way) -> Check {
    Check {
        what: format!("{} {}", whose(way.side), way.what),
        wanted: way.wanted.words(),
        found: "not known: the probe broke off, its words are on the standard error".into(),
        ok: false,
    }
}

fn ways(side: SideName, state: &LineState) -> Vec<Way> {
    let delay = state.faults[0].delay + state.faults[1].delay;
    let way = |what, places: Places, wanted, external| {
        let places = Places { patience: places.patience + delay * 4, ..places };
        let (wanted, external) = match state.policy {
            Policy::Open => (wanted, external),
            // What UDP cannot reach tells no address either.
            policy => (Wanted::Blocked(policy), None),
        };
        let tcp_port = match state.policy {
            Policy::OnlyTcp(port) => port,
            _ => places.tcp_port,
        };
        let places = Places { tcp_port, ..places };
        Way { what, side, places, wanted, external }
    };
    let mut ways = Vec::new();
    let inside = |v4| state.inside.iter().copied().find(move |address: &IpAddr| address.is_ipv4() == v4);
    if let Some(inside) = inside(true) {
        let (what, wanted) = match state.kind {
            Some(kind) => ("router", Wanted::Nat(kind)),
            None => ("public address", Wanted::Open),
        };
        ways.push(way(what, Places::new(inside, INTERNET), wanted, state.wan));
    }
    if let Some(inside) = inside(false) {
        ways.push(way("IPv6 firewall", Places::new(inside, INTERNET6), Wanted::Firewall, None));
        // A translator without IPv4 inside.
        if let (Some(kind), true) = (state.kind, ways.len() == 1) {
            let places = Places { nat64: true, ..Places::new(inside, INTERNET) };
            ways.push(way("NAT64", places, Wanted::Nat(kind), state.wan));
        }
    }
    ways
}

fn round_trip(way: &Way, faults: [Faults; 2], found: Duration) -> Check {
    let (mut least, mut most) = (Duration::ZERO, LATE);
    for line in faults {
        let sending =
            line.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(PACKET / rate.max(1) as f64));
        // What overtakes takes half the time.
        least += if line.reorder > 0.0 { line.delay / 2 } else { line.delay };
        most += (line.delay + line.jitter).mul_f64(1.25) + sending;
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Check {
        what: format!("{} line, round trip by its {}", whose(way.side), way.what),
        wanted: format!("{:.0} to {:.0} ms", ms(least), ms(most)),
        found: format!("{:.1} ms", ms(found)),
        ok: (least..=most).contains(&found),
    }
}
