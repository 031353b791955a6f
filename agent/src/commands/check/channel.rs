//! A way to a server by its name, and what to do where there is none.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use p2pcam_agent::transport::channel::{Channel as Asking, Stream};
use rtc::stun::message::Message;
use tokio::net::{TcpStream, UdpSocket};

use super::{
    finding::Trouble,
    server::{Server, Transport},
    tls,
};

/// First repetition over UDP, doubled each time; RFC 8489 section 6.2.1 has 500 ms, which would leave two tries
/// before the deadline of a check.
const FIRST_REPETITION: Duration = Duration::from_millis(250);

/// A connected way to a server.
pub struct Channel(Asking);

impl Channel {
    /// Resolves the name and connects.
    pub async fn open(server: &Server) -> Result<Self, Trouble> {
        match server.transport {
            Transport::Udp => udp(server).await.map(Asking::Udp),
            Transport::Tcp => Ok(Asking::Stream(Box::new(tcp(&server.host, server.port).await?))),
            Transport::Tls => {
                Ok(Asking::Stream(Box::new(secure(&server.host, server.port, server.ca.as_deref()).await?)))
            }
        }
        .map(Self)
    }

    /// Asks until the answer to this request comes; the caller sets the deadline.
    pub async fn ask(&mut self, request: &Message) -> Result<Message, Trouble> {
        self.0.ask(request, FIRST_REPETITION).await.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => {
                Trouble::new("nothing listens there", "check the port, and that the server runs")
            }
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Trouble::new(
                "it closed the connection at a STUN message",
                "check that it is a STUN or TURN server, and that the port is right",
            ),
            _ => Trouble::new(error.to_string(), "check the network"),
        })
    }
}

/// TCP to a name or address.
pub async fn tcp(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let addresses = resolve(host, port).await?;
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => {
            Trouble::new("nothing listens there", "check the port, and that the server runs")
        }
        _ => unreachable(&error),
    })
}

/// TLS to a name or address.
pub async fn secure(host: &str, port: u16, ca: Option<&Path>) -> Result<impl Stream + use<>, Trouble> {
    tls::handshake(tcp(host, port).await?, host, ca).await
}

async fn udp(server: &Server) -> Result<UdpSocket, Trouble> {
    let mut last = None;
    for address in resolve(&server.host, server.port).await? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // A machine without IPv6 learns here that it has no route, and goes on to the next address.
        let connected = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            io::Result::Ok(socket)
        };
        match connected.await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || Trouble::new("its name has no address", "check the name"),
        |error| unreachable(&error),
    ))
}

pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(Trouble::new(
            format!("the name {host} cannot be resolved"),
            format!("check the spelling, and this machine's DNS: getent hosts {host}"),
        )),
    }
}

fn unreachable(error: &io::Error) -> Trouble {
    Trouble::new(
        format!("it cannot be reached: {error}"),
        "check this machine's network: cable or Wi-Fi, address (ip address), default route (ip route)",
    )
}
