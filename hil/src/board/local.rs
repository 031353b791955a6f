//! The agent as a process of this machine, in the namespace of a lab's device.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf, absolute},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Board, BoardError, BoardOptions, Deployment,
    collect::{Collection, files_named},
    local_http,
    local_supervisor::{Start, Supervisor},
    settings::{Picture, Place, Settings, reached_hub},
};
use crate::{
    lab::{Lab, namespace::Namespace},
    process::Program,
    record::Artefact,
    scenario::plan::BoardKind,
};

/// An agent is connected within some 100 ms; on a machine that runs several labs it takes its time.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How often a starting agent is asked.
const GLANCE: Duration = Duration::from_millis(20);
/// Loopback answers at once, or the agent hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Its last words in an error.
const LAST_LINES: usize = 12;

/// See the module.
#[derive(Debug)]
pub struct LocalBoard {
    agent: PathBuf,
    folder: PathBuf,
    running: Option<Running>,
    /// As it answered last.
    metrics: String,
}

#[derive(Debug)]
struct Running {
    supervisor: Supervisor,
    endpoint: Endpoint,
}

/// Where the agent answers.
#[derive(Debug)]
struct Endpoint {
    namespace: Namespace,
    address: SocketAddr,
}

impl Endpoint {
    async fn metrics(&self) -> io::Result<String> {
        local_http::get(&self.namespace, self.address, "/metrics", ANSWER_WITHIN).await
    }
}

impl LocalBoard {
    /// Nothing runs yet.
    ///
    /// # Errors
    ///
    /// There is no such agent, or the folder cannot be made.
    pub fn new(options: &BoardOptions) -> Result<Self, BoardError> {
        let cannot = |error| {
            BoardError::Unavailable(format!("the board's folder {}: {error}", options.folder.display()))
        };
        // The agent runs in another folder than the rig.
        let agent = absolute(&options.agent).map_err(cannot)?;
        if !agent.is_file() {
            return Err(BoardError::Unavailable(format!(
                "there is no agent {}: build it with `cargo build -p p2pcam-agent`, or name another one",
                agent.display()
            )));
        }
        let folder = absolute(&options.folder).map_err(cannot)?;
        fs::create_dir_all(&folder).map_err(cannot)?;
        Ok(Self { agent, folder, running: None, metrics: String::new() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes agent.toml and the secrets beside it.
    fn settle(&self, deployment: &Deployment) -> Result<Settings, BoardError> {
        let text = |name: &str| self.path(name).to_string_lossy().into_owned();
        let (state, token, ca) = (text("state"), text("device-token"), text("turn-ca.pem"));
        let place = Place {
            state: Some(&state),
            token: &token,
            turn_ca: deployment.turn_ca.as_ref().map(|_| ca.as_str()),
            picture: Picture::LOCAL,
        };
        let settings = Settings::new(deployment, place)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .and_then(|()| private(&self.path("device-token"), &deployment.token))
            .and_then(|()| deployment.turn_ca.as_ref().map_or(Ok(()), |pem| fs::write(&ca, pem)))
            .and_then(|()| fs::write(self.path("agent.toml"), settings.file()))
            .map_err(|error| {
                BoardError::Unavailable(format!(
                    "the agent's settings cannot be written to {}: {error}",
                    self.folder.display()
                ))
            })?;
        Ok(settings)
    }

    fn running(&self) -> Result<&Running, BoardError> {
        self.running
            .as_ref()
            .ok_or_else(|| BoardError::Agent("the agent was not started, or is stopped".into()))
    }
}

#[async_trait::async_trait]
impl Board for LocalBoard {
    fn kind(&self) -> BoardKind {
        BoardKind::Local
    }

    async fn start(&mut self, lab: &Lab, deployment: &Deployment) -> Result<(), BoardError> {
        self.stop().await?;
        // What is kept is of this run.
        self.metrics.clear();
        let _ = fs::remove_file(self.path("agent.log"));
        let _ = fs::remove_dir_all(self.path("cores"));
        let settings = self.settle(deployment)?;
        let visit = || {
            lab.device().visit().map_err(|error| {
                BoardError::Unavailable(format!("the device's namespace cannot be entered: {error}"))
            })
        };
        let start = Start {
            agent: self.agent.clone(),
            config: self.path("agent.toml"),
            cores: self.path("cores"),
            log: self.path("agent.log"),
            namespace: visit()?,
        };
        let endpoint = Endpoint { namespace: visit()?, address: settings.telemetry };
        let mut program = start.start(0).map_err(|error| BoardError::Unavailable(error.to_string()))?;
        ready(&mut program, &endpoint).await?;
        self.running = Some(Running { supervisor: Supervisor::new(start, program), endpoint });
        Ok(())
    }

    async fn kill_agent(&mut self) -> Result<(), BoardError> {
        if self.running()?.supervisor.kill() {
            Ok(())
        } else {
            Err(BoardError::Agent("the agent cannot be killed: it is dead already".into()))
        }
    }

    async fn plug_camera(&mut self, _plugged: bool) -> Result<(), BoardError> {
        Err(BoardError::Unable {
            board: "local",
            what: "unplug a camera: a process has none, take the qemu board",
        })
    }

    async fn step_clock(&mut self, _seconds: i64) -> Result<(), BoardError> {
        Err(BoardError::Unable {
            board: "local",
            what: "move its clock, which is this machine's: take the qemu board",
        })
    }

    async fn metrics(&mut self) -> Result<String, BoardError> {
        let metrics = self.running()?.endpoint.metrics().await;
        self.metrics = metrics
            .map_err(|error| BoardError::Agent(format!("the agent does not tell its metrics: {error}")))?;
        Ok(self.metrics.clone())
    }

    async fn stop(&mut self) -> Result<(), BoardError> {
        if self.running.is_some() {
            // An agent that is dead has none, and the older ones are kept.
            let _ = self.metrics().await;
        }
        if let Some(running) = self.running.take() {
            running.supervisor.stop().await;
        }
        Ok(())
    }

    async fn collect(&mut self, folder: &Path) -> Vec<Artefact> {
        if self.running.is_some() {
            let _ = self.metrics().await;
        }
        let mut collection = Collection::new(folder);
        collection.copy("the agent's log", "agent.log", &self.path("agent.log"));
        collection.copy("the agent's settings", "agent.toml", &self.path("agent.toml"));
        collection.text("the agent's metrics", "metrics.txt", &self.metrics);
        let cores =
            files_named(&self.path("cores"), "").into_iter().flat_map(|start| files_named(&start, "core"));
        for (index, core) in cores.enumerate() {
            collection.copy("a core dump of the agent", &format!("core.{index}"), &core);
        }
        collection.finish()
    }
}

/// Waits until the agent says that it reached the hub.
async fn ready(program: &mut Program, endpoint: &Endpoint) -> Result<(), BoardError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(ended) = program.ended_early() {
            return Err(BoardError::Agent(ended.to_string()));
        }
        if endpoint.metrics().await.is_ok_and(|metrics| reached_hub(&metrics)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(BoardError::Agent(format!(
                "the agent did not reach the hub within {READY_WITHIN:?}. Last in its log:\n{}",
                program.log_tail(LAST_LINES)
            )));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Writes a file that nobody else may read.
fn private(path: &Path, content: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content.as_bytes())
}
