//! From a place that nobody holds to a board that is up in a lab, with the agent's settings on it.

use std::{ffi::OsString, net::Ipv4Addr, path::Path, time::Duration};

use super::{
    LabgridBoard, SOON, Up, broken,
    client::ASK,
    deploy::{CONFIG, OWN, Parcel, SETTLE, TOKEN, TURN_CA, UNIT},
    environment::Environment,
    hold::Hold,
    link::Link,
    needs::{Needs, is_this_machine},
};
use crate::{
    board::{
        BoardError, Deployment,
        settings::{Place, Settings},
    },
    lab::Lab,
    process::{Program, Spec},
};

/// A Raspberry Pi is up in half a minute, an emulated board on a busy machine in three.
const UP_WITHIN: Duration = Duration::from_secs(300);
/// labgrid switches off, waits 2 s and switches on; slow outlets take a while.
const SWITCHED_WITHIN: Duration = Duration::from_secs(60);
/// An image of 8 GB onto a slow card.
const WRITTEN_WITHIN: Duration = Duration::from_secs(40 * 60);
/// Lines of the console in an error.
const LAST_LINES: usize = 12;

impl LabgridBoard {
    /// Has the board up in a lab; it is so already after the first start there.
    pub(super) async fn reach(&mut self, lab: &Lab) -> Result<(), BoardError> {
        let address = lab.lan().map(|lan| lan.leases.0).ok_or_else(|| {
            BoardError::Unavailable(
                "a labgrid board has a network card: build the lab with DeviceHost::Lan".into(),
            )
        })?;
        if let Some(up) = &mut self.up {
            let same = up.lab == lab.name() && up.address == address;
            if same && up.shell.run(":", SOON).await.is_ok() {
                return Ok(());
            }
        }
        self.up = None;
        self.hold().await?;
        self.up = Some(self.switch_on(lab, address).await?);
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), BoardError> {
        if self.held.is_none() {
            let (hold, place) = Hold::acquire(&self.client, &self.options.folder.join("release.log")).await?;
            self.held = Some((hold, Needs::of(&place, &self.options, is_this_machine)?));
        }
        Ok(())
    }

    async fn switch_on(&mut self, lab: &Lab, address: Ipv4Addr) -> Result<Up, BoardError> {
        let broken_rig = |what: &str, error: &dyn std::fmt::Display| {
            BoardError::Unavailable(format!("the labgrid place {}: {what}: {error}", self.options.place))
        };
        let (hold, needs) =
            self.held.as_mut().ok_or_else(|| BoardError::Unavailable("no place is held".into()))?;
        let interface = lab.take_interface(&needs.interface).map_err(|error| {
            broken_rig(&format!("its interface {} cannot be moved into the lab", needs.interface), &error)
        })?;
        hold.switch_off_at_end().map_err(|error| broken_rig("what releases it is gone", &error))?;
        let needs = needs.clone();
        let console = if needs.console { Some(self.listen()?) } else { None };
        self.flash(&needs).await?;
        self.client.run(&["power", "cycle"], SWITCHED_WITHIN).await?;

        let environment = Environment {
            place: self.client.place_name(),
            namespace: lab.device().name(),
            address,
            user: &needs.user,
            password: needs.password.as_deref(),
            port: needs.port,
            key: self.options.key.as_deref(),
        };
        let folder = std::path::absolute(&self.options.folder);
        let file = folder.and_then(|folder| environment.write(&folder));
        let file =
            file.map_err(|error| BoardError::Unavailable(format!("labgrid's environment file: {error}")))?;
        let link = Link::new(&self.client, file, &needs.user);
        let mut shell = link.shell(UP_WITHIN).await.map_err(|error| {
            let words = console.as_ref().map(|console| console.log_tail(LAST_LINES));
            let words = words.map(|words| format!(" Last on its console:\n{words}")).unwrap_or_default();
            BoardError::Unavailable(format!(
                "the board of {} did not come up at {address} as {} within {UP_WITHIN:?}: {error}: {}. Look at its \
                 network cable, its DHCP and its SSH key.{words}",
                self.options.place, needs.user, link.complaint()
            ))
        })?;
        // A unit that failed is the board's matter, and told by the journal.
        let wait = format!("timeout {} systemctl is-system-running --wait", UP_WITHIN.as_secs());
        shell.ask(&wait, UP_WITHIN + SOON).await.map_err(broken)?;
        let lab = lab.name().to_owned();
        let cursor = String::new();
        Ok(Up { lab, address, shell, link, settings: None, cursor, _interface: interface, _console: console })
    }

