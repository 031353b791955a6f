//! Tells the person at the terminal where to look.

use p2pcam_agent::hub::{LinkKind, ViewerLink, qr};

/// Prints the page's addresses: with secret and QR code where `secret` may be shown, else without.
///
/// Goes to standard output, which carries nothing else with an embedded hub; logs go to standard error.
pub fn viewer_links(links: &[ViewerLink], fingerprint: Option<&str>, secret: bool, what: &str) {
    if !what.is_empty() {
        println!("{what}\n");
    }
    let Some(best) = links.first() else { return };
    if secret {
        println!("{}", qr(&best.url));
        println!("Open one of these; whoever has the address can watch:\n");
    } else {
        println!("Open one of these (`p2pcam-agent link` shows them with the viewer secret):\n");
    }
    for link in links {
        let url = if secret { link.url.as_str() } else { link.url.split('#').next().unwrap_or_default() };
        println!("  {url}\n      {}", advice(link.kind));
    }
    if let Some(fingerprint) = fingerprint {
        println!(
            "\nThe camera made its certificate itself, so the browser asks once. SHA-256:\n  {fingerprint}"
        );
    }
    println!();
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
