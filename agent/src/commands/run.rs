//! `run`: serves the camera to viewers.

use std::future::pending;

use anyhow::Context;
use p2pcam_agent::{
    board::{Board, Gpio, Hotplug},
    config::{Config, LinkKind, SignalingConfig},
    media::{
        audio::{AudioPipeline, TalkBack},
        video::VideoPipeline,
    },
    session::{Media, Sessions},
    signaling::link::{self, Link, websocket::WebSocketOptions},
    transport::Transport,
};
use tokio::task::JoinHandle;
use tracing::info;

use super::{embedded, server::Server};

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config, show_link: bool) -> anyhow::Result<()> {
    let server = Server::start(&config).await?;
    let health = server.health.clone();
    let board = Board { hotplug: Hotplug::start(), health, ..Board::default() };
    // Before anything captures: the privacy switch is read here.
    let gpio = Gpio::start(&config.gpio, &board, &server.metrics)?;
    let media = Media {
        video: VideoPipeline::start(&config.video, &board, &server.metrics)?,
        audio: AudioPipeline::start(&config.audio, &board, &server.metrics)?,
        talkback: TalkBack::start(&config.audio, &board, &server.metrics)?,
        board,
    };
    let what = format!(
        "picture: {}; sound: {}; talk-back: {}",
        media.video.source_words(),
        media.audio.source_words(),
        media.talkback.sink_words()
    );
    info!("{what}");
    let transport = Transport::bind(&config.ice, &server.metrics).await?;
    let sessions = Sessions::new(&config.session, &config.ice, transport, media, &server.metrics)?;
    let (link, carrier) = open_link(&config, &server, show_link, &what).await?;
    server.ready(&what);
    let stop = server.stop.clone();
    let shown = async {
        match &gpio {
            Some(gpio) => gpio.follow().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = sessions.serve(link, stop.clone()) => {}
        () = shown => {}
    }
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
    let kind = config.signaling.kind().map_err(anyhow::Error::msg)?;
    let metrics = || server.metrics.register(link::LinkMetrics::register);
    match kind {
        LinkKind::Embedded => {
            let (link, serving) = embedded::start(config, server, show_link, what)?;
            Ok((link, Some(serving)))
        }
        LinkKind::Stdio => Ok((link::stdio::start(metrics())?, None)),
        LinkKind::Unix(path) => Ok((link::unix::listen(&path, metrics()).await?, None)),
        LinkKind::WebSocket(url) => {
            let options = WebSocketOptions { url, device_id: id, ..remote_hub(&config.signaling)? };
            Ok((link::websocket::connect(&options, metrics())?, None))
        }
    }
}

/// The device's credentials for a remote hub.
fn remote_hub(config: &SignalingConfig) -> anyhow::Result<WebSocketOptions> {
    let file = config.token_file.as_deref().context(
        "signaling.token_file is not set: a remote hub wants its device token, the file device-token in its state folder",
    )?;
    Ok(WebSocketOptions {
        url: String::new(),
        device_id: String::new(),
        token: link::token::read(file)?,
        ca_file: config.ca_file.clone(),
    })
}
