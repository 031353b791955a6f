//! `[signaling]`: where viewers' messages come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[signaling]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalingConfig {
    /// `embedded` (hub and page inside the agent), `stdio`, `unix:PATH` (the agent listens there), or the
    /// `ws://` or `wss://` URL of a hub.
    pub link: String,
    /// File with the device token for a remote hub; must not be readable by others.
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate to trust for a `wss://` hub that has one of its own.
    pub ca_file: Option<PathBuf>,
}

impl Default for SignalingConfig {
    fn default() -> Self {
        Self { link: "embedded".into(), token_file: None, ca_file: None }
    }
}

/// What `link` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Hub and page inside the agent.
    Embedded,
    /// JSON lines on standard input and output.
    Stdio,
    /// JSON lines on a socket at this path.
    Unix(PathBuf),
    /// A remote hub at this URL.
    WebSocket(String),
}

impl SignalingConfig {
    /// Reads `link`. The error names the value and what may stand there.
    pub fn kind(&self) -> Result<LinkKind, String> {
        let link = self.link.trim();
        let wrong = |advice: &str| Err(format!("[signaling] link = {link:?}: {advice}"));
        if let Some(path) = link.strip_prefix("unix:") {
            return if path.is_empty() {
                wrong("write the path behind it: unix:/run/p2pcam/signaling.sock")
            } else {
                Ok(LinkKind::Unix(path.into()))
            };
        }
        match link.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
            Some("ws" | "wss") => return Ok(LinkKind::WebSocket(link.to_owned())),
            Some("http" | "https") => return wrong("a hub's URL begins with ws:// or wss://"),
            _ => {}
        }
        match link.to_ascii_lowercase().as_str() {
            "embedded" => Ok(LinkKind::Embedded),
            "stdio" => Ok(LinkKind::Stdio),
            other => match ["embedded", "stdio"].iter().find(|known| strsim::osa_distance(known, other) <= 2)
            {
                Some(known) => wrong(&format!("did you mean {known:?}?")),
                None => wrong("is one of embedded, stdio, unix:PATH, ws://HOST or wss://HOST"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(link: &str) -> Result<LinkKind, String> {
        SignalingConfig { link: link.into(), ..SignalingConfig::default() }.kind()
    }

    #[test]
    fn each_kind_of_link_is_known() {
        assert_eq!(SignalingConfig::default().kind(), Ok(LinkKind::Embedded));
        assert_eq!(kind("stdio"), Ok(LinkKind::Stdio));
        assert_eq!(kind("unix:/run/s"), Ok(LinkKind::Unix("/run/s".into())));
        assert_eq!(kind("wss://hub.example"), Ok(LinkKind::WebSocket("wss://hub.example".into())));
    }

    #[test]
    fn a_wrong_link_is_refused_with_the_right_one() {
        for (link, advice) in [
            ("studio", "\"stdio\""),
            ("https://hub.example", "wss://"),
            ("unix:", "unix:/run"),
            ("mqtt://broker", "is one of"),
        ] {
            assert!(kind(link).is_err_and(|e| e.contains(advice) && e.contains(link)), "{link}");
        }
    }
}
