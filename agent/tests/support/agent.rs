//! The agent or hub as a process, its address and its metrics.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use super::{board::metric, free_port};

/// A running `p2pcam-agent`, ended when dropped.
pub struct Agent {
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    /// Port of the page, if it has one.
    pub http: u16,
    metrics: u16,
    /// Its secrets live here.
    pub state: tempfile::TempDir,
}

/// How an agent is started; fields are what differs between tests.
pub struct Start<'a> {
    pub command: &'a str,
    pub video: &'a str,
    pub audio: &'a str,
    pub more: Vec<String>,
    pub env: Vec<(&'a str, String)>,
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self { command: "run", video: "pattern", audio: "tone", more: Vec::new(), env: Vec::new() }
    }
}

impl Agent {
    pub fn start(start: Start<'_>) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), start)
    }

    /// Starts with an existing state folder.
    pub fn start_in(state: tempfile::TempDir, start: Start<'_>) -> Self {
        let (http, metrics) = (free_port(), free_port());
        let mut command = Command::new(program());
        command.arg(start.command);
        command
            .args(["--http", &format!("127.0.0.1:{http}"), "--https", "", "--state-dir"])
            .arg(state.path());
        if start.command == "run" {
            command.args(["--video", start.video, "--audio", start.audio, "--device-id", "cam"]);
        }
        command
            .args(&start.more)
            .env("P2PCAM_TELEMETRY_LISTEN", format!("127.0.0.1:{metrics}"))
            .env("P2PCAM_ICE_LOOPBACK", "true")
            .env("NO_COLOR", "1")
            .envs(start.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the agent starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (out, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = out.send(line);
            }
        });
        let stderr = child.stderr.take().expect("piped");
        let copy = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = copy.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let stdin = child.stdin.take();
        let agent = Self { child, stdin, lines, log, http, metrics, state };
        agent.wait_ready();
        agent
    }

    fn wait_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while get(self.metrics, "/health").is_none() {
            assert!(Instant::now() < deadline, "the agent did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A line that it printed on stdout.
    pub fn line(&self, within: Duration) -> String {
        self.lines
            .recv_timeout(within)
            .unwrap_or_else(|_| panic!("nothing on stdout within {within:?}:\n{}", self.log()))
    }

    /// Writes a line to its stdin.
    pub fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(line.as_bytes()).and_then(|()| stdin.write_all(b"\n")).expect("it reads");
    }

    /// The page's address with the viewer secret; `options` go into the fragment (`codec=vp8`).
    pub fn page(&self, options: &str) -> String {
        self.page_at(self.http, options)
    }

    /// The same on another port (behind something in between).
    pub fn page_at(&self, port: u16, options: &str) -> String {
        let token = self.secret("viewer");
        format!("http://127.0.0.1:{port}/#device=cam&token={token}&{options}")
    }

    /// A secret from the state folder.
    pub fn secret(&self, name: &str) -> String {
        read_secret(self.state.path(), name)
    }

    /// The OpenMetrics text.
    pub fn metrics(&self) -> String {
        get(self.metrics, "/metrics").unwrap_or_default()
    }

    /// What `/health` answers while all is well.
    pub fn health(&self) -> String {
        get(self.metrics, "/health").expect("healthy")
    }

    /// The sum of a metric over its labels that contain `label`; 0 if it is not there.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        metric(&self.metrics(), name, label)
    }

    /// Resources of the process: open file descriptors and threads.
    pub fn resources(&self) -> (usize, usize) {
        let count =
            |what| std::fs::read_dir(format!("/proc/{}/{what}", self.child.id())).map_or(0, Iterator::count);
        (count("fd"), count("task"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and gives the time until the process is gone.
    pub fn terminate(&mut self) -> Duration {
        let asked = Instant::now();
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.is_ok_and(|s| s.success()), "kill works");
        let deadline = asked + Duration::from_secs(10);
        while self.child.try_wait().expect("waitable").is_none() {
            assert!(Instant::now() < deadline, "did not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        asked.elapsed()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let (files, threads) = self.resources();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {files} files and {threads} threads at the end");
            eprintln!("--- log of the agent\n{}---", self.log());
        }
    }
}

/// The binary under test; benchmarks name the release build.
fn program() -> std::ffi::OsString {
    std::env::var_os("AGENT_UNDER_TEST").unwrap_or_else(|| env!("CARGO_BIN_EXE_p2pcam-agent").into())
}

/// A secret from a state folder.
pub fn read_secret(state: &Path, name: &str) -> String {
    let path = state.join(format!("{name}-token"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_owned()
}

/// A plain HTTP GET on loopback: the body of a 200.
pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}
