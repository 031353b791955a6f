//! Measures a router from both of its sides (after RFC 5780, but with both ends in our hands): what it maps, whom it
//! lets in, whether it hairpins and keeps ports. The rig asks its own routers before it blames a device, and
//! `p2pcam-hil probe` asks one on a cable.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use super::{
    namespace::Namespace,
    nat::{Filtering, Kind, Mapping},
};

/// How long a packet that should come may take, beyond which it is taken as dropped: several round trips of a slow
/// line, and a busy machine.
const PATIENCE: Duration = Duration::from_millis(700);
/// Packets of the probe begin so: a stranger's are not counted.
const MARK: &[u8] = b"p2pcam-hil probe ";
/// A router may lose a packet by its line's fault, not by its rules: each is sent so often.
const TRIES: usize = 3;

/// What a router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Mapping and filtering.
    pub kind: Kind,
    /// Whether the external port is the inside one.
    pub preserves_ports: bool,
    /// Whether those inside reach each other by their external addresses. Where each
    /// destination has a port of its own and a filter before it they cannot, whatever the router would do.
    pub hairpins: bool,
    /// Its address outside.
    pub external: Ipv4Addr,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(name) = self.kind.common_name() {
            write!(f, " ({name})")?;
        }
        let ports = if self.preserves_ports { "keeps ports" } else { "changes ports" };
        let hairpins = if self.hairpins { "hairpins" } else { "does not hairpin" };
        write!(f, ", {ports}, {hairpins}, outside it is {}", self.external)
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A socket cannot be opened on one of the sides.
    #[error("the probe cannot open a socket: {0}")]
    Socket(#[from] io::Error),
    /// Not even the first packet came through.
    #[error(
        "no packet comes through the router from {inside} to {outside}: is UDP blocked, or a cable unplugged?"
    )]
    Silent {
        /// Where it was sent from.
        inside: SocketAddr,
        /// Where it was sent to.
        outside: SocketAddr,
    },
    /// What was sent to is not let back in: this is no NAT that ICE could work with.
    #[error("the router does not let answers back in to {0}")]
    NoAnswer(SocketAddr),
}

/// Where the probe stands.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// An address inside.
    pub inside: Ipv4Addr,
    /// Two addresses outside, on one host.
    pub outside: [Ipv4Addr; 2],
}

/// Two ports at each of the two outside addresses.
struct Outside([[UdpSocket; 2]; 2]);

impl Outside {
    fn open(addresses: [Ipv4Addr; 2]) -> io::Result<Self> {
        let open = |address| -> io::Result<[UdpSocket; 2]> {
            Ok([UdpSocket::bind((address, 0))?, UdpSocket::bind((address, 0))?])
        };
        Ok(Self([open(addresses[0])?, open(addresses[1])?]))
    }
}

/// Measures the router between two namespaces.
pub fn probe(inside: &Namespace, outside: &Namespace, places: Places) -> Result<Measured, ProbeError> {
    let servers = outside.run(|| Outside::open(places.outside))?;
    let client = || inside.run(|| UdpSocket::bind((places.inside, 0)));
    measure(&servers.0, &client)
}

fn measure(
    servers: &[[UdpSocket; 2]; 2],
    client: &dyn Fn() -> io::Result<UdpSocket>,
) -> Result<Measured, ProbeError> {
    let socket = client()?;
    let local = socket.local_addr()?;
    let seen = |server: &UdpSocket| -> Result<SocketAddr, ProbeError> {
        let there = server.local_addr()?;
        arrives(&socket, there, server)?.ok_or(ProbeError::Silent { inside: local, outside: there })
    };
    let first = seen(&servers[0][0])?;
    let mapping = match (seen(&servers[0][1])? == first, seen(&servers[1][0])? == first) {
        (true, true) => Mapping::EndpointIndependent,
        (true, false) => Mapping::AddressDependent,
        (false, _) => Mapping::AddressAndPortDependent,
    };
    let filtering = filtering(servers, client)?;
    Ok(Measured {
        kind: Kind(mapping, filtering),
        preserves_ports: first.port() == local.port(),
        hairpins: hairpins(servers, client)?,
        external: match first {
            SocketAddr::V4(address) => *address.ip(),
            SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        },
    })
}

/// A new socket sends to one server only; which others get in by that?
fn filtering(
    servers: &[[UdpSocket; 2]; 2],
    client: &dyn Fn() -> io::Result<UdpSocket>,
) -> Result<Filtering, ProbeError> {
    let socket = client()?;
    let (asked, there) = (&servers[0][0], servers[0][0].local_addr()?);
    let outside = arrives(&socket, there, asked)?
        .ok_or(ProbeError::Silent { inside: socket.local_addr()?, outside: there })?;
    if arrives(asked, outside, &socket)?.is_none() {
        return Err(ProbeError::NoAnswer(outside));
    }
    if arrives(&servers[1][1], outside, &socket)?.is_some() {
        return Ok(Filtering::EndpointIndependent);
    }
    let same_address = arrives(&servers[0][1], outside, &socket)?.is_some();
    Ok(if same_address { Filtering::AddressDependent } else { Filtering::AddressAndPortDependent })
}

/// Two sockets inside; each has sent to the other's external address, as in a call.
fn hairpins(
    servers: &[[UdpSocket; 2]; 2],
    client: &dyn Fn() -> io::Result<UdpSocket>,
) -> Result<bool, ProbeError> {
    let sockets = [client()?, client()?];
    let there = servers[0][0].local_addr()?;
    let mut outside = Vec::new();
    for socket in &sockets {
        let Some(address) = arrives(socket, there, &servers[0][0])? else { return Ok(false) };
        outside.push(address);
    }
    // Punches the first one's filter, whatever happens to it.
    send(&sockets[0], outside[1])?;
    Ok(arrives(&sockets[1], outside[0], &sockets[0])?.is_some())
}

fn send(from: &UdpSocket, to: SocketAddr) -> io::Result<[u8; 8]> {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
    match from.send_to(&[MARK, &number].concat(), to) {
        // An earlier packet met a closed port.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(number),
        sent => sent.map(|_| number),
    }
}

/// Sends until the packet arrives; where it seems to come from, or `None` if it does not come.
fn arrives(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    let mut sent = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for turn in 1..=TRIES {
        sent.push(send(from, to)?);
        let until = deadline - PATIENCE.mul_f64((TRIES - turn) as f64 / TRIES as f64);
        if let Some(source) = receive(at, &sent, until)? {
            return Ok(Some(source));
        }
    }
    Ok(None)
}

fn receive(at: &UdpSocket, sent: &[[u8; 8]], until: Instant) -> io::Result<Option<SocketAddr>> {
    let mut buffer = [0; 64];
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(None);
        }
        at.set_read_timeout(Some(rest))?;
        match at.recv_from(&mut buffer) {
            Ok((length, source)) => {
                let number = buffer[..length].strip_prefix(MARK);
                if number.is_some_and(|number| sent.iter().any(|sent| sent == number)) {
                    return Ok(Some(source));
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}
