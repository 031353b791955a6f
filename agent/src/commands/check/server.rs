//! The STUN and TURN servers of a configuration.

use std::{fmt, fs, path::PathBuf, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use p2pcam_agent::config::Config;
use sha1::Sha1;

use super::finding::Finding;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// A server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    pub transport: Transport,
    /// User and password of a TURN server.
    pub credentials: Option<(String, String)>,
    /// Trusted besides the system's authorities.
    pub ca: Option<PathBuf>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.credentials.is_some() { "TURN" } else { "STUN" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let transport = match self.transport {
            Transport::Udp => "",
            Transport::Tcp => " over TCP",
            Transport::Tls => " over TLS",
        };
        write!(f, "{kind} {host}:{}{transport}", self.port)
    }
}

/// All servers, each once. TURN credentials of the hub's secret count from `now`.
pub fn all(config: &Config, now: SystemTime) -> Result<Vec<Server>, Finding> {
    let mut servers = Vec::new();
    let mut add = |url: &str, credentials: Option<(String, String)>| {
        let turn = url.starts_with("turn");
        let server = parse(url).map(|server| Server {
            credentials: credentials.filter(|_| turn),
            ca: config.ice.ca_file.clone(),
            ..server
        });
        servers.extend(server.filter(|server| !servers.contains(server)));
    };
    for url in &config.hub.stun {
        add(url, None);
    }
    if let (Some(path), false) = (&config.hub.turn_secret_file, config.hub.turn.is_empty()) {
        // That the file cannot be read is a finding of its own (state::files).
        let secret = fs::read_to_string(path).unwrap_or_default();
        if secret.trim().is_empty() {
            let advice = "write the TURN server's static-auth-secret into it";
            let detail = format!("{} holds no secret", path.display());
            return Err(Finding::fail("hub.turn_secret_file", detail, advice));
        }
        for url in &config.hub.turn {
            add(url, Some(time_limited(secret.trim(), config.hub.turn_ttl_s, now)));
        }
    }
    for server in &config.ice.servers {
        for url in &server.urls {
            add(url, server.username.clone().zip(server.credential.clone()));
        }
    }
    Ok(servers)
}

/// coturn's `use-auth-secret`: the user is the time of expiry, the password its HMAC-SHA1 in base64.
fn time_limited(secret: &str, ttl_s: u64, now: SystemTime) -> (String, String) {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let user = format!("{}:check", now.saturating_add(ttl_s));
    // HMAC takes keys of any length.
    let password = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(user.as_bytes());
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    });
    (user, password.unwrap_or_default())
}

/// RFC 7064 and RFC 7065 with their default ports; `None` for what the configuration refuses anyway.
pub fn parse(url: &str) -> Option<Server> {
    let (scheme, rest) = url.split_once(':')?;
    let (authority, query) = rest.split_once('?').map_or((rest, ""), |(authority, query)| (authority, query));
    let secure = match scheme {
        "stun" | "turn" => false,
        "stuns" | "turns" => true,
        _ => return None,
    };
    let transport = match (secure, query) {
        (true, _) => Transport::Tls,
        (false, "transport=tcp") => Transport::Tcp,
        (false, _) => Transport::Udp,
    };
    let default_port = if secure { 5349 } else { 3478 };
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (host, port.strip_prefix(':'))
    } else {
        match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| Server { host: host.into(), port, transport, credentials: None, ca: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use p2pcam_agent::config::IceServerConfig;

    use super::*;

    fn shown(url: &str) -> String {
        parse(url).unwrap().to_string()
    }

    #[test]
    fn urls_have_their_scheme_s_default_port_and_transport() {
        assert_eq!(shown("stun:stun.example.net"), "STUN stun.example.net:3478");
        assert_eq!(shown("stun:[2001:db8::1]:19302"), "STUN [2001:db8::1]:19302");
        assert_eq!(shown("stuns:a.example"), "STUN a.example:5349 over TLS");
        assert_eq!(shown("turn:a.example:80?transport=tcp"), "STUN a.example:80 over TCP");
        for bad in ["", "stun", "stun:", "http:a", "stun:a:x", "stun:[::1"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_hub_s_turn_secret_becomes_credentials_and_doubles_are_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        let mut config = Config::default();
        config.hub.stun = vec!["stun:a".into(), "stun:a:3478".into()];
        config.hub.turn = vec!["turn:t".into()];
        config.hub.turn_secret_file = Some(secret.clone());
        config.ice.servers = vec![IceServerConfig { urls: vec!["stun:a".into()], ..Default::default() }];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        fs::write(&secret, "\n").unwrap();
        assert!(all(&config, now).err().unwrap().detail.contains("holds no secret"));
        fs::write(&secret, "north\n").unwrap();
        let servers = all(&config, now).ok().unwrap();
        let names: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["STUN a:3478", "TURN t:3478"]);
        // printf '4600:check' | openssl dgst -sha1 -hmac north -binary | base64
        let expected = ("4600:check".to_owned(), "OLqpkhzgtb0tOjPdvzK1n59D/yc=".to_owned());
        assert_eq!(servers[1].credentials, Some(expected));
    }
}
