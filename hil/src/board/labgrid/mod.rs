//! A board of a labgrid place: a board on a bench, whose power, console and storage labgrid switches, and whose network
//! card leads to a network interface of this machine. docs/labgrid.md is for who sets a place up.
//!
//! All is done by labgrid's own client, so that what works here works by hand too. The place is held from the first start
//! until the board is dropped. Each lab begins with a power cycle, as no board can be told otherwise that its network is
//! another one now.
//!
//! Not here: labgrid's strategies and drivers for boot loaders. An image is written to a card or stick by labgrid's
//! USBStorageDriver; boards that are flashed otherwise are flashed before.

pub mod client;
pub mod deploy;
pub mod environment;
pub mod hold;
pub mod link;
pub mod literal;
pub mod needs;
mod options;
pub mod place;
pub mod shell;
mod start;

use std::{net::Ipv4Addr, path::Path, time::Duration};

pub use options::LabgridOptions;

use self::{
    client::Client,
    deploy::{CORES, UNIT},
    hold::Hold,
    link::Link,
    needs::Needs,
    shell::{Shell, ShellError},
};
use super::{
    Board, BoardError, Deployment,
    collect::Collection,
    settings::{Settings, reached_hub},
};
use crate::{
    lab::{Lab, build::taken::Taken},
    process::Program,
    record::Artefact,
    scenario::plan::BoardKind,
};

/// A command of systemd or of the shell, on an emulated processor that is busy with pictures.
const SOON: Duration = Duration::from_secs(30);
/// The agent's start takes a second or two on a board, on an emulated one ten.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often a starting agent is asked.
const GLANCE: Duration = Duration::from_millis(300);
/// The agent's last words in an error.
const LAST_LINES: usize = 12;
/// What a script ends with if the board has not what it is about.
const NOT_THERE: i32 = 69;

/// See the module.
#[derive(Debug)]
pub struct LabgridBoard {
    options: LabgridOptions,
    client: Client,
    // Before the place: nobody else is to find the board with our connections.
    up: Option<Up>,
    held: Option<(Hold, Needs)>,
    flashed: bool,
    /// As the agent answered last.
    metrics: String,
}

/// A board that is up in a lab.
#[derive(Debug)]
struct Up {
    lab: String,
    address: Ipv4Addr,
    shell: Shell,
    link: Link,
    /// Its agent's settings, once it has them.
    settings: Option<Settings>,
    /// Where the journal was when the agent was started.
    cursor: String,
    _interface: Taken,
    _console: Option<Program>,
}

impl LabgridBoard {
    /// Nothing is held or switched yet.
    ///
    /// # Errors
    /// labgrid's client is not there, or the folder cannot be made.
    pub fn new(options: LabgridOptions) -> Result<Self, BoardError> {
        let client = Client::new(&options)?;
        std::fs::create_dir_all(&options.folder).map_err(|error| {
            BoardError::Unavailable(format!("the board's folder {}: {error}", options.folder.display()))
        })?;
        Ok(Self { options, client, up: None, held: None, flashed: false, metrics: String::new() })
    }

    fn up(&mut self) -> Result<&mut Up, BoardError> {
        self.up.as_mut().ok_or_else(|| BoardError::Agent("the agent was not started, or is stopped".into()))
    }

    async fn run(&mut self, script: &str) -> Result<String, BoardError> {
        self.up()?.shell.run(script, SOON).await.map_err(broken)
    }

    /// Waits until the agent says that it reached the hub.
    async fn ready(&mut self) -> Result<(), BoardError> {
        let asked = async {
            loop {
                match self.metrics().await {
                    Ok(metrics) if reached_hub(&metrics) => return Ok(()),
                    Err(BoardError::Unavailable(why)) => return Err(BoardError::Unavailable(why)),
                    _ => tokio::time::sleep(GLANCE).await,
                }
            }
        };
        if let Ok(ended) = tokio::time::timeout(READY_WITHIN, asked).await {
            return ended;
        }
        // A question may have been cut off.
        let up = self.up()?;
        up.shell = up.link.shell(SOON).await.map_err(broken)?;
        Err(self.faulty(&format!("the agent did not reach the hub within {READY_WITHIN:?}")).await)
    }

    /// A fault of the agent, with its last words.
    async fn faulty(&mut self, what: &str) -> BoardError {
        match self.run(&format!("journalctl --no-pager -o cat -u {UNIT} -n {LAST_LINES}")).await {
            Ok(words) => BoardError::Agent(format!("{what}. Last in its journal:\n{}", words.trim_end())),
            Err(error) => error,
        }
    }
}

#[async_trait::async_trait]
impl Board for LabgridBoard {
    fn kind(&self) -> BoardKind {
        BoardKind::Labgrid
    }

