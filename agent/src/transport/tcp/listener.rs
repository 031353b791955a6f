//! The listening socket of one local address.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::{connection::Seat, link::Connections};
use crate::transport::{Path, Protocol, shared::Shared};

/// Connections that the kernel completes ahead of us; they are taken at once.
const BACKLOG: u32 = 64;
/// After an error of the listening socket (no file descriptors left, for one) the next attempt waits so long.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// What the kernel may hold that it could not send yet, before it takes more: a few segments, so that the line never idles
/// and what is late waits where it can still be left out.
const UNSENT: u32 = 4 * 1024;

/// Takes connections of one local address while it lives; dropped, it closes them all.
pub(in crate::transport) struct Listener {
    local: SocketAddr,
    connections: Arc<Connections>,
    _task: AbortOnDropHandle<()>,
}

/// Listens on `local`, the address of a UDP socket of the shared port. `None`: it cannot; the log says why, and viewers
/// are not told of it. Must be called within a tokio runtime.
pub(in crate::transport) fn listen(shared: &Arc<Shared>, local: SocketAddr) -> Option<Listener> {
    match bind(local) {
        Ok(socket) => {
            let connections = shared.tcp.clone();
            connections.set_listening(local, true);
            let _task = AbortOnDropHandle::new(tokio::spawn(accept(shared.clone(), socket, local)));
            Some(Listener { local, connections, _task })
        }
        Err(e) => {
            let advice = match e.kind() {
                io::ErrorKind::AddrInUse => {
                    "; end the program that has it (ss -tlnp), or set [ice] port to another one"
                }
                _ => "",
            };
            warn!("no ICE over TCP on {local}, viewers in networks without UDP need a relay: {e}{advice}");
            None
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.connections.set_listening(self.local, false);
    }
}

fn bind(local: SocketAddr) -> io::Result<TcpListener> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the last run that the kernel still remembers (TIME_WAIT) must not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    socket.listen(BACKLOG)
}

async fn accept(shared: Arc<Shared>, socket: TcpListener, local: SocketAddr) {
    let mut connections = JoinSet::new();
    let mut told = None;
    loop {
        tokio::select! {
            taken = socket.accept() => match taken {
                Ok((stream, remote)) => {
                    told = None;
                    let remote = SocketAddr::new(remote.ip(), remote.port());
                    let path = Path { protocol: Protocol::Tcp, local, remote };
                    if let Some(seat) = Seat::take(&shared, path) {
                        prepare(&stream);
                        connections.spawn(seat.serve(stream));
                    }
                }
                // The viewer was gone before it was taken (accept(2)).
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => {
                    if told.replace(e.kind()) != Some(e.kind()) {
                        warn!("taking TCP connections on {local} fails: {e}");
                    }
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Media must not wait in the kernel. Without these options it only gets slower.
fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}
