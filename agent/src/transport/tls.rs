//! What `turns:` servers are checked with: the system's certificates, and one that the configuration names.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Makes the TLS settings. Blocks on files; reads some hundred certificates.
///
/// # Errors
///
/// In words: `ca_file` cannot be read, or there is no certificate at all.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let refuse =
            |e: &dyn std::fmt::Display| format!("[ice] ca_file {} cannot be used: {e}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| refuse(&e))? {
            roots.add(certificate.map_err(|e| refuse(&e))?).map_err(|e| refuse(&e))?;
        }
    }
    if roots.is_empty() {
        let words = "the system trusts no certificate authority, so turns: servers cannot be checked: install the package \
                     ca-certificates, or name the server's certificate as `ca_file` in [ice]";
        return Err(words.into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
