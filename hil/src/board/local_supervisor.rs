//! What systemd is to the agent on a real board: starts it again when it ends, and stops it when that is wanted.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    lab::namespace::Namespace,
    process::{ProcessError, Program, Spec, find},
};

/// As a unit's `RestartSec=`: long enough to be seen by viewers as a gap.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the agent is looked after.
const GLANCE: Duration = Duration::from_millis(50);
/// The agent promises to end within 2 s of SIGTERM (docs/operation.md).
const PATIENCE: Duration = Duration::from_secs(3);
/// Exit codes after which it stays ended: it was asked to, or its configuration is wrong (`EX_CONFIG`).
const FINAL: [i32; 2] = [0, 78];

/// How the agent is started, each time.
#[derive(Debug)]
pub struct Start {
    /// The program.
    pub agent: PathBuf,
    /// Its settings.
    pub config: PathBuf,
    /// Where it may leave core dumps.
    pub cores: PathBuf,
    /// What it says.
    pub log: PathBuf,
    /// Where it runs.
    pub namespace: Namespace,
}

impl Start {
    /// Starts it, in a folder of its own and with leave to dump its core there: each start in another, so that no core
    /// dump takes another one's place.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, count: u32) -> Result<Program, ProcessError> {
        let shell = find("sh", "dash")?;
        let folder = self.cores.join(count.to_string());
        // If it cannot be made, the shell says so in the log.
        let _ = fs::create_dir_all(&folder);
        let script = r#"ulimit -c unlimited; cd "$0" && exec "$@""#;
        let args = [
            "-c".into(),
            script.into(),
            folder.into(),
            self.agent.clone().into(),
            "run".into(),
            "--config".into(),
            self.config.clone().into(),
        ];
        let env = [("NO_COLOR", "1"), ("RUST_BACKTRACE", "1")];
        Program::start(Spec {
            what: "the agent",
            program: &shell,
            args: args.into(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            namespace: Some(&self.namespace),
            log: &self.log,
            pipe_stdout: false,
        })
    }

    /// A line between those of the agent.
    fn note(&self, words: &str) {
        let log = OpenOptions::new().append(true).open(&self.log);
        // The log is the agent's; without this line it is as good.
        let _ = log.and_then(|mut log| writeln!(log, "--- {words}"));
    }
}

/// An agent that is looked after. Dropping it kills the agent.
#[derive(Debug)]
pub struct Supervisor {
    /// None while it is dead.
    program: Arc<Mutex<Option<Program>>>,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Looks after an agent that runs already. Takes a tokio runtime.
    pub fn new(start: Start, program: Program) -> Self {
        let program = Arc::new(Mutex::new(Some(program)));
        let task = tokio::spawn(watch(start, Arc::clone(&program)));
        Self { program, task }
    }

    /// Kills it with SIGKILL; it comes back after a second. False if it is dead.
    pub fn kill(&self) -> bool {
        lock(&self.program).take().is_some()
    }

    /// Stops it for good with SIGTERM, and with SIGKILL if it does not listen.
    pub async fn stop(self) {
        self.task.abort();
        let program = lock(&self.program).take();
        if let Some(mut program) = program {
            program.stop(PATIENCE).await;
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.program).take();
    }
}

async fn watch(start: Start, shared: Arc<Mutex<Option<Program>>>) {
    for count in 1.. {
        let how = loop {
            tokio::time::sleep(GLANCE).await;
            match lock(&shared).as_mut().map(Program::ended) {
                None => break "was killed".to_owned(),
                Some(None) => {}
                Some(Some(status)) if status.code().is_some_and(|code| FINAL.contains(&code)) => {
                    return start.note(&format!("the agent ended ({status}) and is not started again"));
                }
                Some(Some(status)) => break format!("ended ({status})"),
            }
        };
        start.note(&format!("the agent {how} and is started again in {PAUSE:?}"));
        tokio::time::sleep(PAUSE).await;
        let mut program = lock(&shared);
        match start.start(count) {
            Ok(started) => *program = Some(started),
            Err(error) => return start.note(&error.to_string()),
        }
    }
}

fn lock(program: &Mutex<Option<Program>>) -> MutexGuard<'_, Option<Program>> {
    program.lock().unwrap_or_else(PoisonError::into_inner)
}
