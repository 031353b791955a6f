//! A shell on the board, over one SSH connection of labgrid's client: an answer takes a round trip and not the start of
//! Python and a handshake.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// The agent's metrics are some 40 KiB; a journal of minutes is a few MiB.
pub const LONGEST: u64 = 64 * 1024 * 1024;

/// Why a shell does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The connection cannot be made, or is gone.
    #[error("the connection to the board is gone: {0}")]
    Gone(std::io::Error),
    /// It takes too long.
    #[error("the board did not answer within {0:?}")]
    Late(Duration),
    /// More than [`LONGEST`].
    #[error("the board answered more than {} MiB", LONGEST >> 20)]
    Long,
    /// The command failed.
    #[error("a command on the board failed ({status}): {words}")]
    Failed {
        /// Its exit code.
        status: i32,
        /// What it said last.
        words: String,
    },
}

/// What a script said, with its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub status: i32,
    /// Standard output and error.
    pub text: String,
}

/// A shell that waits for scripts. Dropping it closes the connection.
#[derive(Debug)]
pub struct Shell {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    count: u64,
}

impl Shell {
    /// Connects by a command to which the words that start the shell are added. labgrid's client tries until
    /// `LG_SSH_CONNECT_TIMEOUT` seconds are over, so a board may be starting still.
    ///
    /// # Errors
    /// No connection within the patience.
    pub async fn open(mut command: Command, start: String, patience: Duration) -> Result<Self, ShellError> {
        command.arg(start).env("LG_SSH_CONNECT_TIMEOUT", patience.as_secs().to_string());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(ShellError::Gone)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| ShellError::Gone(std::io::ErrorKind::BrokenPipe.into()))?;
        let mut shell = Self { _child: child, input, output: BufReader::new(output), count: 0 };
        // What the client says before is thrown away with this answer.
        shell.ask(":", patience).await?;
        Ok(shell)
    }

    /// Runs a script of sh(1) and waits for its end. After an error there is no telling whose words come next: open
    /// another one.
    ///
    /// # Errors
    /// The connection breaks, or it takes too long.
    pub async fn ask(&mut self, script: &str, patience: Duration) -> Result<Answer, ShellError> {
        self.count += 1;
        let mark = format!("p2pcam-hil-{}-{}", std::process::id(), self.count);
        let asked = format!("(\n{script}\n) </dev/null 2>&1\nprintf '\\n{mark} %s\\n' $?\n");
        let talk = async {
            self.input.write_all(asked.as_bytes()).await.map_err(ShellError::Gone)?;
            self.input.flush().await.map_err(ShellError::Gone)?;
            answer(&mut self.output, &mark).await
        };
        timeout(patience, talk).await.unwrap_or(Err(ShellError::Late(patience)))
    }

    /// The same for a script that must not fail; what it said.
    ///
    /// # Errors
    /// As there, and it fails.
    pub async fn run(&mut self, script: &str, patience: Duration) -> Result<String, ShellError> {
        let Answer { status, text } = self.ask(script, patience).await?;
        if status == 0 {
            return Ok(text);
        }
        let words = text.trim_end().lines().last().unwrap_or_default().to_owned();
        Err(ShellError::Failed { status, words })
    }
}

/// Reads up to the line of a mark, which holds the exit code.
async fn answer(
    output: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
    mark: &str,
) -> Result<Answer, ShellError> {
    let mut output = output.take(LONGEST);
    let mut bytes = Vec::new();
    loop {
        let from = bytes.len();
        let read = output.read_until(b'\n', &mut bytes).await.map_err(ShellError::Gone)?;
        if read == 0 {
            let end = std::io::ErrorKind::UnexpectedEof.into();
            return Err(if output.limit() == 0 { ShellError::Long } else { ShellError::Gone(end) });
        }
        let Some(status) = status(&bytes[from..], mark) else { continue };
        // The line break before the mark is the mark's.
        bytes.truncate(from.saturating_sub(1));
        return Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() });
    }
}

fn status(line: &[u8], mark: &str) -> Option<i32> {
    std::str::from_utf8(line).ok()?.trim_end().strip_prefix(mark)?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A shell of this machine, which takes `sh -c "exec /bin/sh"` for what labgrid does with the words.
    async fn shell() -> Shell {
        let mut command = Command::new("sh");
        command.args(["-c", "echo Selected role main; eval \"$0\""]).kill_on_drop(true);
        Shell::open(command, "exec /bin/sh".into(), PATIENCE).await.unwrap()
    }

    #[tokio::test]
    async fn each_script_gets_its_own_words_and_exit_code() {
        let mut shell = shell().await;
        assert_eq!(shell.run("printf 'no line break'", PATIENCE).await.unwrap(), "no line break");
        let failed = shell.ask("echo out; echo err >&2; exit 3", PATIENCE).await.unwrap();
        assert_eq!(failed, Answer { status: 3, text: "out\nerr\n".into() });
        let error = shell.run("echo why; false", PATIENCE).await.unwrap_err().to_string();
        assert_eq!(error, "a command on the board failed (1): why");
        // What reads the input would eat the next script.
        assert_eq!(shell.run("cat; echo done", PATIENCE).await.unwrap(), "done\n");
    }

    #[tokio::test]
    async fn a_script_that_hangs_and_a_connection_that_breaks_are_errors() {
        assert!(matches!(
            shell().await.ask("sleep 60", Duration::from_millis(50)).await,
            Err(ShellError::Late(_))
        ));
        assert!(matches!(shell().await.ask("kill -9 $$", PATIENCE).await, Err(ShellError::Gone(_))));
        assert!(matches!(
            Shell::open(Command::new("false"), String::new(), PATIENCE).await,
            Err(ShellError::Gone(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..200), code: i32) {
            let mut all = bytes.clone();
            all.extend(format!("\nmark {code}\n").as_bytes());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answer = runtime.block_on(answer(&mut all.as_slice(), "mark")).unwrap();
            prop_assert_eq!(answer, Answer { status: code, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
}
