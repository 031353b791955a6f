//! The hub's TLS identity: a given certificate, or one of its own made on first start and then kept.

use std::{fs, io::ErrorKind, net::IpAddr, path::Path, sync::Arc};

use anyhow::{Context, bail, ensure};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use super::private_file;
use crate::config::HubConfig;

/// File of the hub's own certificate in the state directory.
const CERTIFICATE_FILE: &str = "tls-certificate.pem";
/// File of its key.
const KEY_FILE: &str = "tls-key.pem";

/// What a certificate of the hub's own is made out to.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

/// A certificate that is ready to serve.
pub(super) struct Identity {
    pub acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
}

/// The given certificate, else the hub's own from `dir`, else a new one.
pub(super) fn load_or_create(config: &HubConfig, dir: &Path, names: &Names) -> anyhow::Result<Identity> {
    match (&config.certificate, &config.private_key) {
        (Some(certificate), Some(key)) => {
            let chain = fs::read_to_string(certificate)
                .with_context(|| format!("hub.certificate: {} cannot be read", certificate.display()))?;
            let key_pem = private_file::read_shared_with_group(key)?
                .with_context(|| format!("hub.private_key: {} is not there", key.display()))?;
            identity(&chain, &key_pem)
                .with_context(|| format!("{} with {}", certificate.display(), key.display()))
        }
        (None, None) => own(dir, names),
        (Some(_), None) => bail!("hub.certificate is set, but hub.private_key is not"),
        (None, Some(_)) => bail!("hub.private_key is set, but hub.certificate is not"),
    }
}

fn own(dir: &Path, names: &Names) -> anyhow::Result<Identity> {
    private_file::ensure_dir(dir)?;
    let (certificate, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
    // The key is written first: with a key and no certificate (power cut between the two) the certificate is
    // made for that key. A certificate without its key is of no use, but somebody may have moved the key:
    // ask.
    let key_pem = match private_file::read(&key)? {
        Some(pem) => pem,
        None if certificate.exists() => bail!(
            "{} is there, but its key {} is not: bring the key back, or delete the certificate to have a new pair \
             made, which viewers must then trust again",
            certificate.display(),
            key.display()
        ),
        None => {
            private_file::create(&key, &KeyPair::generate()?.serialize_pem())?;
            private_file::read(&key)?.with_context(|| format!("{}: was deleted again", key.display()))?
        }
    };
    if read_public(&certificate)?.is_none() {
        let pair = KeyPair::from_pem(&key_pem).with_context(|| format!("{}: not a key", key.display()))?;
        let made = parameters(names)?.self_signed(&pair)?;
        private_file::create(&certificate, &made.pem())?;
        tracing::info!(file = %certificate.display(), hosts = ?names.hosts, "made a certificate for HTTPS");
    }
    let chain = read_public(&certificate)?
        .with_context(|| format!("{}: was deleted again", certificate.display()))?;
    identity(&chain, &key_pem).with_context(|| {
        format!("{} and {}: delete both to have new ones made", certificate.display(), key.display())
    })
}

fn read_public(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("{}: cannot be read", path.display())),
    }
}

fn parameters(names: &Names) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    for host in &names.hosts {
        params.subject_alt_names.push(SanType::DnsName(host.as_str().try_into()?));
    }
    params.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
    // Boards without a clock of their own boot in 1970 and may serve a viewer before they learn the time.
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    let name = names.hosts.first().map_or("p2pcam", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn identity(chain_pem: &str, key_pem: &str) -> anyhow::Result<Identity> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .context("the certificate is not PEM")?;
    ensure!(!chain.is_empty(), "no certificate in the file");
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).context("the private key is not PEM")?;
    let fingerprint = fingerprint(&chain[0]);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and private key do not fit together")?;
    // WebSockets over HTTP/2 are another protocol (RFC 8441); the page has ten small files.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { acceptor: Arc::new(config).into(), fingerprint })
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let sha256 = suite.tls13().expect("is a TLS 1.3 suite").common.hash_provider;
    let digest = sha256.hash(certificate);
    digest.as_ref().iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names() -> Names {
        Names { hosts: vec!["cam".into(), "localhost".into()], addresses: vec![[127, 0, 0, 1].into()] }
    }

    #[test]
    fn a_certificate_is_made_once_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let config = HubConfig::default();
        let first = load_or_create(&config, dir.path(), &names()).unwrap().fingerprint;
        let other = Names { hosts: vec!["renamed".into()], ..names() };
        assert_eq!(load_or_create(&config, dir.path(), &other).unwrap().fingerprint, first);
        assert_eq!(first.len(), 32 * 3 - 1);
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_power_cut_between_key_and_certificate_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        load_or_create(&HubConfig::default(), dir.path(), &names()).unwrap();
        fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
        assert!(load_or_create(&HubConfig::default(), dir.path(), &names()).is_ok());
    }

    #[test]
    fn a_lost_or_broken_key_is_never_replaced_silently() {
        let dir = tempfile::tempdir().unwrap();
        load_or_create(&HubConfig::default(), dir.path(), &names()).unwrap();
        let key = dir.path().join(KEY_FILE);
        fs::remove_file(&key).unwrap();
        let error = load_or_create(&HubConfig::default(), dir.path(), &names()).err().unwrap().to_string();
        assert!(error.contains("bring the key back"), "{error}");
        private_file::create(&key, "rubbish").unwrap();
        assert!(load_or_create(&HubConfig::default(), dir.path(), &names()).is_err());
        assert_eq!(fs::read_to_string(&key).unwrap(), "rubbish");
    }

    #[test]
    fn a_given_certificate_with_a_key_of_another_is_refused() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        load_or_create(&HubConfig::default(), a.path(), &names()).unwrap();
        load_or_create(&HubConfig::default(), b.path(), &names()).unwrap();
        let given = |key: &Path| HubConfig {
            certificate: Some(a.path().join(CERTIFICATE_FILE)),
            private_key: Some(key.join(KEY_FILE)),
            ..HubConfig::default()
        };
        assert!(load_or_create(&given(a.path()), b.path(), &names()).is_ok());
        let error = format!("{:#}", load_or_create(&given(b.path()), b.path(), &names()).err().unwrap());
        assert!(error.contains("do not fit together"), "{error}");
    }
}
