//! What goes onto the board: the agent with its service's files, if one is given, and its settings.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::board::{BoardError, Deployment, settings::Settings};

/// Where the agent's settings are on a board.
pub const CONFIG: &str = "/etc/p2pcam";
/// The device token.
pub const TOKEN: &str = "/etc/p2pcam/device-token";
/// Certificate for `turns:` servers.
pub const TURN_CA: &str = "/etc/p2pcam/turn-ca.pem";
/// The agent's service.
pub const UNIT: &str = "p2pcam-agent.service";
/// Where the kernel puts core dumps: the one folder that the agent may write to.
pub const CORES: &str = "/var/lib/p2pcam";
/// An agent of 10 MB goes over a slow line, and an emulated processor decrypts it.
const COPIED_WITHIN: Duration = Duration::from_secs(120);

/// The files of the agent's service: in the source tree, and on a board.
const SERVICE: [(&str, &str); 4] = [
    ("agent/systemd/p2pcam-agent.service", "usr/lib/systemd/system/p2pcam-agent.service"),
    ("agent/systemd/p2pcam.sysusers", "usr/lib/sysusers.d/p2pcam.conf"),
    ("agent/systemd/p2pcam.tmpfiles", "usr/lib/tmpfiles.d/p2pcam.conf"),
    ("agent/systemd/p2pcam.rules", "usr/lib/udev/rules.d/60-p2pcam.rules"),
];

/// Makes users, folders and devices' groups as a package's installation does; all of it may be there already.
pub const SETTLE: &str = "set -e
systemd-sysusers
systemd-tmpfiles --create p2pcam.conf
udevadm control --reload
udevadm trigger --settle --subsystem-match=gpio --subsystem-match=dma_heap --subsystem-match=video4linux
systemctl daemon-reload
systemctl enable --quiet p2pcam-agent.service";

/// The settings belong to the agent's group, the secret to its user. Core dumps are for this boot only: they hold secrets.
pub const OWN: &str = "set -e
chown root:p2pcam /etc/p2pcam /etc/p2pcam/agent.toml
chmod 0750 /etc/p2pcam
chmod 0640 /etc/p2pcam/agent.toml
chown p2pcam:p2pcam /etc/p2pcam/device-token
chmod 0600 /etc/p2pcam/device-token
mkdir -p /run/systemd/system/p2pcam-agent.service.d
printf '[Service]\\nLimitCORE=infinity\\n' >/run/systemd/system/p2pcam-agent.service.d/p2pcam-hil.conf
systemctl daemon-reload
echo /var/lib/p2pcam/core.%t.%p >/proc/sys/kernel/core_pattern
rm -f /var/lib/p2pcam/core.*";

/// Files that are gathered in a folder of the rig, at the places that they have on the board.
#[derive(Debug)]
pub struct Parcel {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Parcel {
    /// An empty one; the folder is made anew.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(folder)?,
        }
        // A token is in it.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        Ok(Self { folder: folder.to_owned(), files: Vec::new() })
    }

    /// The agent's program and its service's files from the source tree.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn agent(&mut self, program: &Path, tree: &Path) -> io::Result<()> {
        self.add(Path::new("usr/bin/p2pcam-agent"), 0o755, &fs::read(program)?)?;
        SERVICE.iter().try_for_each(|(from, to)| self.add(Path::new(to), 0o644, &fs::read(tree.join(from))?))
    }

    /// agent.toml and the secrets beside it.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn settings(&mut self, settings: &Settings, deployment: &Deployment) -> io::Result<()> {
        self.add(on_board(&format!("{CONFIG}/agent.toml")), 0o640, settings.file().as_bytes())?;
        self.add(on_board(TOKEN), 0o600, deployment.token.as_bytes())?;
        match &deployment.turn_ca {
            Some(pem) => self.add(on_board(TURN_CA), 0o644, pem.as_bytes()),
            None => Ok(()),
        }
    }

    fn add(&mut self, place: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let path = self.folder.join(place);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        self.files.push(place.to_owned());
        Ok(())
    }

    /// Sends it by a command to which words for the board's shell can be added.
    ///
    /// # Errors
    /// The connection breaks, or the board has no room.
    pub async fn send(&self, mut command: Command, as_root: &str) -> Result<(), BoardError> {
        let failed = |why: &str| {
            BoardError::Unavailable(format!("the agent's files could not be copied to the board: {why}"))
        };
        // Files without their folders, which keep the modes that they have on the board.
        let mut pack = Command::new("tar");
        pack.args(["-c", "--owner=0", "--group=0", "-C"]).arg(&self.folder).args(&self.files);
        let mut pack: Child = pack
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&format!("tar: {error}")))?;
        let packed = pack.stdout.take().and_then(|output| output.into_owned_fd().ok());
        let packed = packed.ok_or_else(|| failed("tar has no output"))?;
        // GNU's tar and busybox's replace a file that is there, so the agent may run.
        let unpack = command.arg(format!("{as_root}tar -x -C /")).stdin(Stdio::from(packed)).output();
        let output = timeout(COPIED_WITHIN, unpack).await;
        let output = output
            .map_err(|_| failed(&format!("it takes longer than {COPIED_WITHIN:?}")))?
            .map_err(|error| failed(&error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let words =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        Err(failed(words.trim_end().lines().last().unwrap_or("no reason is given")))
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // The folder is often a report's, which goes to other people.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A place on the board below its root.
fn on_board(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::board::settings::{Picture, Place};

    #[tokio::test]
    async fn a_parcel_arrives_with_modes_and_without_folders() {
        let place = tempfile::tempdir().unwrap();
        let deployment = Deployment {
            hub: "ws://192.0.2.1:8080/v1/device".into(),
            device: "porch".into(),
            token: "secret".into(),
            turn_ca: Some("PEM".into()),
            config: toml::Table::new(),
        };
        let settings =
            Place { state: None, token: TOKEN, turn_ca: Some(TURN_CA), picture: Picture::EMULATED };
        let settings = Settings::new(&deployment, settings).unwrap();
        let mut parcel = Parcel::new(&place.path().join("parcel")).unwrap();
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        parcel.agent(Path::new("/bin/true"), tree).unwrap();
        parcel.settings(&settings, &deployment).unwrap();

        let board = place.path().join("board");
        fs::create_dir_all(board.join("etc/p2pcam")).unwrap();
        fs::set_permissions(board.join("etc/p2pcam"), fs::Permissions::from_mode(0o750)).unwrap();
        let mut command = Command::new("sh");
        command.arg("-c").arg("cd \"$0\" && eval \"$(echo \"$1\" | sed \"s|-C /|-C $0|g\")\"").arg(&board);
        parcel.send(command, "").await.unwrap();
        let mode = |path: &str| board.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(fs::read_to_string(board.join("etc/p2pcam/device-token")).unwrap(), "secret");
        assert_eq!(
            (mode("etc/p2pcam/device-token"), mode("usr/bin/p2pcam-agent"), mode("etc/p2pcam")),
            (0o600, 0o755, 0o750)
        );
        assert!(board.join(SERVICE[0].1).is_file());
    }

    #[tokio::test]
    async fn a_board_that_refuses_it_is_named_with_its_reason() {
        let place = tempfile::tempdir().unwrap();
        let parcel = Parcel::new(&place.path().join("parcel")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room >&2; exit 2"]);
        let error = parcel.send(command, "").await.unwrap_err().to_string();
        assert!(error.ends_with("no room"), "{error}");
    }
}
