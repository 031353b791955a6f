//! The agent on the emulated arm64 board of scripts/board (docs/board-emulated.md), with its network card in the lab.
//!
//! It is a real board to all above it: it takes its address by DHCP, and the agent is a service of its systemd. Each
//! board starts from the snapshot of a booted one, so none knows of an earlier run. The agent is built for it by the script,
//! unless the options name one that is.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf, absolute},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    Board, BoardError, BoardOptions, Deployment,
    collect::Collection,
    qemu_script::{Leash, Script},
    settings::{Picture, Place, Settings},
};
use crate::{
    lab::{Lab, build::BOARD_INTERFACE, namespace::Namespace},
    record::Artefact,
    scenario::plan::BoardKind,
};

/// Its service.
const UNIT: &str = "p2pcam-agent.service";
/// Files on the board.
const TOKEN: &str = "/etc/p2pcam/device-token";
const TURN_CA: &str = "/etc/p2pcam/turn-ca.pem";
/// Core dumps, which the service is not to make in the field (docs/operation.md), in the one folder that it can write to.
const DROP_IN: &str = "# What the rig changes of the agent's service.\n[Service]\nLimitCORE=infinity\n\
     ExecStartPre=+/bin/bash -c 'echo /var/lib/p2pcam/core.%%p >/proc/sys/kernel/core_pattern'\n";
/// Port of its SSH server, the last sign that it is reached by its new address.
const SSH: u16 = 22;
/// systemd-networkd starts and gets a lease in 3 s of an idle processor.
const ADDRESS_WITHIN: Duration = Duration::from_secs(40);
/// One try; the board is one link away.
const KNOCK: Duration = Duration::from_millis(300);
/// Most commands take 0.1 s; on a machine that runs several labs an emulated processor takes its time.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);
/// It takes 8 s; but the agent may have to be built first.
const INSTALL_WITHIN: Duration = Duration::from_secs(30 * 60);
/// Some 100 MB go through the emulated network.
const CORE_WITHIN: Duration = Duration::from_secs(120);
/// Looks at the agent, five a second.
const LOOKS: u32 = 50;
/// As long as they take if each one takes as long as it can on a busy machine.
const LOOKS_WITHIN: Duration = Duration::from_secs(90);

/// See the module.
#[derive(Debug)]
pub struct QemuBoard {
    tree: PathBuf,
    agent: Option<PathBuf>,
    folder: PathBuf,
    running: Option<Running>,
    /// As the agent answered last.
    metrics: String,
}

#[derive(Debug)]
struct Running {
    script: Script,
    settings: Settings,
    _leash: Leash,
}

impl QemuBoard {
    /// Nothing runs yet.
    ///
    /// # Errors
    ///
    /// The folder cannot be made.
    pub fn new(options: &BoardOptions) -> Result<Self, BoardError> {
        let made = absolute(&options.folder).and_then(|folder| fs::create_dir_all(&folder).map(|()| folder));
        let folder = made.map_err(|error| {
            BoardError::Unavailable(format!("the board's folder {}: {error}", options.folder.display()))
        })?;
        Ok(Self {
            tree: options.tree.clone(),
            agent: options.board_agent.clone(),
            folder,
            running: None,
            metrics: String::new(),
        })
    }

    fn running(&self) -> Result<&Running, BoardError> {
        self.running.as_ref().ok_or_else(|| BoardError::Agent("the emulated board was not started".into()))
    }

    async fn shell(&self, commands: &str) -> Result<String, BoardError> {
        let answer = self.running()?.script.shell(commands, COMMAND_WITHIN).await?;
        if answer.status.success() {
            return Ok(answer.text());
        }
        Err(BoardError::Agent(format!("the emulated board: `{commands}` failed: {}", answer.words)))
    }

    /// Writes what is installed with the agent into a folder.
    fn overlay(&self, deployment: &Deployment) -> Result<(PathBuf, Settings), BoardError> {
        let place = Place {
            state: None,
            token: TOKEN,
            turn_ca: deployment.turn_ca.as_ref().map(|_| TURN_CA),
            picture: Picture::EMULATED,
        };
        let settings = Settings::new(deployment, place)?;
        let overlay = self.folder.join("overlay");
        let file = |path: &str, content: &str, mode| {
            write(&overlay.join(path.trim_start_matches('/')), content, mode)
        };
        file("/etc/p2pcam/agent.toml", &settings.file(), 0o644)
            .and_then(|()| file(TOKEN, &deployment.token, 0o600))
            .and_then(|()| deployment.turn_ca.as_ref().map_or(Ok(()), |pem| file(TURN_CA, pem, 0o644)))
            .and_then(|()| file(&format!("/usr/lib/systemd/system/{UNIT}.d/rig.conf"), DROP_IN, 0o644))
            .map_err(|error| {
                BoardError::Unavailable(format!(
                    "the agent's settings cannot be written to {}: {error}",
                    overlay.display()
                ))
            })?;
        Ok((overlay, settings))
    }
}

impl Drop for QemuBoard {
    fn drop(&mut self) {
        // A token is in it, and the folder is often a report's, which goes to other people.
        let _ = fs::remove_dir_all(self.folder.join("overlay"));
        let _ = fs::remove_dir(&self.folder);
    }
}

#[async_trait::async_trait]
impl Board for QemuBoard {
    fn kind(&self) -> BoardKind {
        BoardKind::Qemu
    }

