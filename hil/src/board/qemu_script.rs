//! `scripts/board` of the source tree, for a board in a namespace of the rig: started, asked, and ended with the rig.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::BoardError;

/// From a snapshot it takes 5 s; what is missing (packages, the image, the snapshot) is made first, which takes minutes.
const BOOT_WITHIN: Duration = Duration::from_secs(30 * 60);
/// QEMU ends in 0.2 s; the script kills one that does not within 5 s.
const GONE_WITHIN: Duration = Duration::from_secs(8);
/// The longest answer that is read, in bytes: a journal of hours, or a core dump.
const LONGEST: u64 = 256 * 1024 * 1024;
/// Lines of the script's words in an error.
const LAST_LINES: usize = 12;
/// What the script's words on its progress begin with.
const PROGRESS: &str = "==> ";

/// The script, for one board.
#[derive(Clone, Debug)]
pub struct Script {
    tree: PathBuf,
    /// The namespace's, and so the board's.
    name: String,
    /// Where the board is by DHCP.
    host: Ipv4Addr,
    /// Files that are installed with the agent.
    overlay: PathBuf,
    /// The agent that is installed; none: the script builds it.
    agent: Option<PathBuf>,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// Standard output.
    pub output: Vec<u8>,
    /// Last lines of standard error.
    pub words: String,
    /// Its end.
    pub status: ExitStatus,
}

/// A board that runs. Dropping this ends it; so does the kernel when the rig is killed.
#[derive(Debug)]
pub struct Leash {
    pipe: Option<ChildStdin>,
    state: PathBuf,
}

impl Script {
    /// For the board of a namespace.
    ///
    /// # Errors
    ///
    /// The tree has no such script.
    pub fn new(
        tree: &Path,
        namespace: &str,
        host: Ipv4Addr,
        overlay: PathBuf,
        agent: Option<&Path>,
    ) -> Result<Self, BoardError> {
        let tree = tree.canonicalize().unwrap_or_else(|_| tree.to_owned());
        if !tree.join("scripts/board").is_file() {
            return Err(BoardError::Unavailable(format!(
                "the emulated board is started by scripts/board, which is not in {}: name the top of the source tree",
                tree.display()
            )));
        }
        Ok(Self { tree, name: namespace.to_owned(), host, overlay, agent: agent.map(Path::to_owned) })
    }

    /// Where the script keeps what is the board's: its serial log is `serial.log`.
    pub fn state(&self) -> PathBuf {
        self.tree.join("target/boards").join(&self.name)
    }

    /// Starts the board without an agent; it is up, with the address that the image gives it.
    ///
    /// # Errors
    ///
    /// It cannot be had here, in the script's words.
    pub async fn boot(&self) -> Result<Leash, BoardError> {
        let mut command = self.command(&["boot", "--bare", "--leash"]);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| self.cannot(&error))?;
        let leash = Leash { pipe: child.stdin.take(), state: self.state() };
        self.succeed("did not boot", self.answer(child, BOOT_WITHIN).await?)?;
        Ok(leash)
    }

    /// Runs a command of the script that must succeed.
    ///
    /// # Errors
    ///
    /// It does not, or takes too long.
    pub async fn run(&self, arguments: &[&str], patience: Duration) -> Result<Answer, BoardError> {
        let answer = self.ask(arguments, patience).await?;
        self.succeed(&format!("did not `{}`", arguments.join(" ")), answer)
    }

    /// Runs commands of a shell on the board, as root, whatever they come to.
    ///
    /// # Errors
    ///
    /// The board does not answer in time.
    pub async fn shell(&self, commands: &str, patience: Duration) -> Result<Answer, BoardError> {
        let answer = self.ask(&["ssh", commands], patience).await?;
        // ssh(1): its own failure, and not the command's.
        if answer.status.code() == Some(255) {
            return Err(self.unavailable("does not answer", &answer.words));
        }
        Ok(answer)
    }

    async fn ask(&self, arguments: &[&str], patience: Duration) -> Result<Answer, BoardError> {
        let child =
            self.command(arguments).stdin(Stdio::null()).spawn().map_err(|error| self.cannot(&error))?;
        self.answer(child, patience).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tree.join("scripts/board"));
        command
            .args(arguments)
            .env("P2PCAM_BOARD_NAME", &self.name)
            .env("P2PCAM_BOARD_NETNS", &self.name)
            .env("P2PCAM_BOARD_HOST", self.host.to_string())
            .env("P2PCAM_BOARD_OVERLAY", &self.overlay)
            .envs(self.agent.iter().map(|agent| ("P2PCAM_BOARD_AGENT", agent)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn answer(&self, mut child: Child, patience: Duration) -> Result<Answer, BoardError> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = async {
            let mut output = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(LONGEST).read_to_end(&mut output).await?;
            }
            Ok(output)
        };
        let words = async {
            let mut last = Vec::new();
            let Some(stderr) = stderr else { return Ok(String::new()) };
            let mut lines = BufReader::new(stderr).lines();
            while let Some(line) = lines.next_line().await? {
                if line.starts_with(PROGRESS) {
                    eprintln!("{line}");
                }
                if last.len() == LAST_LINES {
                    last.remove(0);
                }
                last.push(line);
            }
            Ok(last.join("\n"))
        };
        let all = async { tokio::try_join!(output, words, child.wait()) };
        match timeout(patience, all).await {
            Ok(Ok((output, words, status))) => Ok(Answer { output, words, status }),
            Ok(Err(error)) => Err(self.cannot(&error)),
            Err(_) => Err(self.unavailable("does not answer", &format!("nothing within {patience:?}"))),
        }
    }

    fn succeed(&self, what: &str, answer: Answer) -> Result<Answer, BoardError> {
        if answer.status.success() { Ok(answer) } else { Err(self.unavailable(what, &answer.words)) }
    }

    fn cannot(&self, error: &std::io::Error) -> BoardError {
        self.unavailable(
            "cannot be asked",
            &format!("{}: {error}", self.tree.join("scripts/board").display()),
        )
    }

    fn unavailable(&self, what: &str, words: &str) -> BoardError {
        BoardError::Unavailable(format!("the emulated board {} {what}:\n{words}", self.name))
    }
}

impl Answer {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.pipe.take();
        // The lab's namespace goes next, and QEMU is in it.
        let deadline = Instant::now() + GONE_WITHIN;
        while self.state.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