    async fn start(&mut self, lab: &Lab, deployment: &Deployment) -> Result<(), BoardError> {
        self.reach(lab).await?;
        self.deploy(deployment).await?;
        match self.up()?.shell.run(&format!("systemctl restart {UNIT}"), SOON).await {
            Ok(_) => {}
            Err(ShellError::Failed { .. }) => {
                return Err(self.faulty("the agent's service does not start").await);
            }
            Err(error) => return Err(broken(error)),
        }
        self.ready().await
    }

    async fn kill_agent(&mut self) -> Result<(), BoardError> {
        self.run(&format!("systemctl kill --signal=KILL --kill-who=main {UNIT}")).await.map(drop)
    }

    async fn plug_camera(&mut self, plugged: bool) -> Result<(), BoardError> {
        const WHAT: &str =
            "unplug a camera: that takes the driver vivid and a scenario with video.source = \"auto\"";
        let unable = BoardError::Unable { board: "labgrid", what: WHAT };
        if !self.up()?.settings.as_ref().is_some_and(Settings::shows_camera) {
            return Err(unable);
        }
        // All of them, or the agent would take another one.
        let verb = if plugged { "bind" } else { "unbind" };
        let script = format!(
            "d=/sys/bus/platform/drivers/vivid; [ -e $d ] || exit {NOT_THERE}
             for one in /sys/bus/platform/devices/vivid.*; do echo \"${{one##*/}}\" >$d/{verb} || exit 1; done"
        );
        match self.up()?.shell.run(&script, SOON).await {
            Ok(_) => Ok(()),
            Err(ShellError::Failed { status: NOT_THERE, .. }) => Err(unable),
            Err(error) => Err(broken(error)),
        }
    }

    async fn step_clock(&mut self, seconds: i64) -> Result<(), BoardError> {
        self.run(&format!("date -s @$(($(date +%s) + {seconds}))")).await.map(drop)
    }

    async fn metrics(&mut self) -> Result<String, BoardError> {
        let up = self.up()?;
        let address = up.settings.as_ref().map(|settings| settings.telemetry);
        let address = address.ok_or_else(|| BoardError::Agent("the agent was not started".into()))?;
        let url = format!("http://{address}/metrics");
        let script = format!("curl -sf --max-time 5 {url} || wget -qO- -T 5 {url}");
        match up.shell.run(&script, SOON).await {
            Ok(metrics) => self.metrics = metrics,
            Err(ShellError::Failed { .. }) => {
                return Err(BoardError::Agent("the agent does not tell its metrics".into()));
            }
            Err(error) => return Err(broken(error)),
        }
        Ok(self.metrics.clone())
    }

    async fn stop(&mut self) -> Result<(), BoardError> {
        if self.up.is_none() {
            return Ok(());
        }
        // An agent that is dead has none, and the older ones are kept.
        let _ = self.metrics().await;
        // The board is switched off later, as if its cable were pulled.
        self.run(&format!("systemctl stop {UNIT}; sync")).await.map(drop)
    }

    async fn collect(&mut self, folder: &Path) -> Vec<Artefact> {
        let _ = self.metrics().await;
        let mut collection = Collection::new(folder);
        collection.text("the agent's metrics", "metrics.txt", &self.metrics);
        collection.copy("the serial console", "console.log", &self.options.folder.join("console.log"));
        let Some(up) = &mut self.up else { return collection.finish() };
        if let Some(settings) = &up.settings {
            collection.text("the agent's settings", "agent.toml", &settings.file());
        }
        let journal = format!("journalctl --no-pager -o short-precise --after-cursor '{}'", up.cursor);
        if let Ok(text) = up.shell.run(&format!("{journal} -u {UNIT}"), SOON).await {
            collection.text("the agent's journal", "agent.log", &text);
        }
        if let Ok(text) = up.shell.run(&journal, SOON).await {
            collection.text("the board's journal", "journal.txt", &text);
        }
        let cores =
            up.shell.run(&format!("ls {CORES}/core.* 2>/dev/null || true"), SOON).await.unwrap_or_default();
        // A quote would end the word that the board's shell gets.
        for (index, core) in cores.lines().filter(|core| !core.contains('\'')).enumerate() {
            let name = format!("core.{index}");
            let here = self.options.folder.join(&name);
            match up.link.fetch(core, &here).await {
                Ok(()) => collection.copy("a core dump of the agent", &name, &here),
                Err(error) => eprintln!("the core dump {core} could not be fetched: {error}"),
            }
        }
        collection.finish()
    }
}

/// A connection that breaks says nothing about the agent.
fn broken(error: ShellError) -> BoardError {
    BoardError::Unavailable(format!("the labgrid board: {error}"))
}
