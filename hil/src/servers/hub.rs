//! The project's hub, as a program of its own in the lab's internet: `p2pcam-agent hub`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ADDRESS, HUB_PORT, ServerError, certificate::write_private, place, ready::ready};
use crate::{
    lab::namespace::Namespace,
    process::{Program, Spec},
};

/// What it is called in messages.
const NAME: &str = "the hub";
/// A debug build on a busy machine takes about a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// It says goodbye to devices within a second.
const GOODBYE: Duration = Duration::from_secs(3);
/// Answers of the hub to what is asked here are shorter, in bytes.
const MAX_ANSWER: usize = 4096;

/// How the hub is to run, and whether it does.
#[derive(Debug)]
pub(super) struct Hub {
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
    listens: SocketAddr,
    pub(super) device_token: String,
    pub(super) viewer_token: String,
    running: Option<Program>,
}

/// What the hub tells devices and viewers.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) stun: Vec<String>,
    pub(super) turn: Vec<String>,
    pub(super) secret: &'a str,
}

impl Hub {
    /// Writes its settings and starts it.
    pub(super) async fn start(
        namespace: &Namespace,
        program: &Path,
        told: Told<'_>,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        let state = folder.join("hub");
        let secret = folder.join("turn-secret");
        write_private(&secret, told.secret)?;
        // The wildcard of IPv6 is IPv4's too (ipv6(7), IPV6_V6ONLY), but there may be no IPv6 in the kernel.
        let any: IpAddr = if place::has_address(namespace, Ipv6Addr::UNSPECIFIED.into()) {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let listens = SocketAddr::new(any, HUB_PORT);
        let settings = folder.join("hub.toml");
        let text = text(&state, &secret, listens, &told)
            .map_err(std::io::Error::other)
            .map_err(ServerError::failed("the hub's settings"))?;
        fs::write(&settings, text).map_err(ServerError::file(&settings))?;
        let mut hub = Self {
            program: program.to_owned(),
            settings,
            log: folder.join("hub.log"),
            listens,
            device_token: String::new(),
            viewer_token: String::new(),
            running: None,
        };
        hub.revive(namespace).await?;
        let token = |name: &str| {
            let path = state.join(name);
            let read = fs::read_to_string(&path);
            read.map(|text| text.trim().to_owned()).map_err(ServerError::file(path))
        };
        hub.device_token = token(p2pcam_agent::hub::secrets::DEVICE_FILE)?;
        hub.viewer_token = token(p2pcam_agent::hub::secrets::VIEWER_FILE)?;
        Ok(hub)
    }

    /// Starts it again, with the same settings, state and tokens; returns when it answers.
    pub(super) async fn revive(&mut self, namespace: &Namespace) -> Result<(), ServerError> {
        place::free(namespace, NAME, self.listens, false).await?;
        let mut program = Program::start(Spec {
            what: NAME,
            program: &self.program,
            args: vec!["hub".into(), "--config".into(), self.settings.clone().into()],
            env: Vec::new(),
            namespace: Some(namespace),
            log: &self.log,
            pipe_stdout: false,
        })?;
        let address = SocketAddr::new(ADDRESS.into(), HUB_PORT);
        let answers = || async { ask(namespace, address).await.is_ok() };
        ready(&mut program, NAME, address, PATIENCE, answers).await?;
        self.running = Some(program);
        Ok(())
    }

    /// Kills it.
    pub(super) async fn kill(&mut self) {
        if let Some(mut program) = self.running.take() {
            program.kill().await;
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(&mut self) {
        if let Some(mut program) = self.running.take() {
            program.stop(GOODBYE).await;
        }
    }

    /// Its end, if it ended without having been told to.
    pub(super) fn fault(&mut self) -> Option<ServerError> {
        self.running.as_mut()?.ended_early().map(Into::into)
    }
}

/// Asks a hub from a namespace for what anybody may know (docs/hub.md, `GET /v1/info`).
pub(super) async fn ask(namespace: &Namespace, address: SocketAddr) -> std::io::Result<()> {
    let mut stream = place::tcp(namespace, address).await?;
    let request = format!("GET /v1/info HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER as u64).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.1 200") && answer.contains("httpsPort") {
        return Ok(());
    }
    let first = answer.lines().next().unwrap_or("nothing");
    Err(std::io::Error::other(format!("it is no hub: its answer is {first:?}")))
}

/// agent.toml of the hub.
fn text(
    state: &Path,
    secret: &Path,
    listens: SocketAddr,
    told: &Told<'_>,
) -> Result<String, toml::ser::Error> {
    let state = state.to_string_lossy();
    let mut hub = toml::toml! { https = "" };
    hub.insert("http".into(), listens.to_string().into());
    hub.insert("stun".into(), told.stun.clone().into());
    hub.insert("turn".into(), told.turn.clone().into());
    if !told.turn.is_empty() {
        hub.insert("turn_secret_file".into(), secret.to_string_lossy().into_owned().into());
    }
    let mut all = toml::toml! { telemetry = { listen = "" } };
    all.insert(
        "device".into(),
        toml::Table::from_iter([("state_dir".into(), state.into_owned().into())]).into(),
    );
    all.insert("hub".into(), hub.into());
    toml::to_string(&all)
}
