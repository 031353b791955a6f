//! Chromium and the agent on one link, both hiding their addresses behind `.local` names: each finds the other's.
//!
//! A firewall on one side lets in only who was sent something before. So it takes the other side's name, looked up, to
//! make a path at all.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use support::{agent::read_secret, board::metric, browser::Browser, eventually};

/// Says to a test that it runs in the viewer's namespace, and which is the camera's.
const CAMERA: &str = "CAMERA_NAMESPACE_OF_TEST";
const PAGE: &str = "10.78.0.1:8080";
const METRICS: &str = "10.78.0.1:9464";
const PATIENCE: Duration = Duration::from_secs(20);
/// Lets in mDNS, TCP, and UDP from where something was sent to.
const FIREWALL: &str = "table inet door { chain in { type filter hook input priority 0; policy drop; \
    iif lo accept; ct state established,related accept; meta l4proto tcp accept; meta l4proto ipv6-icmp accept; \
    udp dport 5353 accept; }; }";

fn run(command: &str) -> bool {
    Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The side that a firewall is on.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Camera,
    Viewer,
}

/// Both sides' network namespaces and the link between them; gone when dropped.
struct Link {
    camera: String,
    viewer: String,
}

impl Link {
    fn new(walled: Side) -> Self {
        let name =
            |side: &str| format!("p2phil-names-{}-{side}", if walled == Side::Camera { "c" } else { "v" });
        let link = Self { camera: name("camera"), viewer: name("viewer") };
        link.remove();
        let Self { camera, viewer } = &link;
        let walled = if walled == Side::Camera { camera } else { viewer };
        assert!(run(&format!(
            "set -e
            ip netns add {camera}; ip netns add {viewer}
            ip link add lan netns {camera} type veth peer name lan netns {viewer}
            for ns in {camera} {viewer}; do ip -n $ns link set lo up; ip -n $ns link set lan up; done
            ip -n {camera} addr add 10.78.0.1/24 dev lan; ip -n {viewer} addr add 10.78.0.2/24 dev lan
            ip -n {camera} route add default via 10.78.0.2; ip -n {viewer} route add default via 10.78.0.1
            ip netns exec {walled} nft '{FIREWALL}'"
        )));
        link
    }

    fn remove(&self) {
        let Self { camera, viewer } = self;
        run(&format!("ip netns del {camera} 2>/dev/null; ip netns del {viewer} 2>/dev/null"));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The agent in the camera's namespace, ended when dropped.
struct Camera {
    agent: Child,
    state: tempfile::TempDir,
}

impl Camera {
    fn start(hide: bool) -> Self {
        let state = tempfile::tempdir().unwrap();
        let log = fs::File::create(state.path().join("log")).unwrap();
        let agent = Command::new("ip")
            .args(["netns", "exec", &env::var(CAMERA).unwrap(), env!("CARGO_BIN_EXE_p2pcam-agent"), "run"])
            .args([
                "--http",
                PAGE,
                "--https",
                "",
                "--video",
                "pattern",
                "--audio",
                "none",
                "--device-id",
                "cam",
            ])
            .args([Path::new("--state-dir"), state.path()])
            .env("P2PCAM_TELEMETRY_LISTEN", METRICS)
            .env("P2PCAM_ICE_HIDE_ADDRESSES", hide.to_string())
            // The firewall lets it through.
            .env("P2PCAM_ICE_TCP", "false")
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self { agent: agent.unwrap(), state }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state.path().join("log")).unwrap()
    }

    fn metrics() -> Option<String> {
        let mut stream = TcpStream::connect(METRICS).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: camera\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the agent\n{}---", self.log());
        }
    }
}

/// Runs the test again in the viewer's namespace, with a firewall around one side. False: this is that run.
fn outside(test: &str, walled: Side) -> bool {
    if env::var_os(CAMERA).is_some() {
        return false;
    }
    if !run("test $(id -u) = 0 && command -v ip nft chromium chromedriver") {
        println!("not run: it takes root, and the packages iproute2, nftables, chromium and chromium-driver");
        return true;
    }
    let link = Link::new(walled);
    let status = Command::new("ip")
        .args(["netns", "exec", &link.viewer])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CAMERA, &link.camera)
        .status();
    assert!(status.unwrap().success());
    true
}

/// Watches until there are pictures; gives the candidates of both sides as the page knows them, and the agent's log.
async fn watch(hide: bool) -> (String, String, String) {
    let camera = Camera::start(hide);
    eventually("the agent answers", PATIENCE, || async { Camera::metrics() }).await;
    let browser = Browser::start().await;
    let token = read_secret(camera.state.path(), "viewer");
    browser.open(&format!("http://{PAGE}/#device=cam&token={token}")).await;
    browser.wait_picture().await;
    browser.wait_frames(10.0).await;
    let candidates = |side: &'static str| {
        let expression = format!("window.p2pcam.peerConnection.{side}Description.sdp");
        let browser = &browser;
        async move {
            let sdp = browser.eval(&expression).await;
            let lines = sdp.as_str().unwrap().lines().filter(|line| line.contains("candidate:"));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    let (its, ours) = (candidates("local").await, candidates("remote").await);
    println!("Chromium's candidates:\n{its}\nthe agent's:\n{ours}");
    let connected = camera.log().lines().find(|line| line.contains("connected after")).unwrap().to_owned();
    println!("{connected}");
    let metrics = Camera::metrics().unwrap();
    assert!(metric(&metrics, "p2pcam_transport_mdns_lookups_total", "result=\"found\"") >= 1.0, "{metrics}");
    assert_eq!(metric(&metrics, "p2pcam_transport_mdns_names", ""), f64::from(u8::from(hide)));
    (its, ours, connected)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_finds_a_browser_behind_its_name() {
    if outside("the_agent_finds_a_browser_behind_its_name", Side::Camera) {
        return;
    }
    let (its, ours, connected) = watch(false).await;
    assert!(its.contains(".local ") && !its.contains(" 10.78.0.2 "), "Chromium hides its address: {its}");
    assert!(ours.contains(" 10.78.0.1 "), "the agent does not: {ours}");
    assert!(connected.contains("host 10.78.0.1:") && connected.contains("to host 10.78.0.2:"), "{connected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_finds_the_agent_behind_its_name() {
    if outside("a_browser_finds_the_agent_behind_its_name", Side::Viewer) {
        return;
    }
    let (its, ours, connected) = watch(true).await;
    assert!(its.contains(".local ") && ours.contains(".local "), "both hide their addresses: {its}\n{ours}");
    assert!(!ours.contains("10.78.0.1"), "{ours}");
    assert!(connected.contains("host 10.78.0.1:") && connected.contains("10.78.0.2:"), "{connected}");
}
