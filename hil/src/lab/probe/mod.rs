//! Measures a router from both of its sides (after RFC 5780, but with both ends in our hands): what it maps, whom it
//! lets in, whether it hairpins and keeps ports, how long it remembers. The rig asks its own routers before it blames a
//! device, and `p2pcam-hil probe` asks one on a cable.

mod check;
mod lifetime;
mod measure;
mod place;
mod round;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    namespace::{Namespace, NamespaceError},
    nat::{Filtering, Kind},
    nat64,
};
pub use lifetime::Lifetime;
use measure::Ends;
pub use place::{Place, Site};

/// How long the first packet through a line of the lab may take, besides the line's own delay.
const PATIENCE: Duration = Duration::from_millis(600);
/// The same through somebody's real network.
const REAL_PATIENCE: Duration = Duration::from_secs(2);
/// The port that firewalls leave open if they leave any.
const HTTPS: u16 = 443;

/// What a router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Whether addresses or ports are other ones outside; if not, there is no NAT.
    pub translates: bool,
    /// Mapping and filtering.
    pub kind: Kind,
    /// Whether the external port is the inside one.
    pub preserves_ports: bool,
    /// Whether those inside reach each other by their external addresses. Where each
    /// destination has a port of its own and a filter before it they cannot, whatever the router would do.
    pub hairpins: bool,
    /// Its address outside.
    pub external: IpAddr,
    /// The shortest round trip seen.
    pub round_trip: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.translates {
            let firewall = match self.kind.1 {
                Filtering::EndpointIndependent => "everybody may come in",
                Filtering::AddressDependent => "addresses that were sent to may come in (ADF)",
                Filtering::AddressAndPortDependent => "only answers come in (APDF)",
            };
            return write!(f, "no NAT, {firewall}, the address is {}", self.external);
        }
        write!(f, "{}", self.kind)?;
        if let Some(name) = self.kind.common_name() {
            write!(f, " ({name})")?;
        }
        let ports = if self.preserves_ports { "keeps ports" } else { "changes ports" };
        let hairpins = if self.hairpins { "hairpins" } else { "does not hairpin" };
        write!(f, ", {ports}, {hairpins}, outside it is {}", self.external)
    }
}

/// What gets through where UDP does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The port that was tried for TCP, besides any other one.
    pub port: u16,
    /// Whether TCP to that port gets through.
    pub tcp_to_port: bool,
    /// Whether TCP to another one does.
    pub tcp: bool,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tcp_to_port, self.tcp) {
            (true, true) => f.write_str("UDP is blocked, TCP is not"),
            (true, false) => write!(f, "UDP is blocked; of TCP only port {} is known to be open", self.port),
            (false, true) => write!(f, "UDP is blocked, and TCP to port {}; other TCP is not", self.port),
            (false, false) => f.write_str("neither UDP nor TCP comes through: is a cable unplugged?"),
        }
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A socket cannot be opened on one of the sides.
    #[error("the probe cannot open a socket: {0}; has each side the addresses that were named?")]
    Socket(#[from] io::Error),
    /// Where it was to stand is not there.
    #[error("the probe cannot use {place}: {error} (`ip netns` and `ip link` show what there is)")]
    Place {
        /// A namespace or an interface.
        place: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// No namespace for an interface.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A side has not enough addresses.
    #[error("the probe needs an address inside and two outside, all of the same IP version")]
    Addresses,
    /// Not even the first packet came through.
    #[error("from {inside} to {outside}: {blocked}")]
    Blocked {
        /// Where it was sent from.
        inside: IpAddr,
        /// Where it was sent to.
        outside: IpAddr,
        /// What came through instead.
        blocked: Blocked,
    },
    /// Some packets came through, then none.
    #[error("packets from {inside} to {outside} are lost: the line is too bad for a measurement")]
    Lossy {
        /// Where it was sent from.
        inside: SocketAddr,
        /// Where it was sent to.
        outside: SocketAddr,
    },
    /// What was sent to is not let back in: this is no NAT that ICE could work with.
    #[error("the router does not let answers back in to {0}")]
    NoAnswer(SocketAddr),
}

/// Where the probe's ends are.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// An address inside.
    pub inside: IpAddr,
    /// Two addresses outside, on one host.
    pub outside: [IpAddr; 2],
    /// Whether there is a NAT64 between: then the inside is IPv6 and the outside IPv4.
    pub nat64: bool,
    /// A port that TCP is tried to, if UDP does not come through.
    pub tcp_port: u16,
    /// How long the first packet may take.
    pub patience: Duration,
}

