//! The agent as a process of a namespace, with real servers: started, asked, killed, stopped, and what is kept of it.

#![allow(clippy::unwrap_used)]

mod board_support;

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use board_support::{World, is_up, uptime};
use p2pcam_hil::{
    board::{Board, BoardError, BoardOptions, Deployment, local::LocalBoard, open},
    scenario::plan::BoardKind,
};

async fn world(name: &str) -> Option<World> {
    World::new(&format!("brd-{name}"), BoardKind::Local, Vec::new()).await
}

fn board(world: &World) -> Box<dyn Board> {
    open(BoardKind::Local, &world.options()).unwrap()
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
    let Some(world) = world("start").await else { return };
    let mut board = board(&world);
    let begun = Instant::now();
    board.start(&world.lab, &world.deployment("")).await.unwrap();
    println!("ready after {:?}", begun.elapsed());
    assert!(is_up(&board.metrics().await.unwrap()));
}

#[tokio::test]
async fn a_killed_agent_is_back_after_a_second() {
    let Some(world) = world("kill").await else { return };
    let mut board = board(&world);
    board.start(&world.lab, &world.deployment("")).await.unwrap();
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
    let Some(world) = world("stop").await else { return };
    let folder = world.folder.path().join("board");
    let mut board = board(&world);
    board.start(&world.lab, &world.deployment("")).await.unwrap();
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
    let token = world.deployment("").token;
    assert!(!read("agent.toml").contains(&token) && !read("agent.log").contains(&token));
}

#[tokio::test]
async fn a_board_that_is_dropped_takes_its_agent_along() {
    let Some(world) = world("drop").await else { return };
    let folder = world.folder.path().join("board");
    let mut board = board(&world);
    board.start(&world.lab, &world.deployment("")).await.unwrap();
    drop(board);
    eventually("its end", || processes(&folder).is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_agent_that_crashes_leaves_its_core_and_is_started_again() {
    let Some(world) = world("core").await else { return };
    if fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with(['|', '/']) {
        return println!("not run: core dumps go elsewhere on this machine (kernel.core_pattern)");
    }
    let folder = world.folder.path().join("board");
    let mut board = board(&world);
    board.start(&world.lab, &world.deployment("")).await.unwrap();
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
    let Some(world) = world("wrong").await else { return };
    let mut board = board(&world);
    let deployment = world.deployment("[video]\nwidht = 640");
    let error = board.start(&world.lab, &deployment).await.unwrap_err();
    assert!(matches!(error, BoardError::Agent(_)));
    let words = error.to_string();
    assert!(words.contains("widht") && words.contains("did you mean `width`?"), "{words}");
}

#[tokio::test]
async fn a_hub_that_refuses_the_device_is_told_in_the_agents_own_words() {
    let Some(world) = world("token").await else { return };
    let mut board = board(&world);
    let deployment = Deployment { token: "wrong".into(), ..world.deployment("") };
    let words = board.start(&world.lab, &deployment).await.unwrap_err().to_string();
    assert!(words.contains("did not reach the hub") && words.contains("token"), "{words}");
}

#[tokio::test]
async fn what_a_process_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    // Any program will do, as none is started.
    let options = board_support::options("/bin/true".into(), folder.path());
    let mut board = LocalBoard::new(&options).unwrap();
    assert!(matches!(board.step_clock(3).await, Err(BoardError::Unable { board: "local", .. })));
    assert!(matches!(board.plug_camera(false).await, Err(BoardError::Unable { board: "local", .. })));
    assert!(matches!(board.kill_agent().await, Err(BoardError::Agent(_))));
    let missing = BoardOptions { agent: "/nowhere/agent".into(), ..options };
    let words = LocalBoard::new(&missing).unwrap_err().to_string();
    assert!(words.contains("/nowhere/agent") && words.contains("cargo build -p p2pcam-agent"), "{words}");
}
