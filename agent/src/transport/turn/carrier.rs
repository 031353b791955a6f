//! What carries TURN messages to the server and back: a UDP socket, a TCP connection, or TLS on one.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use bytes::BytesMut;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};
use tokio_rustls::TlsConnector;

use super::Deframer;
use crate::transport::server::{ServerTransport, ServerUrl};

/// What is read at once: one datagram of any size that a path carries, or a piece of the stream.
const READ_SIZE: usize = 2048;

/// A byte stream in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The way to one TURN server.
pub(super) enum Carrier {
    /// A socket connected to the server.
    Udp { socket: UdpSocket, buffer: BytesMut },
    /// A connection, with or without TLS.
    Stream { stream: Box<dyn Stream>, deframer: Deframer },
}

impl Carrier {
    /// Opens a way to `server`, an address of `url`. The caller bounds the time.
    pub async fn connect(
        server: SocketAddr,
        url: &ServerUrl,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, String> {
        let failed = |what: &str, e: io::Error| format!("{what} {server} failed: {e}");
        if url.transport == ServerTransport::Udp {
            let any = match server {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let socket = UdpSocket::bind((any, 0)).await.map_err(|e| failed("binding a socket for", e))?;
            socket.connect(server).await.map_err(|e| failed("reaching", e))?;
            return Ok(Self::Udp { socket, buffer: BytesMut::new() });
        }
        let tcp = TcpStream::connect(server).await.map_err(|e| failed("connecting to", e))?;
        // Media must not wait for the next packet; without the option it only gets slower.
        let _ = tcp.set_nodelay(true);
        let stream: Box<dyn Stream> = if url.is_tls() {
            let config = tls
                .ok_or("there are no certificates to check a turns: server with; install ca-certificates")?;
            let name = ServerName::try_from(url.host.clone())
                .map_err(|_| format!("\"{}\" is no name that a certificate can hold", url.host))?;
            let connector = TlsConnector::from(config);
            Box::new(connector.connect(name, tcp).await.map_err(|e| failed("TLS with", e))?)
        } else {
            Box::new(tcp)
        };
        Ok(Self::Stream { stream, deframer: Deframer::default() })
    }

    /// Whether nothing is lost or repeated on it.
    pub fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }

    /// The next message. Can be dropped at any time without loss.
    pub async fn receive(&mut self) -> io::Result<BytesMut> {
        match self {
            Self::Udp { socket, buffer } => {
                buffer.reserve(READ_SIZE);
                socket.recv_buf(buffer).await?;
                Ok(buffer.split())
            }
            Self::Stream { stream, deframer } => loop {
                match deframer.take() {
                    Ok(Some(message)) => return Ok(message),
                    Ok(None) => {}
                    Err(e) => return Err(io::Error::new(io::ErrorKind::InvalidData, e)),
                }
                deframer.buffer.reserve(READ_SIZE);
                if stream.read_buf(&mut deframer.buffer).await? == 0 {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
            },
        }
    }

    /// Sends messages. The caller bounds the time; when it gives up, a stream is of no use any more.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => {
                for message in messages {
                    match socket.send(message).await {
                        Ok(_) => {}
                        // The server says by ICMP that nobody listens: asking on is useless.
                        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => return Err(e),
                        // No route just now, or too long: repetition and time-out deal with it.
                        Err(e) => tracing::trace!("sending to a TURN server failed: {e}"),
                    }
                }
                Ok(())
            }
            Self::Stream { stream, .. } => {
                stream.write_all(&messages.concat()).await?;
                stream.flush().await
            }
        }
    }
}
