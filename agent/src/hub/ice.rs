//! The STUN and TURN settings that viewers and devices get, with time-limited TURN credentials.
//!
//! Credentials follow coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00 section 2.2): the user
//! name is `<unix time of expiry>:<id>`, the password base64(HMAC-SHA1(shared secret, user name)).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::private_file;
use crate::{
    config::HubConfig,
    signaling::message::{Connect, IceServer, SessionId, StunAddress},
};

/// Port of STUN and TURN when the URL names none (RFC 7064, RFC 7065).
const DEFAULT_PORT: u16 = 3478;

/// What goes into every `connect`.
pub(super) struct IceSettings {
    stun: Option<StunAddress>,
    stun_urls: Vec<String>,
    turn_urls: Vec<String>,
    turn_secret: Option<String>,
    turn_ttl: Duration,
}

impl IceSettings {
    pub fn from_config(config: &HubConfig) -> anyhow::Result<Self> {
        for url in &config.stun {
            parse_host_port(url, &["stun:", "stuns:"])
                .with_context(|| format!("hub.stun: {url:?} is not stun:HOST or stun:HOST:PORT"))?;
        }
        for url in &config.turn {
            parse_host_port(url, &["turn:", "turns:"]).with_context(|| {
                format!("hub.turn: {url:?} is not turn:HOST:PORT?transport=udp or the like")
            })?;
        }
        let turn_secret = match &config.turn_secret_file {
            None => None,
            Some(path) => {
                let text = private_file::read(path)?.with_context(|| {
                    format!(
                        "hub.turn_secret_file: {} is not there; put coturn's static-auth-secret into it, mode 0600",
                        path.display()
                    )
                })?;
                let secret = text.trim();
                ensure!(!secret.is_empty(), "hub.turn_secret_file: {} is empty", path.display());
                Some(secret.to_owned())
            }
        };
        if turn_secret.is_none() && !config.turn.is_empty() {
            bail!(
                "hub.turn names servers, but hub.turn_secret_file is missing: without credentials none answers"
            );
        }
        ensure!(config.turn_ttl_s >= 60, "hub.turn_ttl_s = {}: less than 60 s", config.turn_ttl_s);
        let stun = config.stun.iter().find(|url| url.starts_with("stun:"));
        Ok(Self {
            stun: stun.map(|url| parse_host_port(url, &["stun:"])).transpose()?,
            stun_urls: config.stun.clone(),
            turn_urls: config.turn.clone(),
            turn_secret,
            turn_ttl: Duration::from_secs(config.turn_ttl_s),
        })
    }

    /// The settings for one side of `session`; credentials count from `now`, the wall clock of this machine,
    /// which must be right to some minutes for coturn to take them.
    pub fn connect(&self, session: &SessionId, now: SystemTime) -> Connect {
        let mut ice_servers = Vec::new();
        if !self.stun_urls.is_empty() {
            ice_servers.push(IceServer { urls: self.stun_urls.clone(), username: None, credential: None });
        }
        if let Some(secret) = self.turn_secret.as_ref().filter(|_| !self.turn_urls.is_empty()) {
            let (username, credential) = turn_credentials(secret, session.as_str(), now + self.turn_ttl);
            ice_servers.push(IceServer {
                urls: self.turn_urls.clone(),
                username: Some(username),
                credential: Some(credential),
            });
        }
        Connect { stun: self.stun.clone(), ice_servers }
    }

    /// How long a `connect` that waits for its viewer's click stays good. `None`: for ever.
    pub fn renew_after(&self) -> Option<Duration> {
        // Half of the life, so that a session which starts just before has the other half.
        self.turn_secret.as_ref().map(|_| self.turn_ttl / 2)
    }
}

/// User name and password that are good until `expiry`.
fn turn_credentials(secret: &str, id: &str, expiry: SystemTime) -> (String, String) {
    let expiry = expiry.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let username = format!("{expiry}:{id}");
    // An HMAC takes keys of any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(username.as_bytes());
    let credential = STANDARD.encode(mac.finalize().into_bytes());
    (username, credential)
}

