//! The STUN and TURN servers of a `connect` (docs/protocol.md): which of them the viewer's stack can use.

use serde_json::Value;
use webrtc::peer_connection::RTCIceServer;

/// No hub names more: docs/protocol.md.
const MAX_SERVERS: usize = 32;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// What the stack is given.
    pub usable: Vec<RTCIceServer>,
    /// The rest, each with the reason.
    pub unusable: Vec<String>,
}

impl Servers {
    /// Reads the body of a `connect`, in both of its forms. What cannot be read is passed over.
    pub fn of(connect: &Value) -> Self {
        let mut servers = Self::default();
        if let (Some(ip), Some(port)) = (connect["stun"]["ip"].as_str(), connect["stun"]["port"].as_u64()) {
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            servers.add(vec![format!("stun:{host}:{port}")], String::new(), String::new());
        }
        for server in connect["iceServers"].as_array().into_iter().flatten().take(MAX_SERVERS) {
            let text = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
            let urls = match &server["urls"] {
                Value::Array(urls) => {
                    urls.iter().filter_map(Value::as_str).take(MAX_SERVERS).map(str::to_owned).collect()
                }
                url => url.as_str().map(str::to_owned).into_iter().collect(),
            };
            servers.add(urls, text("username"), text("credential"));
        }
        servers
    }

    fn add(&mut self, urls: Vec<String>, username: String, credential: String) {
        let mut usable = Vec::new();
        for url in urls {
            match why_not(&url) {
                None => usable.push(url),
                Some(why) => self.unusable.push(format!("{url} ({why})")),
            }
        }
        if !usable.is_empty() {
            self.usable.push(RTCIceServer { urls: usable, username, credential });
        }
    }
}

/// What keeps the stack, `webrtc` 0.21, from using a server.
fn why_not(url: &str) -> Option<&'static str> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "stun" => None,
        "turn" if rest.contains("transport=tcp") => Some("it speaks no TURN over TCP"),
        "turn" if rest.starts_with('[') => Some("it finds no TURN server by IPv6 address"),
        "turn" => None,
        "turns" => Some("it speaks no TURN over TLS"),
        "stuns" => Some("it speaks no STUN over TLS"),
        _ => Some("it is no STUN or TURN server"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_that_the_stack_would_pass_over_silently_are_named() {
        let servers = Servers::of(&json!({
            "stun": {"ip": "192.0.2.1", "port": 3478},
            "iceServers": [
                {"urls": ["turn:192.0.2.1:3478?transport=udp", "turn:192.0.2.1:3478?transport=tcp",
                          "turns:192.0.2.1:443?transport=tcp"], "username": "u", "credential": "c"},
                {"urls": "turns:192.0.2.1:443"},
            ],
        }));
        let usable: Vec<_> = servers.usable.iter().flat_map(|s| s.urls.clone()).collect();
        assert_eq!(usable, ["stun:192.0.2.1:3478", "turn:192.0.2.1:3478?transport=udp"]);
        assert_eq!((servers.usable[1].username.as_str(), servers.usable[1].credential.as_str()), ("u", "c"));
        assert_eq!(servers.unusable.len(), 3, "{:?}", servers.unusable);
    }

    #[test]
    fn an_ipv6_address_gets_its_brackets() {
        let servers = Servers::of(&json!({"stun": {"ip": "2001:db8::1", "port": 3478}}));
        assert_eq!(servers.usable[0].urls, ["stun:[2001:db8::1]:3478"]);
    }

    #[test]
    fn what_is_no_server_is_passed_over() {
        for connect in
            [json!({}), json!(null), json!({"stun": 3, "iceServers": [7, {"urls": [null, 1]}, {}]})]
        {
            assert!(Servers::of(&connect).usable.is_empty(), "{connect}");
        }
    }
}
