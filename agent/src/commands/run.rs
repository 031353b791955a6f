//! `run`: serves the camera to viewers.

use std::{path::PathBuf, time::Instant};

use anyhow::Context;
use p2pcam_agent::{
    config::{Config, SignalingConfig},
    hub::{self, DeviceId, Hub},
    media::{
        audio::{AudioPipeline, TalkBack},
        video::VideoPipeline,
    },
    session::{Media, Sessions},
    signaling::link::{self, Link},
    telemetry::{self, health::Health, metrics::Metrics},
    transport::Transport,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{announce, server::Server};

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config, show_link: bool) -> anyhow::Result<()> {
    let server = Server::start(&config).await?;
    let media = Media {
        video: VideoPipeline::start(&config.video, &server.metrics)?,
        audio: AudioPipeline::start(&config.audio, &server.metrics)?,
        talkback: TalkBack::start(&config.audio, &server.metrics)?,
    };
    let what = format!(
        "picture: {}; sound: {}; talk-back: {}",
        media.video.source_words(),
        media.audio.source_words(),
        media.talkback.sink_words()
    );
    info!("{what}");
    let transport = Transport::bind(&config.ice, &server.metrics)?;
    let sessions = Sessions::new(&config.session, &config.ice, transport, media, &server.metrics)?;
    let (link, carrier) = open_link(&config, &server, show_link, &what).await?;
    server.ready(&what);
    let stop = server.stop.clone();
    sessions.serve(link, stop.clone()).await;
    // The link may be over for good (stdin closed): so is the agent.
    stop.cancel();
    if let Some(carrier) = carrier {
        carrier.await.context("the hub broke")??;
    }
    server.end().await
}

type CarrierTask = Option<JoinHandle<anyhow::Result<()>>>;

/// The link that agent.toml names, and the task behind it where that can fail.
async fn open_link(
    config: &Config,
    server: &Server,
    show_link: bool,
    what: &str,
) -> anyhow::Result<(Link, CarrierTask)> {
    let id = config.device.resolved_id();
    match config.signaling.link.as_str() {
        "embedded" => {
            let (secrets, created) = hub::secrets::load_or_create(&config.device.resolved_state_dir())?;
            let hub = Hub::new(&config.hub, secrets, &server.metrics)?;
            let device = DeviceId::new(id.clone()).with_context(|| format!("device id {id:?} is not one"))?;
            let link = hub.attach_local(device);
            let bound = hub.bind()?;
            announce::viewer_links(&hub.links(), bound.fingerprint(), created || show_link, what);
            let serving = tokio::spawn(bound.serve(server.stop.clone()));
            Ok((link, Some(serving)))
        }
        "stdio" => Ok((link::stdio::start(&server.metrics), None)),
        other => match other.strip_prefix("unix:") {
            Some(path) => Ok((link::unix::listen(&PathBuf::from(path), &server.metrics)?, None)),
            None => Ok((remote_hub(&config.signaling, id, &server.metrics)?, None)),
        },
    }
}

fn remote_hub(config: &SignalingConfig, id: String, metrics: &Metrics) -> anyhow::Result<Link> {
    let file = config.token_file.as_deref().context(
        "signaling.token_file is not set: a remote hub wants the device token from its state folder (device-token)",
    )?;
    let options = link::websocket::WebSocketOptions {
        url: config.link.clone(),
        device_id: id,
        token: link::token::read(file)?,
        ca_file: config.ca_file.clone(),
    };
    link::websocket::connect(options, metrics)
}