/// Host and port of a STUN or TURN URL: `scheme:HOST[:PORT][?transport=...]`, HOST a name, IPv4 or `[IPv6]`.
fn parse_host_port(url: &str, schemes: &[&str]) -> anyhow::Result<StunAddress> {
    let rest = schemes
        .iter()
        .find_map(|s| url.strip_prefix(s))
        .with_context(|| format!("must start with {}", schemes.join(" or ")))?;
    let rest = rest.split('?').next().unwrap_or_default();
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']').context("a [ without ]")?,
        None => rest.split_once(':').map_or((rest, ""), |(host, _)| (host, &rest[host.len()..])),
    };
    ensure!(!host.is_empty(), "no host");
    ensure!(
        host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:%".contains(&b)),
        "a host with characters that names and addresses do not have"
    );
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|p| *p != 0).context("the port is not 1 to 65535")?,
        None if port.is_empty() => DEFAULT_PORT,
        None => bail!("text after ]"),
    };
    Ok(StunAddress { ip: host.to_owned(), port })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Reference: printf %s 1700000000:s1 | openssl dgst -sha1 -hmac north -binary | base64
    #[test]
    fn turn_credentials_are_those_that_coturn_computes() {
        let expiry = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let (username, credential) = turn_credentials("north", "s1", expiry);
        assert_eq!(username, "1700000000:s1");
        assert_eq!(credential, "QvP5NTCoHOiDw4o+Ut4C0xnk7uk=");
    }

    #[test]
    fn stun_urls_are_taken_apart() {
        for (url, ip, port) in [
            ("stun:stun.example", "stun.example", 3478),
            ("stun:203.0.113.1:19302", "203.0.113.1", 19302),
            ("stun:[2001:db8::1]:3479", "2001:db8::1", 3479),
            ("stun:[2001:db8::1]", "2001:db8::1", 3478),
        ] {
            let address = parse_host_port(url, &["stun:"]).unwrap();
            assert_eq!((address.ip.as_str(), address.port), (ip, port), "{url}");
        }
        for url in [
            "stun.example",
            "stun:",
            "stun::3478",
            "stun:a:0",
            "stun:a:x",
            "stun:[::1",
            "stun:[::1]x",
            "http://a",
        ] {
            assert!(parse_host_port(url, &["stun:"]).is_err(), "{url}");
        }
    }

    #[test]
    fn a_connect_has_both_forms_of_stun_and_credentials_that_expire() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("turn");
        private_file::create(&file, "north\n").unwrap();
        let config = HubConfig {
            stun: vec!["stun:203.0.113.10:3478".into()],
            turn: vec![
                "turn:203.0.113.10?transport=udp".into(),
                "turns:turn.example:443?transport=tcp".into(),
            ],
            turn_secret_file: Some(file),
            turn_ttl_s: 600,
            ..HubConfig::default()
        };
        let settings = IceSettings::from_config(&config).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let connect = settings.connect(&SessionId::new("s1").unwrap(), now);
        assert_eq!(connect.stun, Some(StunAddress { ip: "203.0.113.10".into(), port: 3478 }));
        assert_eq!(connect.ice_servers[0].urls, ["stun:203.0.113.10:3478"]);
        assert_eq!(connect.ice_servers[1].username.as_deref(), Some("1600:s1"));
        assert_eq!(settings.renew_after(), Some(Duration::from_secs(300)));
    }

    #[test]
    fn wrong_urls_and_turn_without_a_secret_are_refused_by_name() {
        let stun = HubConfig { stun: vec!["203.0.113.1".into()], ..HubConfig::default() };
        let turn = HubConfig { turn: vec!["turn:a".into()], ..HubConfig::default() };
        for (config, word) in [(stun, "hub.stun"), (turn, "hub.turn_secret_file")] {
            let error = format!("{:#}", IceSettings::from_config(&config).err().unwrap());
            assert!(error.contains(word), "{error}");
        }
    }
}
