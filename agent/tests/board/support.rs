//! What board tests stand on: the board's devices, its services and their journal, and agents with a configuration of
//! their own.
#![allow(dead_code)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest that anything on an idle board should take; an emulated processor is shared with others.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Whether this is the board. Each test begins with `if !on_board() { return }`.
pub fn on_board() -> bool {
    let on = std::env::var_os("P2PCAM_BOARD").is_some_and(|value| value == "1");
    if !on {
        println!("not run: this is not the board; `scripts/board test` runs it there");
    }
    on
}

/// Looks until the answer is there or `within` is over; `what` is named in the failure.
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// Runs a program and gives what became of it.
pub fn try_run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a program that must succeed and gives what it printed, without blanks at the ends.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = try_run(program, arguments);
    assert!(status.success(), "{program} {arguments:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// How a V4L2 device hands its pictures over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planarity {
    /// `V4L2_CAP_VIDEO_CAPTURE`: a picture is one buffer.
    Single,
    /// `V4L2_CAP_VIDEO_CAPTURE_MPLANE`: each plane may be a buffer.
    Multi,
}

/// Capability bits of the kernel's `struct v4l2_capability` (videodev2.h).
const V4L2_CAP_VIDEO_CAPTURE: u32 = 0x0000_0001;
const V4L2_CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;

/// The first V4L2 node that captures, by its driver ("vivid") and planarity; never by its number, which depends on the
/// order of loading.
pub fn camera(driver: &str, planarity: Planarity) -> PathBuf {
    let wanted = match planarity {
        Planarity::Single => V4L2_CAP_VIDEO_CAPTURE,
        Planarity::Multi => V4L2_CAP_VIDEO_CAPTURE_MPLANE,
    };
    video_nodes()
        .into_iter()
        .find(|node| node_info(node).is_some_and(|(name, caps)| name == driver && caps & wanted != 0))
        .unwrap_or_else(|| panic!("the board has no {planarity:?}-planar camera of {driver}"))
}

/// All V4L2 nodes, in the order of their numbers.
pub fn video_nodes() -> Vec<PathBuf> {
    let mut numbers: Vec<u32> = fs::read_dir("/sys/class/video4linux")
        .map(|nodes| {
            nodes
                .flatten()
                .filter_map(|node| node.file_name().to_str()?.strip_prefix("video")?.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| format!("/dev/video{number}").into()).collect()
}

/// Driver and device capabilities of a node, as `v4l2-ctl` prints them.
pub fn node_info(node: &Path) -> Option<(String, u32)> {
    let text = try_run("v4l2-ctl", &["--device", node.to_str()?, "--info"]).stdout;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let caps = value("Device Caps")?;
    Some((value("Driver name")?, u32::from_str_radix(caps.trim_start_matches("0x"), 16).ok()?))
}

/// The journal of a unit from here on.
pub struct Journal {
    unit: String,
    cursor: String,
}

impl Journal {
    /// From now on.
    pub fn of(unit: &str) -> Self {
        let text = run("journalctl", &["--lines=0", "--show-cursor", "--quiet"]);
        let cursor = text.rsplit_once("-- cursor: ").expect("journalctl shows a cursor").1.to_owned();
        Self { unit: unit.to_owned(), cursor }
    }

    /// The messages since, one a line.
    pub fn messages(&self) -> String {
        self.read("cat")
    }

    /// The entries since, one JSON object a line, with all their fields.
    pub fn entries(&self) -> String {
        self.read("json")
    }

    fn read(&self, output: &str) -> String {
        run(
            "journalctl",
            &["--quiet", "--all", "--unit", &self.unit, "--after-cursor", &self.cursor, "--output", output],
        )
    }

    /// Waits for a message that holds `text` and gives it.
    pub fn wait_for(&self, text: &str, within: Duration) -> String {
        eventually(&format!("{} says: {text}", self.unit), within, || {
            self.messages().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }
}

/// A property of a systemd unit.
pub fn unit_property(unit: &str, property: &str) -> String {
    run("systemctl", &["show", "--value", "--property", property, unit])
}

/// A plain HTTP GET: status and body, or nothing while nobody listens.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The sum of a metric in an OpenMetrics text over its labels that contain `label`; 0 if it is not there.
pub fn metric(text: &str, name: &str, label: &str) -> f64 {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(key, _)| key.split('{').next() == Some(name) && key.contains(label))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}

/// A temporary folder, gone when dropped. The crate tempfile would be one more to build for the board.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty folder under `$TMPDIR`.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("board-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The agent under test with a configuration of its own, beside the board's service; ended when dropped.
pub struct Agent {
    child: Child,
    folder: Folder,
    /// Its page, in plain HTTP on loopback.
    pub hub: SocketAddr,
    /// Its metrics and health.
    pub telemetry: SocketAddr,
}

impl Agent {
    /// Starts with these tables of agent.toml and waits until all its parts are up. The tables `device`, `hub`, `telemetry` and
    /// `ice` are the helper's.
    pub fn start(tables: &str) -> Self {
        let folder = Folder::new();
        let (hub, telemetry) = (free_address(), free_address());
        let config = folder.0.join("agent.toml");
        let state = folder.0.join("state");
        fs::create_dir(&state).expect("a folder for its state");
        let text = format!(
            "[device]\nid = \"cam\"\nstate_dir = \"{}\"\n[hub]\nhttp = \"{hub}\"\nhttps = \"\"\n\
             [telemetry]\nlisten = \"{telemetry}\"\n[ice]\nloopback = true\n{tables}\n",
            state.display()
        );
        fs::write(&config, text).expect("its configuration can be written");
        let log = fs::File::create(folder.0.join("log")).expect("its log can be written");
        let child = Command::new(program())
            .arg("run")
            .arg("--config")
            .arg(&config)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        let mut agent = Self { child, folder, hub, telemetry };
        eventually("the agent answers", PATIENCE, || {
            let ended = agent.child.try_wait().expect("waitable");
            assert!(ended.is_none(), "the agent ended: {ended:?}\n{}", agent.log());
            get(agent.telemetry, "/health").filter(|(_, health)| !health.contains("\"starting\"")).map(drop)
        });
        agent
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    /// Its metrics as OpenMetrics text.
    pub fn metrics(&self) -> String {
        get(self.telemetry, "/metrics").map(|(_, text)| text).unwrap_or_default()
    }

    /// The sum of a metric over its labels that contain `label`; 0 if it is not there.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        metric(&self.metrics(), name, label)
    }

    /// What `/health` answers: status and JSON.
    pub fn health(&self) -> (u16, String) {
        get(self.telemetry, "/health").expect("the agent answers")
    }

    /// A secret from its state folder ("viewer", "device").
    pub fn secret(&self, name: &str) -> String {
        let path = self.folder.0.join("state").join(format!("{name}-token"));
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the agent\n{}---", self.log());
        }
    }
}

/// The binary under test: on the board the installed one.
pub fn program() -> PathBuf {
    std::env::var_os("AGENT_UNDER_TEST").map_or_else(|| "/usr/bin/p2pcam-agent".into(), PathBuf::from)
}

/// A port of loopback that is free right now.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback has free ports")
}