    /// Has what the console says written down, from before the board is switched on.
    fn listen(&self) -> Result<Program, BoardError> {
        let (program, words) = self.client.call();
        let command = ["console", "--loop", "--listenonly"].map(OsString::from);
        let program = Program::start(Spec {
            what: "labgrid's console",
            program,
            args: words.iter().cloned().chain(command).collect(),
            env: self.client.surroundings(),
            namespace: None,
            log: &self.options.folder.join("console.log"),
            pipe_stdout: false,
        });
        program.map_err(|error| BoardError::Unavailable(error.to_string()))
    }

    /// Writes the image, if there is one and it was not written yet.
    async fn flash(&mut self, needs: &Needs) -> Result<(), BoardError> {
        let Some(image) = self.options.image.as_deref().filter(|_| !self.flashed) else { return Ok(()) };
        let image = readable(image)?;
        // No board may be using the card.
        self.client.run(&["power", "off"], SWITCHED_WITHIN).await?;
        if needs.mux {
            self.client.run(&["sd-mux", "host"], ASK).await?;
        }
        self.client.run(&["write-image", &image], WRITTEN_WITHIN).await?;
        if needs.mux {
            self.client.run(&["sd-mux", "dut"], ASK).await?;
        }
        self.flashed = true;
        Ok(())
    }

    /// Puts the agent, if one is given, and its settings onto the board.
    pub(super) async fn deploy(&mut self, deployment: &Deployment) -> Result<(), BoardError> {
        let place = Place {
            state: None,
            token: TOKEN,
            turn_ca: deployment.turn_ca.as_ref().map(|_| TURN_CA),
            picture: self.options.picture,
        };
        let settings = Settings::new(deployment, place)?;
        // A board that is up since an earlier start has it.
        let agent =
            self.options.agent.as_deref().filter(|_| self.up.as_ref().is_none_or(|up| up.settings.is_none()));
        let parcel = Parcel::new(&self.options.folder.join("parcel")).and_then(|mut parcel| {
            if let Some(agent) = agent {
                parcel.agent(agent, &self.options.tree)?;
            }
            parcel.settings(&settings, deployment)?;
            Ok(parcel)
        });
        let parcel = parcel
            .map_err(|error| BoardError::Unavailable(format!("the agent's files for the board: {error}")))?;
        let given = agent.is_some();
        let up = self.up()?;
        // A board without a clock of its own has no time server in the lab, and its journal is to be compared with ours.
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let before =
            format!("date -s @{now} >/dev/null; systemctl stop {UNIT} 2>/dev/null; mkdir -p {CONFIG}");
        up.shell.run(&before, SOON).await.map_err(broken)?;
        parcel.send(up.link.command(), up.link.as_root()).await?;
        if given {
            up.shell.run(SETTLE, SOON).await.map_err(broken)?;
        }
        up.shell.run(OWN, SOON).await.map_err(|error| {
            BoardError::Unavailable(format!(
                "the agent's settings could not be put onto the board ({error}): is the agent installed there, with its \
                 service and its user? Give the rig one that was built for the board, or an image with one"
            ))
        })?;
        let cursor = up
            .shell
            .run("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'", SOON)
            .await
            .map_err(broken)?;
        up.cursor = cursor.trim().to_owned();
        up.settings = Some(settings);
        Ok(())
    }
}

fn readable(image: &Path) -> Result<String, BoardError> {
    let unreadable = |why: String| {
        BoardError::Unavailable(format!(
            "the image {} cannot be written to the board: {why}",
            image.display()
        ))
    };
    let path = std::fs::canonicalize(image).map_err(|error| unreadable(error.to_string()))?;
    path.into_os_string().into_string().map_err(|_| unreadable("its path is no UTF-8".into()))
}
