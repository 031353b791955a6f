//! Which certificates of a hub are trusted: the system's authorities, and the one of `ca_file`.

use std::{path::Path, sync::Arc};

use anyhow::{Context, ensure};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// A client configuration with ring's cryptography.
pub(super) fn config(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    ensure!(
        !roots.is_empty(),
        "the system trusts no certificate authority: install the package ca-certificates, or name the hub's certificate as \
         `ca_file` in [signaling]"
    );
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).with_context(|| {
            format!("ca_file {shown}: cannot be read; it is a PEM file with the hub's certificate")
        })?;
    ensure!(
        !certificates.is_empty(),
        "ca_file {shown}: holds no certificate; it is a PEM file with the hub's certificate"
    );
    for certificate in certificates {
        roots
            .add(certificate)
            .with_context(|| format!("ca_file {shown}: holds a certificate that cannot be used"))?;
    }
    Ok(())
}

/// What a technician can do about a TLS failure.
pub(super) fn advice(error: &Error) -> String {
    let Error::InvalidCertificate(problem) = error else {
        return format!("TLS failed: {error}; is the URL's port one for wss://?");
    };
    match problem {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the hub's certificate is not valid yet: set this device's clock (no time server reached yet?)".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the hub's certificate has expired: renew it on the hub, or set this device's clock".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the hub's certificate is for another name: use the name in it as the URL's host".into()
        }
        // A bad signature is what a hub shows that has made itself a new certificate under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the hub's certificate is not the one that this device trusts: copy the hub's present one here and name it as \
             `ca_file` in [signaling]"
                .into()
        }
        other => format!("the hub's certificate is refused: {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(config(Some(&path)).unwrap_err().to_string().contains("ca.pem: cannot be read"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(config(Some(&path)).unwrap_err().to_string().contains("ca.pem: holds no certificate"));
    }
}