    async fn start(&mut self, lab: &Lab, deployment: &Deployment) -> Result<(), BoardError> {
        // Another board of the same name must be gone.
        self.running = None;
        self.metrics.clear();
        let (overlay, settings) = self.overlay(deployment)?;
        let host = lab.lan().map(|lan| lan.leases.0).ok_or_else(|| {
            BoardError::Unavailable(
                "the emulated board has a network card: build the lab with DeviceHost::Lan".into(),
            )
        })?;
        let script = Script::new(&self.tree, lab.device().name(), host, overlay, self.agent.as_deref())?;
        let leash = script.boot().await?;
        script.run(&["dhcp"], COMMAND_WITHIN).await?;
        // Now, as before the board was told by the address that the script gave to the interface.
        lab.adopt_board_interface(BOARD_INTERFACE)
            .map_err(|error| BoardError::Unavailable(error.to_string()))?;
        reached(lab.device(), host).await?;
        script.run(&["install"], INSTALL_WITHIN).await?;
        ready(&script, &settings).await?;
        self.running = Some(Running { script, settings, _leash: leash });
        Ok(())
    }

    async fn kill_agent(&mut self) -> Result<(), BoardError> {
        self.shell(&format!("systemctl kill --signal=KILL --kill-whom=main {UNIT}")).await.map(drop)
    }

    async fn plug_camera(&mut self, plugged: bool) -> Result<(), BoardError> {
        if !self.running()?.settings.shows_camera() {
            return Err(BoardError::Unable {
                board: "qemu",
                what: "unplug a camera that is not shown: the scenario must set video.source to \"auto\"",
            });
        }
        // Both cameras, or the agent would take the other one.
        let action = if plugged { "bind" } else { "unbind" };
        let driver = "/sys/bus/platform/drivers/vivid";
        self.shell(&format!(
            "for device in /sys/bus/platform/devices/vivid.*; do echo \"${{device##*/}}\" >{driver}/{action} || exit; done"
        ))
        .await
        .map(drop)
    }

    async fn step_clock(&mut self, seconds: i64) -> Result<(), BoardError> {
        self.shell(&format!("date -s @$(($(date +%s) + {seconds}))")).await.map(drop)
    }

    async fn metrics(&mut self) -> Result<String, BoardError> {
        let address = self.running()?.settings.telemetry;
        self.metrics = self.shell(&format!("curl -sS --fail --max-time 5 http://{address}/metrics")).await?;
        Ok(self.metrics.clone())
    }

    async fn stop(&mut self) -> Result<(), BoardError> {
        if self.running.is_none() {
            return Ok(());
        }
        // An agent that is dead has none, and the older ones are kept.
        let _ = self.metrics().await;
        self.shell(&format!("systemctl stop {UNIT}")).await.map(drop)
    }

    async fn collect(&mut self, folder: &Path) -> Vec<Artefact> {
        let _ = self.metrics().await;
        let mut collection = Collection::new(folder);
        collection.text("the agent's metrics", "metrics.txt", &self.metrics);
        let Some(Running { script, settings, .. }) = &self.running else { return collection.finish() };
        collection.text("the agent's settings", "agent.toml", &settings.file());
        collection.copy("the board's serial console", "serial.log", &script.state().join("serial.log"));
        for (what, name, unit) in [
            ("the agent's journal", "agent.journal", format!("--unit {UNIT}")),
            ("the board's journal", "board.journal", String::new()),
        ] {
            let command = format!("journalctl --boot --no-pager --output=short-monotonic {unit}");
            if let Ok(journal) = script.shell(&command, COMMAND_WITHIN).await {
                collection.text(what, name, &journal.text());
            }
        }
        let cores = script.shell("ls /var/lib/p2pcam/core.* 2>/dev/null", COMMAND_WITHIN).await;
        for (index, core) in cores.map(|cores| cores.text()).unwrap_or_default().lines().enumerate() {
            if let Ok(core) = script.shell(&format!("cat {core}"), CORE_WITHIN).await {
                collection.bytes("a core dump of the agent", &format!("core.{index}"), &core.output);
            }
        }
        collection.finish()
    }
}

/// Waits until the board is at the address that it was to get.
async fn reached(namespace: &Namespace, host: Ipv4Addr) -> Result<(), BoardError> {
    let deadline = Instant::now() + ADDRESS_WITHIN;
    let address = SocketAddr::new(host.into(), SSH);
    let inside = namespace.visit().map_err(|error| {
        BoardError::Unavailable(format!("the device's namespace cannot be entered: {error}"))
    })?;
    let inside = Arc::new(inside);
    loop {
        let inside = Arc::clone(&inside);
        let knock = move || inside.run(|| TcpStream::connect_timeout(&address, KNOCK)).is_ok();
        if spawn_blocking(knock).await.unwrap_or(false) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(BoardError::Unavailable(format!(
                "the emulated board is not at {host} {ADDRESS_WITHIN:?} after it was to take that address by DHCP: does \
                 the DHCP server on board0 of {} give it out?",
                namespace.name()
            )));
        }
        sleep(KNOCK).await;
    }
}

/// Waits until the agent says that it reached the hub.
async fn ready(script: &Script, settings: &Settings) -> Result<(), BoardError> {
    let address = settings.telemetry;
    let look = format!(
        "for look in $(seq {LOOKS}); do
            curl -s --max-time 2 http://{address}/metrics | grep -qx 'p2pcam_signaling_link_up 1' && exit 0
            systemctl is-failed --quiet {UNIT} && break
            sleep 0.2
        done
        journalctl --unit {UNIT} --lines 12 --output cat --no-pager
        exit 1"
    );
    let answer = script.shell(&look, LOOKS_WITHIN).await?;
    if answer.status.success() {
        return Ok(());
    }
    Err(BoardError::Agent(format!(
        "the agent on the emulated board did not reach the hub. Last in its journal:\n{}",
        answer.text()
    )))
}

/// Writes a file, and the folders above it, for the board to be installed.
fn write(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // Whatever the umask is: the agent's user is to read it.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content.as_bytes())
}