impl Places {
    /// Two sides of a router in a lab.
    pub fn new(inside: impl Into<IpAddr>, outside: [impl Into<IpAddr>; 2]) -> Self {
        let (inside, outside) = (inside.into(), outside.map(Into::into));
        Self { inside, outside, nat64: false, tcp_port: HTTPS, patience: PATIENCE }
    }

    /// How an address outside is called inside.
    fn from_inside(&self, outside: SocketAddr) -> SocketAddr {
        match outside.ip() {
            IpAddr::V4(address) if self.nat64 => (nat64::embed(address), outside.port()).into(),
            _ => outside,
        }
    }
}

/// Measures the router between two namespaces.
pub fn probe(inside: &Namespace, outside: &Namespace, places: Places) -> Result<Measured, ProbeError> {
    Ends { inside: &|job| inside.run(job), outside: &|job| outside.run(job), places }.measure(1)
}

/// How long the router between two namespaces remembers a UDP mapping that nobody uses, between nothing and `up_to`.
/// Takes as long as the answer, twice and more.
pub fn probe_lifetime(
    inside: &Namespace,
    outside: &Namespace,
    places: Places,
    up_to: Duration,
) -> Result<Lifetime, ProbeError> {
    Ends { inside: &|job| inside.run(job), outside: &|job| outside.run(job), places }.lifetime(up_to)
}

/// Measures whatever router is between two places; with `up_to`, its memory as well, which takes that long and longer.
pub fn probe_between(
    inside: &Place,
    outside: &Place,
    up_to: Option<Duration>,
) -> Result<(Measured, Option<Lifetime>), ProbeError> {
    let (inside, outside) = (inside.enter("probe-in")?, outside.enter("probe-out")?);
    let places = common_version(&inside.addresses, &outside.addresses).ok_or(ProbeError::Addresses)?;
    let ends = Ends { inside: &|job| inside.run(job), outside: &|job| outside.run(job), places };
    let measured = ends.measure(1)?;
    Ok((measured, up_to.map(|up_to| ends.lifetime(up_to)).transpose()?))
}

fn common_version(inside: &[IpAddr], outside: &[IpAddr]) -> Option<Places> {
    inside.iter().find_map(|inside| {
        let mut same = outside.iter().filter(|outside| outside.is_ipv4() == inside.is_ipv4());
        let places = Places::new(*inside, [*same.next()?, *same.next()?]);
        Some(Places { patience: REAL_PATIENCE, ..places })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_need_addresses_of_one_version_and_the_outside_two() {
        let addresses = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let (v4, v6) = (["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"]);
        let outside = addresses(&[v4[0], v6[0], v6[1]]);
        assert!(common_version(&addresses(&["10.0.0.2"]), &outside).is_none());
        let places = common_version(&addresses(&["10.0.0.2", "2001:db8:1::2"]), &outside);
        assert!(places.is_some_and(|places| places.outside.map(|address| address.to_string()) == v6));
    }

    #[test]
    fn what_is_blocked_is_told_in_words() {
        let blocked = |tcp_to_port, tcp| Blocked { port: 443, tcp_to_port, tcp }.to_string();
        assert!(blocked(true, false).contains("only port 443"));
        assert!(blocked(true, true).contains("TCP is not"));
        assert!(blocked(false, false).contains("cable"));
    }
}
