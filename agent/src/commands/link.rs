//! `link`: prints the viewer's address and its QR code again.

use std::process::ExitCode;

use anyhow::bail;
use p2pcam_agent::config::Config;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Prints every address that leads to the page, the best one first, and the QR code of that one.
pub fn link(config: &Config) -> anyhow::Result<ExitCode> {
    if config.signaling.link != "embedded" {
        bail!(
            "viewers of this device come through {}: the hub there prints their address \
             (`p2pcam-agent link` on that machine)",
            config.signaling.link
        );
    }
    let urls = collect(config)?;
    let Some(best) = urls.first() else {
        bail!("neither hub.http nor hub.https is set, so there is no page: set one of them in agent.toml")
    };
    print!("{}", qr(best));
    for url in &urls {
        println!("{url}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The viewer's addresses, the best one first.
fn collect(_config: &Config) -> anyhow::Result<Vec<String>> {
    bail!("`link` is not wired yet")
}

/// Light on dark, as terminals are; empty if the text is too long for a code.
fn qr(text: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return String::new() };
    let image = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    image + "\n"
}
