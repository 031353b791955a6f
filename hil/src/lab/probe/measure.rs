//! The measurement itself.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use super::{
    Blocked, Measured, Places, ProbeError,
    round::{Arrival, Pace, Shot, fire},
};
use crate::lab::nat::{Filtering, Kind, Mapping};

/// How long a TCP connection may take to come up: longer than its first retransmission (RFC 6298: a second).
const TCP_PATIENCE: Duration = Duration::from_millis(1200);
/// Round trips that are measured once the first packet is through.
const ROUND_TRIPS: usize = 3;

type Job<'a> = Box<dyn FnOnce() -> io::Result<Vec<Opened>> + Send + 'a>;
type Run<'a> = &'a (dyn Fn(Job<'_>) -> io::Result<Vec<Opened>> + Sync);

/// What a job in a namespace opens.
pub enum Opened {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

/// Both sides.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// Runs something inside, ...
    pub inside: Run<'a>,
    /// ... and outside.
    pub outside: Run<'a>,
    /// The addresses there.
    pub places: Places,
}

/// A router that lets packets out and answers in.
pub struct Line {
    /// By this socket inside ...
    pub socket: UdpSocket,
    /// ... which is this outside.
    pub external: SocketAddr,
    /// The shortest round trip.
    pub round_trip: Duration,
}

impl Ends<'_> {
    /// Measures; with so many times the usual patience.
    pub fn measure(&self, patience: u32) -> Result<Measured, ProbeError> {
        let servers = self.servers()?;
        let [s00, s01, s10, s11] = &servers;
        let line = self.line(s00)?;
        let pace = Pace::learned(line.round_trip).times(patience);
        let clients = self.udp_inside(3)?;
        let [filter, one, other] = clients.as_slice() else { return Err(ProbeError::Addresses) };
        // All these must arrive.
        let shots = [
            self.shot_out(&line.socket, s01)?,
            self.shot_out(&line.socket, s10)?,
            self.shot_out(filter, s00)?,
            self.shot_out(one, s00)?,
            self.shot_out(other, s00)?,
        ];
        let mut seen = Vec::new();
        for (arrival, shot) in fire(&shots, pace)?.into_iter().zip(&shots) {
            let Some(arrival) = arrival else {
                return Err(ProbeError::Lossy { inside: shot.from.local_addr()?, outside: shot.to });
            };
            seen.push(arrival.source);
        }
        let mapping = match (seen[0] == line.external, seen[1] == line.external) {
            (true, true) => Mapping::EndpointIndependent,
            (true, false) => Mapping::AddressDependent,
            (false, _) => Mapping::AddressAndPortDependent,
        };
        let [filtered, one_outside, other_outside] = [seen[2], seen[3], seen[4]];
        // Of these some must not; the two sockets inside have sent to each other, as in a call.
        let shots = [
            Shot { from: s11, to: filtered, at: filter },
            Shot { from: s01, to: filtered, at: filter },
            Shot { from: one, to: self.places.seen_inside(other_outside), at: other },
            Shot { from: other, to: self.places.seen_inside(one_outside), at: one },
        ];
        let came: Vec<bool> = fire(&shots, pace)?.iter().map(Option::is_some).collect();
        let filtering = match (came[0], came[1]) {
            (true, _) => Filtering::EndpointIndependent,
            (false, true) => Filtering::AddressDependent,
            (false, false) => Filtering::AddressAndPortDependent,
        };
        let local = [line.socket.local_addr()?, one.local_addr()?, other.local_addr()?];
        let outside = [line.external, one_outside, other_outside];
        let translates = local != outside;
        Ok(Measured {
            translates,
            kind: Kind(mapping, filtering),
            preserves_ports: local.map(|address| address.port()) == outside.map(|address| address.port()),
            hairpins: translates && came[3],
            external: line.external.ip(),
            round_trip: line.round_trip,
        })
    }

    /// Two ports at each of the two addresses outside: the first address's, then the second's.
    pub fn servers(&self) -> Result<[UdpSocket; 4], ProbeError> {
        let [first, second] = self.places.outside;
        let sockets =
            (self.outside)(Box::new(move || [first, first, second, second].into_iter().map(open).collect()))?;
        udp(sockets).try_into().map_err(|_| ProbeError::Addresses)
    }

    /// Sockets inside.
    pub fn udp_inside(&self, count: usize) -> Result<Vec<UdpSocket>, ProbeError> {
        let inside = self.places.inside;
        Ok(udp((self.inside)(Box::new(move || (0..count).map(|_| open(inside)).collect()))?))
    }

    pub fn shot_out<'a>(&self, from: &'a UdpSocket, at: &'a UdpSocket) -> io::Result<Shot<'a>> {
        Ok(Shot { from, to: self.places.seen_inside(at.local_addr()?), at })
    }

    /// Sends the first packets, which teach the round trip.
    pub fn line(&self, server: &UdpSocket) -> Result<Line, ProbeError> {
        let mut sockets = self.udp_inside(1)?;
        let socket = sockets.pop().ok_or(ProbeError::Addresses)?;
        let one = |shot, pace| -> io::Result<Option<Arrival>> { Ok(fire(&[shot], pace)?[0]) };
        let unknown = Pace::unknown(self.places.patience);
        let shot = self.shot_out(&socket, server)?;
        let quick = Pace { tries: 1, patience: unknown.gap, ..unknown };
        let first = match one(shot, quick)? {
            Some(first) => first,
            // Meanwhile it is seen what else gets through.
            None => thread::scope(|scope| {
                let blocked = scope.spawn(|| self.blocked());
                match one(shot, unknown)? {
                    Some(first) => Ok(first),
                    None => Err(blocked.join().unwrap_or(ProbeError::Addresses)),
                }
            })?,
        };
        let external = first.source;
        let back = Shot { from: server, to: external, at: &socket };
        let Some(answer) = one(back, unknown)? else { return Err(ProbeError::NoAnswer(external)) };
        let mut round_trip = first.took + answer.took;
        for _ in 0..ROUND_TRIPS {
            let pace = Pace::learned(round_trip);
            let there = one(self.shot_out(&socket, server)?, pace)?;
            if let (Some(there), Some(answer)) = (there, one(back, pace)?) {
                round_trip = round_trip.min(there.took + answer.took);
            }
        }
        Ok(Line { socket, external, round_trip })
    }

    /// What gets through instead of UDP.
    fn blocked(&self) -> ProbeError {
        let (port, outside) = (self.places.tcp_port, self.places.outside[1]);
        let (tcp_to_port, tcp) = thread::scope(|scope| {
            let to_port = scope.spawn(|| self.connects(port));
            let other = self.connects(0);
            // A thread that panicked has found nothing.
            (to_port.join().unwrap_or(false), other)
        });
        let blocked = Blocked { port, tcp_to_port, tcp };
        ProbeError::Blocked { inside: self.places.inside, outside, blocked }
    }

    /// Whether TCP gets through to a port outside; 0: to any that is free.
    fn connects(&self, port: u16) -> bool {
        let there = SocketAddr::new(self.places.outside[1], port);
        let listener = (self.outside)(Box::new(move || match TcpListener::bind(there) {
            Ok(listener) => Ok(vec![Opened::Tcp(listener)]),
            // Whoever listens there already will do.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Vec::new()),
            Err(error) => Err(error),
        }));
        let Ok(listener) = listener else { return false };
        let address = match listener.first() {
            Some(Opened::Tcp(listener)) => listener.local_addr().unwrap_or(there),
            _ => there,
        };
        let to = self.places.seen_inside(address);
        let connected = (self.inside)(Box::new(move || {
            TcpStream::connect_timeout(&to, TCP_PATIENCE).map(|_| Vec::new())
        }));
        match connected {
            Ok(_) => true,
            // Somebody else's, who has stopped meanwhile: still, the answer came through.
            Err(error) => listener.is_empty() && error.kind() == io::ErrorKind::ConnectionRefused,
        }
    }
}

/// A socket for [`fire`].
fn open(address: IpAddr) -> io::Result<Opened> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    Ok(Opened::Udp(socket))
}

fn udp(opened: Vec<Opened>) -> Vec<UdpSocket> {
    let udp = |opened| match opened {
        Opened::Udp(socket) => Some(socket),
        Opened::Tcp(_) => None,
    };
    opened.into_iter().filter_map(udp).collect()
}
