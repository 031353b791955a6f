//! The hub and page inside the agent: `signaling.link = "embedded"`.

use anyhow::Context;
use p2pcam_agent::{
    config::Config,
    hub::{self, DeviceId, Hub},
    signaling::link::Link,
};
use tokio::task::JoinHandle;

use super::{announce, server::Server};

/// Binds and serves the page, and tells where it is. The link to its viewers, and the task that serves them.
pub fn start(
    config: &Config,
    server: &Server,
    show_link: bool,
    what: &str,
) -> anyhow::Result<(Link, JoinHandle<anyhow::Result<()>>)> {
    let id = config.device.resolved_id();
    let (secrets, created) = hub::secrets::load_or_create(&config.device.resolved_state_dir())?;
    let hub = Hub::new(&config.hub, secrets, &server.metrics)?;
    let device = DeviceId::new(id.clone()).with_context(|| format!("device id {id:?} is not one"))?;
    let link = hub.attach_local(device);
    let bound = hub.bind()?;
    announce::viewer_links(&hub.links(), bound.fingerprint(), created || show_link, what);
    Ok((link, tokio::spawn(bound.serve(server.stop.clone()))))
}
