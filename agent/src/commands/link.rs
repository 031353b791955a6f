//! `link`: prints the viewer's address and its QR code again.

use std::process::ExitCode;

use anyhow::{Context, bail};
use p2pcam_agent::{
    config::{Config, LinkKind},
    hub::{self, DeviceId},
};

use super::announce;

/// Prints every address that leads to the page, the best one first, and the QR code of that one.
pub fn link(config: &Config) -> anyhow::Result<ExitCode> {
    if config.signaling.kind().map_err(anyhow::Error::msg)? != LinkKind::Embedded {
        bail!(
            "viewers of this device come through {}: the hub there prints their address \
             (`p2pcam-agent link` on that machine)",
            config.signaling.link
        );
    }
    let state = config.device.resolved_state_dir();
    let viewer = state.join(hub::secrets::VIEWER_FILE);
    if !viewer.exists() {
        bail!(
            "{} does not exist yet: `p2pcam-agent run` makes the secrets when it starts first",
            viewer.display()
        );
    }
    let (secrets, _) = hub::secrets::load_or_create(&state)?;
    let id = config.device.resolved_id();
    let device = DeviceId::new(id.clone()).with_context(|| format!("device id {id:?} is not one"))?;
    let links = hub::configured_links(&config.hub, Some(&device), &secrets)?;
    if links.is_empty() {
        bail!("neither hub.http nor hub.https is set, so there is no page: set one of them in agent.toml")
    }
    announce::viewer_links(&links, None, true, "");
    Ok(ExitCode::SUCCESS)
}
