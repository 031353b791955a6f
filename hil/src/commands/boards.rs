//! Where the agent runs, as options of `run` and `matrix`.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use p2pcam_hil::{
    board::BoardOptions,
    scenario::{plan::BoardKind, slowness},
};

/// What is slower still shows nothing about a device.
const MOST_SLOWER: f64 = 10.0;

/// See the module.
#[derive(Clone, Debug, clap::Args)]
pub struct BoardArgs {
    /// Where the agent runs.
    #[arg(long, value_enum, default_value = "local")]
    pub board: BoardKind,
    /// The agent's program for local boards and for the hub. Left out: beside this program, else in PATH.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// The agent's program for the board of --board qemu or labgrid, built for its processor. Left out: scripts/board
    /// builds it; a labgrid board has one.
    #[arg(long, value_name = "FILE", env = "P2PCAM_BOARD_AGENT")]
    board_agent: Option<PathBuf>,
    /// Top of p2pcam's source tree, for --board qemu, and for labgrid with --board-agent.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    tree: PathBuf,
    /// The labgrid place, for --board labgrid.
    #[arg(long, env = "LG_PLACE")]
    place: Option<String>,
    /// The labgrid coordinator, HOST:PORT. Left out: 127.0.0.1:20408.
    #[arg(long, env = "LG_COORDINATOR")]
    coordinator: Option<String>,
    /// An image that is written to the labgrid board's card before it is switched on first.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Private SSH key that opens the labgrid board. Left out: what SSH finds itself.
    #[arg(long, value_name = "FILE", env = "P2PCAM_BOARD_KEY")]
    ssh_key: Option<PathBuf>,
    /// This machine's network interface that leads to the labgrid board. Left out: the NetworkInterface of its place.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// How many times as long as the scenario says a picture may take to come, to stand still, and to move again. Left
    /// out: 3 for --board qemu, as its processor is emulated, else 1.
    #[arg(long, value_name = "TIMES", env = "P2PCAM_BOARD_SLOWER", value_parser = times)]
    slower: Option<f64>,
}

impl BoardArgs {
    /// Boards as the library takes them. `own` is this program, `report` the report's folder. Fails with advice if a
    /// file is not there.
    pub fn options(&self, own: &Path, report: &Path) -> anyhow::Result<BoardOptions> {
        let agent = match &self.agent {
            Some(agent) => agent.clone(),
            None => beside(own, "p2pcam-agent")?,
        };
        ensure!(
            self.board != BoardKind::Labgrid || self.place.is_some(),
            "--board labgrid needs the name of a place: --place NAME, or LG_PLACE"
        );
        Ok(BoardOptions {
            agent: file("agent", "--agent", &agent)?,
            board_agent: self.given("agent for the board", "--board-agent", &self.board_agent)?,
            tree: std::path::absolute(&self.tree).context("the source tree")?,
            place: self.place.clone(),
            coordinator: self.coordinator.clone(),
            key: self.given("SSH key", "--ssh-key", &self.ssh_key)?,
            interface: self.interface.clone(),
            image: self.given("image", "--image", &self.image)?,
            folder: report.join("board"),
        })
    }

    /// Times as long as scenarios say.
    pub fn slower(&self) -> f64 {
        // Variables may speak of another board.
        let told = self.slower.filter(|_| self.board != BoardKind::Local);
        told.unwrap_or_else(|| slowness(self.board))
    }

    /// A file that was named. Variables may name one that a local board has no use for.
    fn given(&self, what: &str, option: &str, path: &Option<PathBuf>) -> anyhow::Result<Option<PathBuf>> {
        let path = path.as_deref().filter(|_| self.board != BoardKind::Local);
        path.map(|path| file(what, option, path)).transpose()
    }
}

fn times(text: &str) -> Result<f64, String> {
    let times = text.parse().ok().filter(|times| (1.0..=MOST_SLOWER).contains(times));
    times.ok_or_else(|| format!("a number from 1 to {MOST_SLOWER}, as 3 or 1.5"))
}

/// The path of a file that is there, whatever folder a program that gets it runs in.
fn file(what: &str, option: &str, path: &Path) -> anyhow::Result<PathBuf> {
    ensure!(path.is_file(), "there is no {what} at {}: make it, or name it with {option}", path.display());
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// A program beside this one, or in PATH.
fn beside(own: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let near = own.with_file_name(name);
    if near.is_file() {
        return Ok(near);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let Some(found) = found else {
        bail!("{name} is neither beside this program nor in PATH: build it, or name it with --agent");
    };
    Ok(found)
}
