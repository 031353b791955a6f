//! The STUN and TURN servers of one session: URLs as people write them, checked and completed.

use std::fmt;

use thiserror::Error;

use crate::config::IceConfig;

/// Servers asked for one session. Each costs packets at every connect; browsers warn from five on.
pub const MAX_SERVERS: usize = 8;

/// Default port of `stun:` and `turn:` (RFC 8489 section 18.6, RFC 8656 section 6).
const PLAIN_PORT: u16 = 3478;
/// Default port of `stuns:` and `turns:`.
const TLS_PORT: u16 = 5349;
/// A DNS name has at most 253 characters (RFC 1035 section 2.3.4); the longest IPv6 literal is shorter.
const MAX_HOST: usize = 253;
/// So much of a refused URL is repeated in its error.
const MAX_QUOTE: usize = 80;

/// What a server does and whether TLS is spoken with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// STUN.
    Stun,
    /// STUN over TLS.
    Stuns,
    /// TURN.
    Turn,
    /// TURN over TLS.
    Turns,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Stuns | Self::Turns)
    }

    fn is_turn(self) -> bool {
        matches!(self, Self::Turn | Self::Turns)
    }
}

/// What carries the messages between the agent and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection, with TLS on it for `stuns` and `turns`.
    Tcp,
}

/// One server: `stun:HOST[:PORT]` (RFC 7064) or `turn:HOST[:PORT][?transport=udp|tcp]` (RFC 7065).
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// What it does.
    pub scheme: Scheme,
    /// Name, or IP address without brackets.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// How it is reached.
    pub transport: ServerTransport,
    /// TURN user name.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}

/// Why a URL is not that of a server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("ICE server \"{url}\" is not used: {problem}")]
pub struct ServerUrlError {
    /// The URL, shortened.
    pub url: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl ServerUrl {
    /// Reads a URL after RFC 7064 and RFC 7065. No credentials are in it: they come beside it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the URL and how it should be written.
    pub fn parse(url: &str) -> Result<Self, ServerUrlError> {
        let refuse = |problem: String| ServerUrlError { url: url.chars().take(MAX_QUOTE).collect(), problem };
        let text = url.trim();
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| refuse("it has no scheme; write stun:HOST:PORT or turn:HOST:PORT".into()))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "stun" => Scheme::Stun,
            "stuns" => Scheme::Stuns,
            "turn" => Scheme::Turn,
            "turns" => Scheme::Turns,
            _ => return Err(refuse("its scheme is none of stun, stuns, turn, turns".into())),
        };
        if rest.starts_with("//") {
            return Err(refuse(format!("write {}:HOST:PORT, without //", scheme.as_str())));
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let (host, port) = split_authority(authority).map_err(refuse)?;
        let port = match port {
            None if scheme.is_tls() => TLS_PORT,
            None => PLAIN_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or_else(|| refuse("its port is not a number from 1 to 65535".into()))?,
        };
        let transport = match query.map(str::to_ascii_lowercase).as_deref() {
            None if scheme.is_tls() => ServerTransport::Tcp,
            None => ServerTransport::Udp,
            Some(_) if !scheme.is_turn() => {
                return Err(refuse("only turn: and turns: take ?transport=".into()));
            }
            Some("transport=udp") => ServerTransport::Udp,
            Some("transport=tcp") => ServerTransport::Tcp,
            Some(_) => return Err(refuse("after ? only transport=udp or transport=tcp may stand".into())),
        };
        Ok(Self { scheme, host: host.to_owned(), port, transport, username: None, credential: None })
    }

    /// Whether a STUN binding request over UDP is worth sending to it: TURN servers answer those too.
    pub fn answers_stun(&self) -> bool {
        !self.scheme.is_tls() && self.transport == ServerTransport::Udp
    }

    /// Whether it relays, and can be reached by the means that the agent has.
    pub fn relays(&self) -> bool {
        self.scheme.is_turn() && !self.is_dtls()
    }

    /// Whether TLS is spoken with it.
    pub fn is_tls(&self) -> bool {
        self.scheme.is_tls()
    }

    /// Whether it is TURN over DTLS (RFC 7350).
    fn is_dtls(&self) -> bool {
        self.scheme == Scheme::Turns && self.transport == ServerTransport::Udp
    }
}

/// Splits `HOST[:PORT]` or `[IPV6][:PORT]`.
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), String> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("its IPv6 address lacks the closing ]")?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| "between [ and ] stands something else than an IPv6 address")?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':').ok_or("after ] only :PORT may stand")?)),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address is written in brackets, as in stun:[2001:db8::1]:3478".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    if host.len() > MAX_HOST {
        return Err(format!("its host is longer than {MAX_HOST} characters"));
    }
    let in_brackets = authority.starts_with('[');
    if !in_brackets && !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        return Err("its host has characters that no host name has".into());
    }
    Ok((host, port))
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port)?,
            false => write!(f, "{}:{}", self.host, self.port)?,
        }
        match (self.scheme.is_turn(), self.transport) {
            (true, ServerTransport::Udp) => f.write_str("?transport=udp"),
            (true, ServerTransport::Tcp) => f.write_str("?transport=tcp"),
            (false, _) => Ok(()),
        }
    }
}

impl fmt::Debug for ServerUrl {
    // Credentials stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// The servers of one session, at most [`MAX_SERVERS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(Vec<ServerUrl>);

impl Servers {
    /// No servers: only the device's own addresses are offered.
    pub fn new() -> Self {
        Self::default()
    }

