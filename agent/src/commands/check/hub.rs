//! Whether the remote hub can be reached: name, TCP, TLS. The token is not tried: that would be a device too many.

use std::path::PathBuf;

use axum::http::Uri;
use tokio::time::timeout;

use super::{
    DEADLINE, channel,
    finding::{Finding, Trouble},
};

/// Connects to the host of a `ws://` or `wss://` URL.
pub async fn reach(link: &str, ca: Option<PathBuf>) -> Finding {
    let what = format!("hub {link}");
    match timeout(DEADLINE, connect(link, ca)).await {
        Ok(Ok(detail)) => Finding::ok(what, detail),
        Ok(Err(trouble)) => trouble.finding(what),
        Err(_) => Finding::fail(
            what,
            format!("no connection within {} s", DEADLINE.as_secs()),
            "check address and port; a firewall on the way may block it",
        ),
    }
}

async fn connect(link: &str, ca: Option<PathBuf>) -> Result<&'static str, Trouble> {
    let wrong = || Trouble::new("not a URL", "give signaling.link as in wss://hub.example.net");
    let uri: Uri = link.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
    if uri.scheme_str() == Some("wss") {
        channel::secure(host, uri.port_u16().unwrap_or(443), ca.as_deref()).await?;
        Ok("reached, and its certificate is trusted")
    } else {
        channel::tcp(host, uri.port_u16().unwrap_or(80)).await?;
        Ok(
            "reached; without TLS the token and all messages can be read on the way: use wss:// beyond this machine",
        )
    }
}
