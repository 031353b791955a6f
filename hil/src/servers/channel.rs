//! A way from a namespace to the TURN server: UDP with repetitions, TCP or TLS with messages framed by their own length.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rtc::stun::message::{MESSAGE_HEADER_SIZE, Message};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UdpSocket,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{place, stun};
use crate::{lab::namespace::Namespace, scenario::plan::TurnTransport};

/// First repetition over UDP, doubled each time. RFC 8489 section 6.2.1 has 500 ms; the rig's own lines are lossy on
/// purpose, and a check of them has little time.
const FIRST_REPETITION: Duration = Duration::from_millis(100);
/// Largest answer over UDP that is read: an Ethernet frame.
const MAX_DATAGRAM: usize = 1500;

/// A connected way.
pub(super) enum Channel {
    Udp(UdpSocket),
    Stream(Box<dyn Stream>),
}

/// TCP or TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Channel {
    /// Connects from a namespace. `authority`: the certificate to trust for TLS, PEM.
    pub(super) async fn open(
        namespace: &Namespace,
        transport: TurnTransport,
        to: SocketAddr,
        authority: &str,
    ) -> io::Result<Self> {
        Ok(match transport {
            TurnTransport::Udp => Self::Udp(place::udp(namespace, to)?),
            TurnTransport::Tcp => Self::Stream(Box::new(place::tcp(namespace, to).await?)),
            TurnTransport::Tls => {
                let stream = place::tcp(namespace, to).await?;
                Self::Stream(Box::new(trusting(authority)?.connect(ServerName::from(to.ip()), stream).await?))
            }
        })
    }

    /// Asks until the answer comes; the caller sets the deadline.
    pub(super) async fn ask(&mut self, request: &Message) -> io::Result<Message> {
        match self {
            Self::Udp(socket) => ask_datagram(socket, request).await,
            Self::Stream(stream) => ask_stream(stream, request).await,
        }
    }
}

fn trusting(authority: &str) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn ask_datagram(socket: &UdpSocket, request: &Message) -> io::Result<Message> {
    let mut wait = FIRST_REPETITION;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        socket.send(&request.raw).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if let Some(answer) = stun::answer_to(request, &buffer[..length]) {
                    return io::Result::Ok(answer);
                }
            }
        };
        match timeout(wait, answer).await {
            Ok(answer) => return answer,
            Err(_) => wait *= 2,
        }
    }
}

async fn ask_stream(stream: &mut Box<dyn Stream>, request: &Message) -> io::Result<Message> {
    stream.write_all(&request.raw).await?;
    stream.flush().await?;
    loop {
        let mut header = [0; MESSAGE_HEADER_SIZE];
        stream.read_exact(&mut header).await?;
        let mut message = vec![0; stun::length(&header)];
        message[..MESSAGE_HEADER_SIZE].copy_from_slice(&header);
        stream.read_exact(&mut message[MESSAGE_HEADER_SIZE..]).await?;
        if let Some(answer) = stun::answer_to(request, &message) {
            return Ok(answer);
        }
    }
}
