//! The agent as a process of a namespace, with a real hub: started, asked, killed, stopped, and what is kept of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use p2pcam_hil::{
    board::{Board, BoardError, BoardOptions, Deployment, local::LocalBoard},
    lab::namespace::{Namespace, NamespaceError},
    process::{Program, Spec},
};

const HUB: &str = "127.0.0.1:8080";

/// A namespace with a hub, and a folder for all that is written.
struct World {
    // Dropped in this order.
    _hub: Program,
    namespace: Namespace,
    folder: tempfile::TempDir,
}

impl World {
    /// None without root.
    fn new(name: &str) -> Option<Self> {
        let namespace = match Namespace::create(&format!("boards-{name}-{}", std::process::id())) {
            Err(NamespaceError::NotRoot) => {
                println!("not run: namespaces take root");
                return None;
            }
            made => made.unwrap(),
        };
        let up = namespace.command("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("hub.log");
        let state = folder.path().join("hub");
        fs::create_dir(&state).unwrap();
        let args = ["hub", "--http", HUB, "--https", "", "--state-dir"];
        let hub = Program::start(Spec {
            what: "the hub",
            program: &agent(),
            args: args.iter().map(Into::into).chain([state.into()]).collect(),
            // Its metrics would take the agent's port.
            env: vec![("P2PCAM_TELEMETRY_LISTEN".into(), "".into())],
            namespace: Some(&namespace),
            log: &log,
            pipe_stdout: false,
        })
        .unwrap();
        Some(Self { _hub: hub, namespace, folder })
    }

    async fn deployment(&self, config: &str) -> Deployment {
        let file = self.folder.path().join("hub/device-token");
        let token = eventually("the hub's token", || fs::read_to_string(&file).ok()).await;
        Deployment {
            hub: format!("ws://{HUB}/v1/device"),
            device: "porch".into(),
            token: token.trim().to_owned(),
            turn_ca: None,
            config: config.parse().unwrap(),
        }
    }

    fn board(&self) -> LocalBoard {
        LocalBoard::new(&options(&self.folder.path().join("board"))).unwrap()
    }
}

fn options(folder: &Path) -> BoardOptions {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    BoardOptions { agent: agent(), tree, place: None, coordinator: None, folder: folder.to_owned() }
}

/// The agent of the same build; `P2PCAM_HIL_AGENT` names another one.
fn agent() -> PathBuf {
    std::env::var_os("P2PCAM_HIL_AGENT").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_p2pcam-hil")).with_file_name("p2pcam-agent"),
        PathBuf::from,
    )
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn uptime(metrics: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with("p2pcam_process_uptime_seconds "));
    line.and_then(|line| line.split(' ').nth(1)).and_then(|value| value.parse().ok()).expect("its uptime")
}

fn is_up(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "p2pcam_signaling_link_up 1")
}

