//! The way to a board: labgrid's SSH in a lab's namespace.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, copy},
    process::Command,
    time::timeout,
};

use super::{
    client::Client,
    environment::NAME,
    shell::{Shell, ShellError},
};

/// Comes before a file's content: what labgrid's client says itself comes first.
const MARK: &str = "p2pcam-hil-file";
/// The same words of the client are a line or two.
const LONGEST_PREAMBLE: u64 = 64 * 1024;
/// An agent's memory at most; a board's disk is fuller than that is useful.
const LONGEST_FILE: u64 = 1024 * 1024 * 1024;
/// For such a file over an emulated processor's SSH.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    environment: PathBuf,
    log: PathBuf,
    /// Before a command of the board that takes root.
    as_root: &'static str,
}

impl Link {
    /// By an environment file of [`super::environment`]; whoever is not root on the board is by sudo.
    pub fn new(client: &Client, environment: PathBuf, user: &str) -> Self {
        let log = environment.with_file_name("ssh.log");
        Self {
            client: client.clone(),
            environment,
            log,
            as_root: if user == "root" { "" } else { "sudo -n " },
        }
    }

    /// A shell as root.
    ///
    /// # Errors
    /// The board does not answer within the patience.
    pub async fn shell(&self, patience: Duration) -> Result<Shell, ShellError> {
        let mut command = self.command();
        command.stderr(std::fs::File::create(&self.log).map_err(ShellError::Gone)?);
        // A board may have no /bin/sh, but its user has a shell, which sshd names.
        let start = if self.as_root.is_empty() {
            "exec $SHELL".to_owned()
        } else {
            format!("exec {}-s", self.as_root)
        };
        Shell::open(command, start, patience).await
    }

    /// What labgrid's client and SSH complained of last in a shell.
    pub fn complaint(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines()
            .map(str::trim)
            .rfind(|line| line.contains("rror") || line.contains("ssh: ssh"))
            .unwrap_or("no reason is given")
            .into()
    }

    /// A command to which words for the board's shell can be added, as one argument.
    pub fn command(&self) -> Command {
        let mut command = self.client.command(Some(&self.environment));
        command.args(["ssh", "-n", NAME]);
        command
    }

    /// What goes before a command that takes root.
    pub fn as_root(&self) -> &'static str {
        self.as_root
    }

    /// Copies a file of the board.
    ///
    /// # Errors
    /// The connection breaks, or there is no such file, or it is too large.
    pub async fn fetch(&self, from: &str, to: &Path) -> std::io::Result<()> {
        let fetch = async {
            let mut command = self.command();
            command.arg(format!("echo {MARK}; exec {}cat '{from}'", self.as_root));
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
            let output = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            let mut preamble = (&mut output).take(LONGEST_PREAMBLE);
            while line.trim_ascii_end() != MARK.as_bytes() {
                line.clear();
                if preamble.read_until(b'\n', &mut line).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            copy(&mut output.take(LONGEST_FILE), &mut File::create(to).await?).await?;
            let status = child.wait().await?;
            if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) }
        };
        timeout(FETCHED_WITHIN, fetch).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }
}