    /// The servers of the configuration, and the problems with it in words.
    pub fn from_config(config: &IceConfig) -> (Self, Vec<String>) {
        let mut servers = Self::new();
        let mut problems = Vec::new();
        for server in &config.servers {
            let credential = server.credential.as_deref();
            problems.extend(servers.add(&server.urls, server.username.as_deref(), credential));
        }
        (servers, problems)
    }

    /// Adds a STUN server by host (name, IPv4 or IPv6 address) and port. Returns problems in words.
    pub fn add_stun(&mut self, host: &str, port: u16) -> Vec<String> {
        let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
        let url = match bare.contains(':') {
            true => format!("stun:[{bare}]:{port}"),
            false => format!("stun:{bare}:{port}"),
        };
        self.add(&[url], None, None)
    }

    /// Adds one W3C RTCIceServer. Returns a sentence for each URL that cannot be used; the others are added.
    pub fn add(&mut self, urls: &[String], username: Option<&str>, credential: Option<&str>) -> Vec<String> {
        urls.iter().filter_map(|url| self.add_one(url, username, credential).err()).collect()
    }

    fn add_one(&mut self, url: &str, username: Option<&str>, credential: Option<&str>) -> Result<(), String> {
        let mut server = ServerUrl::parse(url).map_err(|e| e.to_string())?;
        let name = server.to_string();
        let refuse = |problem: &str| Err(format!("ICE server \"{name}\" is not used: {problem}"));
        if server.scheme == Scheme::Stuns {
            return refuse("STUN over TLS says nothing about a UDP port; give its stun: URL instead");
        }
        if server.is_dtls() {
            return refuse("TURN over DTLS is not supported; use ?transport=tcp with turns:");
        }
        if server.scheme.is_turn() {
            match (username, credential) {
                (Some(name), Some(secret)) if !name.is_empty() => {
                    server.username = Some(name.to_owned());
                    server.credential = Some(secret.to_owned());
                }
                _ => return refuse("a TURN server needs username and credential beside its URL"),
            }
        }
        if self.0.contains(&server) {
            return Ok(());
        }
        if self.0.len() >= MAX_SERVERS {
            return refuse(&format!("a session asks at most {MAX_SERVERS} servers; remove some"));
        }
        self.0.push(server);
        Ok(())
    }

    /// The servers in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &ServerUrl> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_completed_with_the_defaults_of_their_scheme() {
        for (url, complete) in [
            ("stun:stun.example", "stun:stun.example:3478"),
            ("STUN:192.0.2.1:19302", "stun:192.0.2.1:19302"),
            ("stun:[2001:db8::1]", "stun:[2001:db8::1]:3478"),
            ("turn:t.example", "turn:t.example:3478?transport=udp"),
            ("turn:t.example:80?transport=TCP", "turn:t.example:80?transport=tcp"),
            ("turns:t.example", "turns:t.example:5349?transport=tcp"),
            (" turns:[2001:db8::1]:443?transport=tcp\n", "turns:[2001:db8::1]:443?transport=tcp"),
        ] {
            assert_eq!(ServerUrl::parse(url).unwrap().to_string(), complete);
        }
    }

    #[test]
    fn a_refused_url_says_how_to_write_it() {
        for (url, advice) in [
            ("stun.example", "no scheme"),
            ("http:stun.example", "none of stun, stuns, turn, turns"),
            ("stun://stun.example", "without //"),
            ("stun:", "names no host"),
            ("stun::3478", "names no host"),
            ("stun:2001:db8::1", "brackets"),
            ("stun:[2001:db8::1", "closing ]"),
            ("stun:[stun.example]", "IPv6"),
            ("stun:host:0", "1 to 65535"),
            ("stun:host:70000", "1 to 65535"),
            ("stun:host?transport=udp", "only turn:"),
            ("turn:host?transport=sctp", "transport=udp or transport=tcp"),
            ("turn:user@host", "characters"),
        ] {
            let error = ServerUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(advice), "{url}: {error}");
        }
    }

    #[test]
    fn turn_without_credentials_is_refused_and_the_rest_is_used() {
        let mut servers = Servers::new();
        let urls = ["turn:t.example".to_owned(), "stun:t.example".to_owned()];
        let problems = servers.add(&urls, None, None);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("username and credential"), "{problems:?}");
        assert_eq!(servers.iter().count(), 1);
    }

    #[test]
    fn servers_are_bounded_and_named_once() {
        let mut servers = Servers::new();
        for n in 0..MAX_SERVERS {
            assert!(servers.add_stun(&format!("s{n}.example"), 3478).is_empty());
            assert!(servers.add_stun(&format!("s{n}.example"), 3478).is_empty());
        }
        assert_eq!(servers.iter().count(), MAX_SERVERS);
        assert!(servers.add_stun("one-too-many.example", 3478)[0].contains("at most"));
        assert!(Servers::new().add_stun("2001:db8::1", 3478).is_empty());
    }

    #[test]
    fn credentials_stay_out_of_debug_output() {
        let mut servers = Servers::new();
        assert!(servers.add(&["turn:t.example".into()], Some("alice"), Some("s3cret")).is_empty());
        assert!(!format!("{servers:?}").contains("s3cret"));
    }

    proptest! {
        #[test]
        fn whatever_is_parsed_reads_the_same_when_written(url in "\\PC{0,60}|(stun|turns?):[\\[\\]a-f0-9:.?=]{0,30}") {
            if let Ok(server) = ServerUrl::parse(&url) {
                prop_assert_eq!(ServerUrl::parse(&server.to_string()).unwrap(), server);
            }
        }
    }
}
