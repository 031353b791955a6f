//! Sockets in a namespace, and whether a server could have a port there.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket as StdUdpSocket},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time::sleep,
};

use super::ServerError;
use crate::lab::namespace::Namespace;

/// A server that was dropped a moment ago may still be ending, and have its ports.
const ENDING: Duration = Duration::from_millis(500);
/// How often a port is tried.
const PAUSE: Duration = Duration::from_millis(10);

/// A UDP socket in a namespace that speaks with one other.
pub(super) fn udp(namespace: &Namespace, to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = namespace.run(|| connected(to))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn connected(to: SocketAddr) -> io::Result<StdUdpSocket> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = StdUdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket)
}

/// A TCP connection from a namespace.
pub(super) async fn tcp(namespace: &Namespace, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = namespace.run(|| if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() })?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a namespace has a way to an address: asks its routing table, sends nothing.
pub(super) fn has_way(namespace: &Namespace, to: IpAddr) -> bool {
    // Any port: connecting a UDP socket only looks up the route and a source address.
    namespace.run(|| connected(SocketAddr::new(to, 9))).is_ok()
}

/// Whether a namespace has an address itself.
pub(super) fn has_address(namespace: &Namespace, address: IpAddr) -> bool {
    namespace.run(|| StdUdpSocket::bind((address, 0))).is_ok()
}

/// Waits until a server may listen at an address in a namespace, on UDP too if it will; the socket is closed again.
pub(super) async fn free(
    namespace: &Namespace,
    what: &'static str,
    address: SocketAddr,
    on_udp: bool,
) -> Result<(), ServerError> {
    let tried = || {
        namespace.run(|| {
            TcpListener::bind(address)?;
            if on_udp {
                StdUdpSocket::bind(address)?;
            }
            Ok(())
        })
    };
    let deadline = Instant::now() + ENDING;
    loop {
        let Err(error) = tried() else { return Ok(()) };
        let namespace = namespace.name().to_owned();
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(ServerError::NoAddress { what, address, namespace, error });
        }
        if Instant::now() >= deadline {
            return Err(ServerError::PortTaken { what, address, namespace });
        }
        sleep(PAUSE).await;
    }
}
