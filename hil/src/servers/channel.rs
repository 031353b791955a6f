//! A way from a namespace to the TURN server.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use p2pcam_agent::transport::channel::Channel;
use rtc::stun::message::Message;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::place;
use crate::{lab::namespace::Namespace, scenario::plan::TurnTransport};

/// First repetition over UDP, doubled each time. RFC 8489 section 6.2.1 has 500 ms; the rig's own lines are lossy on
/// purpose, and a check of them has little time.
const FIRST_REPETITION: Duration = Duration::from_millis(100);
/// Connects from a namespace. `authority`: the certificate to trust for TLS, PEM.
pub(super) async fn open(
    namespace: &Namespace,
    transport: TurnTransport,
    to: SocketAddr,
    authority: &str,
) -> io::Result<Channel> {
    Ok(match transport {
        TurnTransport::Udp => Channel::Udp(place::udp(namespace, to)?),
        TurnTransport::Tcp => Channel::Stream(Box::new(place::tcp(namespace, to).await?)),
        TurnTransport::Tls => {
            let stream = place::tcp(namespace, to).await?;
            let name = ServerName::from(to.ip());
            Channel::Stream(Box::new(trusting(authority)?.connect(name, stream).await?))
        }
    })
}

/// Asks until the answer comes; the caller sets the deadline.
pub(super) async fn ask(channel: &mut Channel, request: &Message) -> io::Result<Message> {
    channel.ask(request, FIRST_REPETITION).await
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
