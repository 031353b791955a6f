//! `run`: serves the camera to viewers.

use p2pcam_agent::config::Config;

/// Serves until SIGTERM or SIGINT.
pub async fn run(_config: Config, _show_link: bool) -> anyhow::Result<()> {
    anyhow::bail!("`run` is not wired yet")
}
