//! Tells the person at the terminal where to look.

use std::io::Write;

use p2pcam_agent::hub::{LinkKind, ViewerLink, qr};

/// Prints the page's addresses: with secret and QR code where `secret` may be shown, else without.
///
/// Goes to standard output, which carries nothing else with an embedded hub; logs go to standard error.
pub fn viewer_links(links: &[ViewerLink], fingerprint: Option<&str>, secret: bool, what: &str) {
    let text = words(links, fingerprint, secret, what);
    // A terminal that is gone is no reason not to serve.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn words(links: &[ViewerLink], fingerprint: Option<&str>, secret: bool, what: &str) -> String {
    let mut text = String::new();
    if !what.is_empty() {
        text += &format!("{what}\n\n");
    }
    let Some(best) = links.first() else { return text };
    if secret {
        text += &format!("{}\n", qr(&best.url));
        text += "Open one of these; whoever has the address can watch:\n\n";
    } else {
        text += "Open one of these (`p2pcam-agent link` shows them with the viewer secret):\n\n";
    }
    for link in links {
        let url = if secret { link.url.as_str() } else { link.url.split('#').next().unwrap_or_default() };
        text += &format!("  {url}\n      {}\n", advice(link.kind));
    }
    if let Some(fingerprint) = fingerprint {
        text += "\nThe camera made its certificate itself, so the browser asks once. SHA-256:\n";
        text += &format!("  {fingerprint}\n");
    }
    text + "\n"
}

fn advice(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Network => "from any device in this network",
        LinkKind::NetworkPlain => {
            "from this network, not encrypted: no microphone, and others can read the secret"
        }
        LinkKind::ThisMachinePlain | LinkKind::ThisMachine => "on this machine",
    }
}
