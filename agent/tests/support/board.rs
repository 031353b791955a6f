//! A booted board, seen from the machine that `scripts/board` runs on: its address, and a shell in it.

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// What [`Board::configure`] calls the device.
const DEVICE: &str = "board";

/// A board that `scripts/board test` booted.
pub struct Board {
    /// Its address, as this machine reaches it.
    pub host: String,
    shell: Vec<String>,
}

/// Runs on the board until it is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The board's side ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Board {
    /// The board that the environment names; `None` without one, which is said.
    pub fn from_env() -> Option<Self> {
        let (Ok(host), Ok(shell)) = (std::env::var("P2PCAM_BOARD_HOST"), std::env::var("P2PCAM_BOARD_SHELL"))
        else {
            println!("not run: no board is booted; `scripts/board test` boots one");
            return None;
        };
        Some(Self { host, shell: shell.split_whitespace().map(str::to_owned).collect() })
    }

    fn command(&self, line: &str) -> Command {
        let (program, args) = self.shell.split_first().expect("P2PCAM_BOARD_SHELL names a program");
        let mut command = Command::new(program);
        command.args(args).arg(line).stdin(Stdio::null());
        command
    }

    /// Runs a shell line as root on the board and gives what it printed; panics if it failed.
    pub fn run(&self, line: &str) -> String {
        let Output { status, stdout, stderr } =
            self.command(line).output().expect("the board's shell starts");
        assert!(status.success(), "`{line}` on the board: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).trim().to_owned()
    }

    /// Starts a program on the board, which goes on until the result is dropped.
    pub fn start(&self, line: &str) -> Running {
        // A program without a terminal outlives the shell that started it.
        let line = format!("{line} & program=$!; cat >/dev/null; kill $program");
        let child =
            self.command(&line).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Running(child.expect("the board's shell starts"))
    }

    /// Gives the agent another agent.toml and starts it again; returns when it is ready. The image's own is kept for
    /// [`Self::restore`].
    pub fn configure(&self, toml: &str) {
        self.run(&format!(
            "cat >/run/agent.toml.new <<'END'\n[device]\nid = \"{DEVICE}\"\n{toml}\nEND\n\
             [ -e /run/agent.toml.own ] || cp /etc/p2pcam/agent.toml /run/agent.toml.own\n\
             install -m 644 /run/agent.toml.new /etc/p2pcam/agent.toml && systemctl restart p2pcam-agent"
        ));
    }

    /// Gives the agent the image's agent.toml back.
    pub fn restore(&self) {
        self.run(
            "[ ! -e /run/agent.toml.own ] || \
             { install -m 644 /run/agent.toml.own /etc/p2pcam/agent.toml && systemctl restart p2pcam-agent; }",
        );
    }

    /// The page's address with the viewer's secret.
    pub fn page(&self, options: &str) -> String {
        let token = self.run("cat /var/lib/p2pcam/viewer-token");
        format!("https://{}:8443/#device={DEVICE}&token={token}&{options}", self.host)
    }

    /// The agent's metrics as OpenMetrics text.
    pub fn metrics(&self) -> String {
        self.run("curl --silent --fail --max-time 5 http://127.0.0.1:9464/metrics")
    }

    /// The sum of a metric over its labels that contain `label`; 0 if it is not there.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        metric(&self.metrics(), name, label)
    }

    /// Asks a metric until it is as wanted.
    pub fn wait_metric(
        &self,
        name: &str,
        label: &str,
        within: Duration,
        wanted: impl Fn(f64) -> bool,
    ) -> f64 {
        let deadline = Instant::now() + within;
        loop {
            let value = self.metric(name, label);
            if wanted(value) {
                return value;
            }
            assert!(Instant::now() < deadline, "{name}{{{label}}} is {value} after {within:?}");
        }
    }
}

/// The sum of a metric in an OpenMetrics text over its labels that contain `label`.
pub fn metric(text: &str, name: &str, label: &str) -> f64 {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(label))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}