/// Ids of processes whose command line names the board's folder.
fn processes(folder: &Path) -> Vec<String> {
    let ours = |command: Vec<u8>| String::from_utf8_lossy(&command).contains(folder.to_str().unwrap());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| fs::read(process.path().join("cmdline")).is_ok_and(ours))
        .map(|process| process.file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn an_agent_that_is_started_has_reached_the_hub_and_tells_its_metrics() {
    let Some(world) = World::new("start") else { return };
    let mut board = world.board();
    let begun = Instant::now();
    board.start_in(&world.namespace, &world.deployment("").await).await.unwrap();
    println!("ready after {:?}", begun.elapsed());
    assert!(is_up(&board.metrics().await.unwrap()));
}

#[tokio::test]
async fn a_killed_agent_is_back_after_a_second() {
    let Some(world) = World::new("kill") else { return };
    let mut board = world.board();
    board.start_in(&world.namespace, &world.deployment("").await).await.unwrap();
    let before = Instant::now();
    board.kill_agent().await.unwrap();
    assert!(board.metrics().await.is_err(), "it is dead for a while");
    let again = board.kill_agent().await.unwrap_err().to_string();
    assert!(again.contains("dead already"), "{again}");
    let metrics = loop {
        match board.metrics().await {
            Ok(metrics) if is_up(&metrics) => break metrics,
            _ => assert!(before.elapsed() < Duration::from_secs(10), "it does not come back"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!("back after {:?}", before.elapsed());
    assert!(before.elapsed() >= Duration::from_secs(1) && uptime(&metrics) < before.elapsed().as_secs_f64());
}

#[tokio::test]
async fn what_is_stopped_leaves_no_process_and_keeps_its_last_metrics() {
    let Some(world) = World::new("stop") else { return };
    let folder = world.folder.path().join("board");
    let mut board = world.board();
    board.start_in(&world.namespace, &world.deployment("").await).await.unwrap();
    assert_eq!(processes(&folder).len(), 1);
    board.stop().await.unwrap();
    assert_eq!(processes(&folder).len(), 0);
    let kept = tempfile::tempdir().unwrap();
    let files = board.collect(kept.path()).await;
    let names: Vec<_> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
    assert_eq!(names, ["agent.log", "agent.toml", "metrics.txt"]);
    let read = |name: &str| fs::read_to_string(kept.path().join(name)).unwrap();
    assert!(read("agent.log").contains("connected to the hub"), "{}", read("agent.log"));
    assert!(is_up(&read("metrics.txt")));
    let token = world.deployment("").await.token;
    assert!(!read("agent.toml").contains(&token) && !read("agent.log").contains(&token));
}

#[tokio::test]
async fn a_board_that_is_dropped_takes_its_agent_along() {
    let Some(world) = World::new("drop") else { return };
    let folder = world.folder.path().join("board");
    let mut board = world.board();
    board.start_in(&world.namespace, &world.deployment("").await).await.unwrap();
    drop(board);
    eventually("its end", || processes(&folder).is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_agent_that_crashes_leaves_its_core_and_is_started_again() {
    let Some(world) = World::new("core") else { return };
    if fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with(['|', '/']) {
        return eprintln!("not run: core dumps go elsewhere on this machine (kernel.core_pattern)");
    }
    let folder = world.folder.path().join("board");
    let mut board = world.board();
    board.start_in(&world.namespace, &world.deployment("").await).await.unwrap();
    let id = processes(&folder).pop().unwrap();
    let sent = Command::new("sh").arg("-c").arg(format!("kill -ABRT {id}")).status().unwrap();
    assert!(sent.success());
    eventually("another start", || folder.join("cores/1").exists().then_some(())).await;
    let kept = tempfile::tempdir().unwrap();
    let files = board.collect(kept.path()).await;
    let core = files.iter().find(|file| file.what.contains("core dump")).expect("a core dump");
    let core = fs::metadata(kept.path().join(&core.path)).unwrap().len();
    println!("a core dump of {core} bytes");
    assert!(core > 100_000);
}

#[tokio::test]
async fn a_wrong_setting_is_told_in_the_agents_own_words() {
    let Some(world) = World::new("wrong") else { return };
    let mut board = world.board();
    let deployment = world.deployment("[video]\nwidht = 640").await;
    let error = board.start_in(&world.namespace, &deployment).await.unwrap_err();
    assert!(matches!(error, BoardError::Agent(_)));
    let words = error.to_string();
    assert!(words.contains("widht") && words.contains("did you mean `width`?"), "{words}");
}

#[tokio::test]
async fn a_hub_that_refuses_the_device_is_told_in_the_agents_own_words() {
    let Some(world) = World::new("token") else { return };
    let mut board = world.board();
    let deployment = Deployment { token: "wrong".into(), ..world.deployment("").await };
    let words = board.start_in(&world.namespace, &deployment).await.unwrap_err().to_string();
    assert!(words.contains("did not reach the hub") && words.contains("token"), "{words}");
}

#[tokio::test]
async fn what_a_process_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(mut board) = LocalBoard::new(&options(folder.path())) else {
        return eprintln!("not run: there is no agent {}", agent().display());
    };
    assert!(matches!(board.step_clock(3).await, Err(BoardError::Unable { board: "local", .. })));
    assert!(matches!(board.plug_camera(false).await, Err(BoardError::Unable { board: "local", .. })));
    assert!(matches!(board.kill_agent().await, Err(BoardError::Agent(_))));
    let missing = BoardOptions { agent: "/nowhere/agent".into(), ..options(folder.path()) };
    let words = LocalBoard::new(&missing).unwrap_err().to_string();
    assert!(words.contains("/nowhere/agent") && words.contains("cargo build -p p2pcam-agent"), "{words}");
}
