//! A TLS handshake and, if it fails, the reason in words.

use std::{io, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::finding::Trouble;

/// Shakes hands as a client of `host`; `ca` is trusted besides the system's authorities.
pub async fn handshake(
    stream: TcpStream,
    host: &str,
    ca: Option<&Path>,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Trouble::new(format!("{host} is no name that a certificate can hold"), "check the URL")
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Trouble::new(format!("TLS: {error}"), "this build of the agent is broken"))?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| explain(&error))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    // Authorities that cannot be read are as good as absent: a server of theirs will be refused in words.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let read = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| {
                let advice = "give a PEM file with the server's certificate in ca_file";
                Trouble::new(format!("{}: {error}", path.display()), advice)
            })?;
        roots.add_parsable_certificates(read);
    }
    Ok(roots)
}

fn explain(error: &io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Trouble::new(
                "its certificate is not valid at this machine's time",
                "check this machine's clock; if it is right, the server's certificate must be renewed",
            ),
            // The latter two: a trusted authority has the issuer's name, but another key.
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Trouble::new(
                "its certificate is signed by nobody that this machine trusts",
                "install ca-certificates; for a server with a certificate of its own name that in ca_file: \
                 of [signaling] for a hub, of [ice] for TURN",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Trouble::new(
                    "its certificate is for another name",
                    "use the name that the certificate is for in the URL",
                )
            }
            other => {
                Trouble::new(format!("its certificate is refused: {other}"), "renew the server's certificate")
            }
        },
        _ => Trouble::new(
            format!("no TLS: {error}"),
            "check that the port is the TLS one, and that nothing on the way intercepts TLS",
        ),
    }
}
