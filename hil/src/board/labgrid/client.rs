//! labgrid's own client as a program: found, called with limits, its complaints turned into words for the bench.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{
    LabgridOptions,
    place::{Place, PlaceError},
};
use crate::{board::BoardError, process::find};

/// Its answers from the coordinator take half a second, of which Python's start is most; a busy machine takes longer.
pub const ASK: Duration = Duration::from_secs(30);
/// How many of a complaint's last lines are passed on: a Python traceback ends with what matters.
const LAST_LINES: usize = 3;

/// labgrid-client for one place.
#[derive(Clone, Debug)]
pub struct Client {
    program: PathBuf,
    words: Vec<OsString>,
    place: String,
    coordinator: String,
}

impl Client {
    /// For the place of the options; nothing is called yet.
    ///
    /// # Errors
    /// The program is not there.
    pub fn new(options: &LabgridOptions) -> Result<Self, BoardError> {
        let program = match &options.client {
            Some(program) => program.clone(),
            None => installed(&options.tree)?,
        };
        let mut words: Vec<OsString> = Vec::new();
        if let Some(coordinator) = &options.coordinator {
            words.extend(["-x".into(), coordinator.into()]);
        }
        words.extend(["-p".into(), OsString::from(&options.place)]);
        // What labgrid-client itself takes it from.
        let standard = || env::var("LG_COORDINATOR").unwrap_or_else(|_| "127.0.0.1:20408".into());
        let coordinator = options.coordinator.clone().unwrap_or_else(standard);
        Ok(Self { program, words, place: options.place.clone(), coordinator })
    }

    /// The place's name, or the part of it that was given.
    pub fn place_name(&self) -> &str {
        &self.place
    }

    /// The program and the words before the command, for a process that outlives the rig.
    pub fn call(&self) -> (&Path, &[OsString]) {
        (&self.program, &self.words)
    }

    /// Variables for it.
    pub fn surroundings(&self) -> Vec<(OsString, OsString)> {
        // The coordinator tells others who holds a place, and lets that person at it during a run.
        let user = env::var_os("LG_USERNAME").or_else(|| env::var_os("SUDO_USER"));
        let user = user.map(|user| ("LG_USERNAME".into(), user));
        // What it says itself comes before what programs say that it calls, and not after.
        [("PYTHONUNBUFFERED".into(), "1".into())].into_iter().chain(user).collect()
    }

    /// A command, with labgrid's environment file if one is needed; killed when dropped.
    pub fn command(&self, environment: Option<&Path>) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(file) = environment {
            command.arg("-c").arg(file);
        }
        command.args(&self.words).envs(self.surroundings()).kill_on_drop(true);
        // Ctrl-C is for the rig, which releases the place in order.
        command.process_group(0).stdin(Stdio::null());
        command
    }

    /// Calls it and waits; what it printed.
    ///
    /// # Errors
    /// It cannot be started, takes too long or fails; its last words are in the error.
    pub async fn run(&self, words: &[&str], limit: Duration) -> Result<String, BoardError> {
        let mut command = self.command(None);
        let output = timeout(limit, command.args(words).output()).await;
        let output = output
            .map_err(|_| self.failed(words, &format!("it did not end within {limit:?}")))?
            .map_err(|error| self.failed(words, &error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(words, &complaint(&output)))
    }

    /// The place as it is now.
    ///
    /// # Errors
    /// There is none of that name, or no coordinator.
    pub async fn show(&self) -> Result<Place, BoardError> {
        let text = self.run(&["show"], ASK).await?;
        Place::read(&text).map_err(|error: PlaceError| self.failed(&["show"], &error.to_string()))
    }

    fn failed(&self, words: &[&str], why: &str) -> BoardError {
        let words = words.first().copied().unwrap_or_default();
        BoardError::Unavailable(
            if why.contains("Could not connect to coordinator") || why.contains("is unavailable") {
                format!(
                    "no labgrid coordinator answers at {}: start labgrid-coordinator there, or name another address",
                    self.coordinator
                )
            } else if why.contains("matches nothing") {
                format!(
                    "the coordinator {} has no place {}: `labgrid-client places` lists them",
                    self.coordinator, self.place
                )
            } else {
                format!("labgrid-client -p {} {words}: {why}", self.place)
            },
        )
    }
}

/// The last lines of what it said on its standard error, or how it ended.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return format!("it ended with {}", output.status);
    }
    lines[lines.len().saturating_sub(LAST_LINES)..].join("; ")
}

/// On PATH, or where hil/labgrid/bench installs it.
fn installed(tree: &Path) -> Result<PathBuf, BoardError> {
    if let Ok(program) = find("labgrid-client", "labgrid") {
        return Ok(program);
    }
    let cache = env::var_os("P2PCAM_CACHE").map_or_else(|| tree.join(".cache"), PathBuf::from);
    let folders = fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("labgrid-"));
    folders.filter(named).map(|folder| folder.join("bin/labgrid-client")).find(|program| program.is_file()).ok_or_else(
        || {
            BoardError::Unavailable(
                "labgrid-client is not on PATH: `./hil/labgrid/bench programs` installs it from PyPI and prints its folder"
                    .into(),
            )
        },
    )
}
