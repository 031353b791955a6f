//! Where the agent runs: one trait for a process of this machine, the emulated board and a board of a labgrid place.

pub mod collect;
pub mod labgrid;
pub mod local;
mod local_http;
mod local_supervisor;
pub mod qemu;
mod qemu_script;
pub mod settings;

use std::path::{Path, PathBuf};

use crate::{
    lab::{Lab, build::DeviceHost},
    record::Artefact,
    scenario::plan::BoardKind,
};

/// What the agent needs to know, whichever board it runs on.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The hub's WebSocket address for devices, as `ws://192.0.2.1:8080/v1/device`.
    pub hub: String,
    /// The device's name there.
    pub device: String,
    /// The device's token.
    pub token: String,
    /// PEM certificate that `turns:` servers are to be trusted by.
    pub turn_ca: Option<String>,
    /// Keys of agent.toml, over those that the rig needs.
    pub config: toml::Table,
}

/// Why a board does not do what it should. Its words tell a person at the bench what to do.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// It cannot be had here: a tool, a right or the board itself is missing. Not the device's fault.
    #[error("{0}")]
    Unavailable(String),
    /// The board cannot do what the scenario asks of it.
    #[error("the {board} board cannot {what}")]
    Unable {
        /// Its kind.
        board: &'static str,
        /// As `unplug its camera`.
        what: &'static str,
    },
    /// The agent does not start, or ends, or does not find the hub.
    #[error("{0}")]
    Agent(String),
}

/// A board in a lab. Dropping it leaves nothing running that it started.
#[async_trait::async_trait]
pub trait Board: Send + Sync {
    /// Which it is.
    fn kind(&self) -> BoardKind;

    /// Puts the agent's settings in place and starts it; returns when the agent has told that it reached the hub.
    async fn start(&mut self, lab: &Lab, deployment: &Deployment) -> Result<(), BoardError>;

    /// Kills the agent with SIGKILL. Whoever supervises it on that board starts it again: systemd, or for a process the
    /// board itself after a second.
    async fn kill_agent(&mut self) -> Result<(), BoardError>;

    /// Takes the camera away, or gives it back.
    async fn plug_camera(&mut self, plugged: bool) -> Result<(), BoardError>;

    /// Moves the wall clock.
    async fn step_clock(&mut self, seconds: i64) -> Result<(), BoardError>;

    /// The agent's metrics, in Prometheus' text format.
    async fn metrics(&mut self) -> Result<String, BoardError>;

    /// Stops the agent as its supervisor would (SIGTERM) and waits for it.
    async fn stop(&mut self) -> Result<(), BoardError>;

    /// Writes the journal since the start, the last metrics and core dumps, if any, into a folder; what they are, with
    /// paths relative to it. What cannot be had is left out.
    async fn collect(&mut self, folder: &Path) -> Vec<Artefact>;
}

/// How boards are got.
#[derive(Clone, Debug)]
pub struct BoardOptions {
    /// The agent to run on a local board: the program itself.
    pub agent: PathBuf,
    /// An agent that was built for an emulated or labgrid board. None: scripts/board builds the emulated board's; a
    /// labgrid board has one.
    pub board_agent: Option<PathBuf>,
    /// The top of the source tree, for scripts/board.
    pub tree: PathBuf,
    /// Name of the labgrid place.
    pub place: Option<String>,
    /// Address of the labgrid coordinator, `HOST:PORT`.
    pub coordinator: Option<String>,
    /// Private key for SSH to a labgrid board; none: what SSH finds itself.
    pub key: Option<PathBuf>,
    /// This machine's network interface that leads to a labgrid board; none: the one that its place names.
    pub interface: Option<String>,
    /// An image that is written to a labgrid board's card or storage before it is switched on first.
    pub image: Option<PathBuf>,
    /// A folder for what the board needs while it runs.
    pub folder: PathBuf,
}

/// A board of a kind; nothing runs yet.
///
/// # Errors
///
/// It cannot be had here.
pub fn open(kind: BoardKind, options: &BoardOptions) -> Result<Box<dyn Board>, BoardError> {
    match kind {
        BoardKind::Local => Ok(Box::new(local::LocalBoard::new(options)?)),
        BoardKind::Qemu => Ok(Box::new(qemu::QemuBoard::new(options)?)),
        BoardKind::Labgrid => {
            let options = labgrid::LabgridOptions::new(options)?;
            Ok(Box::new(labgrid::LabgridBoard::new(options)?))
        }
    }
}

/// What a lab must be built with for a board of a kind.
pub fn host_of(kind: BoardKind) -> DeviceHost {
    match kind {
        BoardKind::Local => DeviceHost::Process,
        BoardKind::Qemu | BoardKind::Labgrid => DeviceHost::Lan,
    }
}
