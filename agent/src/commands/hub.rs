//! `hub`: the meeting point of devices and viewers, without a camera.

use p2pcam_agent::config::Config;

/// Serves until SIGTERM or SIGINT.
pub async fn hub(_config: Config, _show_link: bool) -> anyhow::Result<()> {
    anyhow::bail!("`hub` is not wired yet")
}
