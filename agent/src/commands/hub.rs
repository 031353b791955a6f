//! `hub`: the meeting point of devices and viewers, without a camera.

use p2pcam_agent::{
    config::Config,
    hub::{self, Hub},
};

use super::{announce, server::Server};

/// Serves until SIGTERM or SIGINT.
pub async fn hub(config: Config, show_link: bool) -> anyhow::Result<()> {
    let server = Server::start(&config).await?;
    let state = config.device.resolved_state_dir();
    let (secrets, created) = hub::secrets::load_or_create(&state)?;
    let hub = Hub::new(&config.hub, secrets, &server.metrics)?;
    let bound = hub.bind()?;
    let what = format!(
        "hub for devices and viewers; device token: {}",
        state.join(hub::secrets::DEVICE_FILE).display()
    );
    announce::viewer_links(&hub.links(), bound.fingerprint(), created || show_link, &what);
    server.ready("hub for devices and viewers");
    bound.serve(server.stop.clone()).await?;
    server.end().await
}
