//! Opens and closes sessions of one agent, and looks at what the agent holds after each batch. What a session leaves
//! behind grows with their number, however little it is.
#![allow(missing_docs, clippy::expect_used)]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Viewers at a time: as many as an agent takes from one home.
const BATCH: usize = 8;
/// Until what should come has come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// What the agent holds while nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Sessions that were opened and closed so far.
    pub sessions: usize,
    pub memory_bytes: f64,
    pub files: f64,
    pub threads: f64,
}

/// What is held after each batch.
#[derive(Debug)]
pub struct Growth(pub Vec<Held>);

impl Growth {
    /// Runs an agent and opens so many sessions, each to its first picture.
    pub fn measure(agent: &Path, viewer: &Path, sessions: usize) -> Self {
        let agent = Agent::start(agent);
        let mut held = Vec::new();
        let mut done = 0;
        while done < sessions {
            let batch = BATCH.min(sessions - done);
            let viewers: Vec<_> = (0..batch).map(|_| agent.viewer(viewer)).collect();
            for mut viewer in viewers {
                let status = viewer.wait().expect("a viewer can be waited for");
                assert!(status.success(), "a viewer had no picture, after {done} sessions:\n{}", agent.log());
            }
            done += batch;
            held.push(agent.at_rest(done));
        }
        Self(held)
    }

    /// The second half: what is kept warm has been made by then.
    fn second_half(&self) -> &[Held] {
        &self.0[self.0.len() / 2..]
    }

    /// How much more a session leaves, by least squares over the second half.
    pub fn slope(&self, figure: impl Fn(&Held) -> f64) -> f64 {
        let half = self.second_half();
        let count = half.len() as f64;
        let mean = |value: &dyn Fn(&Held) -> f64| half.iter().map(value).sum::<f64>() / count;
        let (x, y) = (mean(&|held| held.sessions as f64), mean(&|held| figure(held)));
        let both = mean(&|held| (held.sessions as f64 - x) * (figure(held) - y));
        both / mean(&|held| (held.sessions as f64 - x).powi(2))
    }

    /// By how much the highest of the last quarter is above the highest of the quarter before.
    pub fn rise(&self, figure: impl Fn(&Held) -> f64) -> f64 {
        let (before, last) = self.second_half().split_at(self.second_half().len() / 2);
        let highest = |part: &[Held]| part.iter().map(&figure).fold(0.0, f64::max);
        highest(last) - highest(before)
    }
}

struct Agent {
    child: Child,
    http: u16,
    metrics: u16,
    state: tempfile::TempDir,
}

impl Agent {
    fn start(program: &Path) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let (http, metrics) = (free_port(), free_port());
        let log = fs::File::create(state.path().join("log")).expect("a log");
        let child = Command::new(program)
            .args(["run", "--https", "", "--video", "pattern", "--audio", "tone", "--device-id", "cam"])
            .args(["--http", &format!("127.0.0.1:{http}"), "--state-dir"])
            .arg(state.path())
            .env("P2PCAM_TELEMETRY_LISTEN", format!("127.0.0.1:{metrics}"))
            .env("P2PCAM_ICE_LOOPBACK", "true")
            .envs([("P2PCAM_VIDEO_WIDTH", "640"), ("P2PCAM_VIDEO_HEIGHT", "360"), ("P2PCAM_VIDEO_FPS", "15")])
            // What was freed goes back at once (mallopt(3)): else memory is what all at a time once needed.
            .envs([("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "0")])
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        let agent = Self { child, http, metrics, state };
        agent.until("the agent serves", || {
            let serves = TcpStream::connect(("127.0.0.1", http)).is_ok() && !agent.metrics().is_empty();
            (serves && agent.token().is_some()).then_some(())
        });
        agent
    }

    /// The viewers' token, once it is made.
    fn token(&self) -> Option<String> {
        let token = fs::read_to_string(self.state.path().join("viewer-token")).ok()?.trim().to_owned();
        (!token.is_empty()).then_some(token)
    }

    /// One that ends with its first picture.
    fn viewer(&self, program: &Path) -> Child {
        Command::new(program)
            .args(["watch", "--device", "cam", "--address", "127.0.0.1", "--until-picture"])
            .args(["--hub", &format!("127.0.0.1:{}", self.http)])
            .args(["--seconds", &PATIENCE.as_secs().to_string()])
            .env("P2PCAM_VIEWER_TOKEN", self.token().expect("the viewers' token"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a viewer starts")
    }

    /// What it holds as soon as all sessions are closed and nothing is encoded.
    fn at_rest(&self, sessions: usize) -> Held {
        let text = self.until("all sessions are closed", || {
            let text = self.metrics();
            let rests = ["p2pcam_sessions_open", "p2pcam_video_encoders"].map(|name| sum(&text, name));
            (rests == [Some(0.0), Some(0.0)]).then_some(text)
        });
        let figure = |name: &str| sum(&text, name).unwrap_or_else(|| panic!("no {name}"));
        Held {
            sessions,
            memory_bytes: figure("p2pcam_process_resident_memory_bytes"),
            files: figure("p2pcam_process_open_fds"),
            threads: figure("p2pcam_process_threads"),
        }
    }

    fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", self.log());
            thread::sleep(LOOK);
        }
    }

    /// The OpenMetrics text; empty while nobody answers.
    fn metrics(&self) -> String {
        let get = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.metrics))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        };
        get().unwrap_or_default()
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.state.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A metric over all its labels; `None`: it is not there.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value =
            rest.strip_prefix('{').map_or(rest, |labels| labels.rsplit_once('}').map_or("", |split| split.1));
        value.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// The agent beside the rig's program, or the one that `AGENT_UNDER_TEST` names.
pub fn agent_program(viewer: &Path) -> PathBuf {
    std::env::var_os("AGENT_UNDER_TEST").map_or_else(|| viewer.with_file_name("p2pcam-agent"), PathBuf::from)
}
