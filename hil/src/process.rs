//! Programs that the rig starts: in a namespace, with a log, and gone with the rig however that ends.
//!
//! As root each program gets a PID namespace of its own (pid_namespaces(7)), and a mount namespace with the /proc of
//! that. The first process in it is a `cat` that reads a pipe from the rig: when the rig closes the pipe, or is killed
//! and the kernel closes it, `cat` ends, and the kernel kills whatever is left in the namespace, daemons and
//! grandchildren too. Without root a program has only its process group and PR_SET_PDEATHSIG (prctl(2)), which its own
//! children do not inherit.
//!
//! All programs are forked by one thread that lives as long as the rig, as PR_SET_PDEATHSIG means the thread that forked
//! and not its process, and so that no other thread changes its namespaces.
//!
//! Network namespaces are entered with setns(2). Unlike `ip netns exec`, /sys stays that of the machine; like it,
//! /etc/netns/NAME/resolv.conf is seen as /etc/resolv.conf.

mod starter;
mod sys;
#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::lab::namespace::Namespace;

/// Where programs are besides PATH, which for ordinary users often has no folders of servers.
const FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
/// Variables that would change what a program does from what the rig wants: settings of the agent, and what systemd tells
/// a service about itself.
const FORGOTTEN: [&str; 6] =
    ["P2PCAM_", "NOTIFY_SOCKET", "JOURNAL_STREAM", "STATE_DIRECTORY", "WATCHDOG_", "LISTEN_"];
/// The kernel ends a killed process at once, unless it is stuck in a driver: then it is left to itself.
const REAPED: Duration = Duration::from_secs(5);
/// How much of a log is looked through for its last lines, in bytes.
const TAIL: u64 = 64 * 1024;
/// How many lines of a log stand in a message.
const LAST_WORDS: usize = 12;

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not installed.
    #[error("{program} is missing: install the package {package}")]
    Missing {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: String,
    },
    /// It is there, but cannot be started.
    #[error("{what} cannot be started ({program}): {error}")]
    Start {
        /// What it is.
        what: String,
        /// The program.
        program: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// Its log cannot be written.
    #[error("{what} cannot be started: its log {path} cannot be written: {error}")]
    Log {
        /// What it is.
        what: String,
        /// The file.
        path: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// It ended when it should run.
    #[error("{what} ended ({status}). Last in its log {log}:\n{tail}")]
    Ended {
        /// What it is.
        what: String,
        /// How.
        status: ExitStatus,
        /// The file.
        log: String,
        /// Its last lines.
        tail: String,
    },
}

/// What to start, and how.
#[derive(Debug)]
pub struct Spec<'a> {
    /// What it is, in messages, as `coturn`.
    pub what: &'a str,
    /// The program; see [`find`].
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables besides those of the rig.
    pub env: Vec<(OsString, OsString)>,
    /// The network that it sees; `None`: the machine's.
    pub namespace: Option<&'a Namespace>,
    /// Where its standard error goes, and its standard output unless that is piped; appended to.
    pub log: &'a Path,
    /// Whether its standard output is read by the rig.
    pub pipe_stdout: bool,
}

/// A program that runs. Dropping it kills it, and as root all that it started.
#[derive(Debug)]
pub struct Program {
    what: String,
    log: PathBuf,
    child: Child,
    id: u32,
    /// The first process of its PID namespace.
    keeper: Option<Child>,
}

impl Program {
    /// Starts it in a process group of its own, with nothing on its standard input. Takes a tokio runtime.
    ///
    /// # Errors
    /// The log cannot be opened; the program is not there; not root and a namespace to enter.
    pub fn start(spec: Spec<'_>) -> Result<Self, ProcessError> {
        let what = spec.what.to_owned();
        let log = OpenOptions::new().create(true).append(true).open(spec.log);
        let log = log.and_then(|log| Ok((log.try_clone()?, log))).map_err(|error| ProcessError::Log {
            what: what.clone(),
            path: spec.log.display().to_string(),
            error,
        })?;
        let failed = |error| ProcessError::Start {
            what: what.clone(),
            program: spec.program.display().to_string(),
            error,
        };
        let mut command = Command::new(spec.program);
        let forgotten = env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            FORGOTTEN.iter().any(|forgotten| name.starts_with(forgotten))
        });
        for name in forgotten {
            command.env_remove(name);
        }
        command.args(spec.args).envs(spec.env).stdin(Stdio::null()).stderr(log.0).kill_on_drop(true);
        command.stdout(if spec.pipe_stdout { Stdio::piped() } else { Stdio::from(log.1) });
        command.process_group(0);
        let network = spec.namespace.map(sys::Network::open).transpose().map_err(failed)?;
        let (child, keeper) = starter::start(command, network).map_err(failed)?;
        let id = child.id().unwrap_or_default();
        Ok(Self { what, log: spec.log.to_owned(), child, id, keeper })
    }

    /// Its process id, which is its process group's too.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its standard output, if that is piped and was not taken yet.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The same as an error, with the last lines of its log, for a program that should run on.
    pub fn ended_early(&mut self) -> Option<ProcessError> {
        let status = self.ended()?;
        let tail = self.log_tail(LAST_WORDS);
        Some(ProcessError::Ended {
            what: self.what.clone(),
            status,
            log: self.log.display().to_string(),
            tail,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The kernel does not tell how it ended.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end (SIGTERM to its process group), and kills what is left when the patience is over or it has ended.
    pub async fn stop(&mut self, patience: Duration) {
        if self.ended().is_none() {
            sys::signal_group(self.id, Signal::SIGTERM);
            let _ = timeout(patience, self.child.wait()).await;
        }
        self.kill().await;
    }

    /// Kills it and all that it started, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.start_kill();
        let gone = async {
            let _ = self.child.wait().await;
            if let Some(keeper) = &mut self.keeper {
                let _ = keeper.wait().await;
            }
        };
        let _ = timeout(REAPED, gone).await;
    }

    fn start_kill(&mut self) {
        // After its end its number may be somebody else's.
        if self.ended().is_none() {
            sys::signal_group(self.id, Signal::SIGKILL);
        }
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.start_kill();
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
            .unwrap_or_else(|error| format!("({} cannot be read: {error})", self.log.display()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.start_kill();
    }
}

fn tail(log: &Path, lines: usize) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

/// The file that programs in a namespace see as /etc/resolv.conf, if it is there when they start. As `ip netns exec` does
/// it too, a person who looks around in there sees the same.
pub fn resolver(namespace: &Namespace) -> PathBuf {
    sys::resolver(namespace.name())
}

/// Where a program is: on PATH or in the folders of servers; a name with a slash is a path itself.
///
/// # Errors
/// It is nowhere; the error names the package to install.
pub fn find(program: &str, package: &str) -> Result<PathBuf, ProcessError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(env::split_paths(FOLDERS));
    let mut candidates: Box<dyn Iterator<Item = PathBuf>> = if program.contains('/') {
        Box::new(std::iter::once(PathBuf::from(program)))
    } else {
        Box::new(folders.map(|folder| folder.join(program)))
    };
    let runs =
        |path: &PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    candidates
        .find(runs)
        .ok_or_else(|| ProcessError::Missing { program: program.into(), package: package.into() })
}
