//! The emulated board in a lab behind a NAT, for real. Each takes a minute of a processor, and the board's image, so they
//! run when asked for: `cargo test -p p2pcam-hil --test board_qemu -- --ignored --nocapture --test-threads=1`.

#![allow(clippy::unwrap_used)]

mod board_support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use board_support::{World, is_up, uptime};
use p2pcam_hil::{
    board::{Board, BoardError, open},
    lab::nat::{Behaviour, Kind},
    scenario::plan::{BoardKind, RouterKind, RouterPlan},
};

async fn world(name: &str) -> Option<World> {
    let behaviour = Behaviour::of("EIM/APDF".parse::<Kind>().unwrap());
    let router = RouterPlan { kind: RouterKind::Computed(behaviour), forwards: Vec::new() };
    World::new(name, BoardKind::Qemu, vec![router]).await
}

async fn started(world: &World, config: &str) -> Box<dyn Board> {
    let begun = Instant::now();
    let mut board = open(BoardKind::Qemu, &world.options()).unwrap();
    board.start(&world.lab, &world.deployment(config)).await.unwrap_or_else(|error| panic!("{error}"));
    println!("ready after {:?}", begun.elapsed());
    board
}

/// Waits for metrics that are as wanted, and says how long that took.
async fn metrics(board: &mut dyn Board, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let metrics = board.metrics().await;
        if let Some(metrics) = metrics.ok().filter(|metrics| wanted(metrics)) {
            println!("{what} after {:?}", begun.elapsed());
            return metrics;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs a command in the guest of a lab's namespace.
fn on_board(namespace: &str, command: &str) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let done = Command::new(tree.join("scripts/board"))
        .args(["ssh", command])
        .env("P2PCAM_BOARD_NAME", namespace)
        .env("P2PCAM_BOARD_NETNS", namespace)
        .env("P2PCAM_BOARD_HOST", "192.168.1.2")
        .stdin(Stdio::null())
        .status();
    assert!(done.unwrap().success(), "{command}");
}

fn qemus(name: &str) -> usize {
    let ours = |command: Vec<u8>| String::from_utf8_lossy(&command).contains(name);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| fs::read(process.path().join("cmdline")).is_ok_and(ours)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an emulated board"]
async fn a_board_takes_its_address_by_dhcp_and_its_agent_reaches_the_hub_is_killed_and_comes_back() {
    let Some(world) = world("brd-qemu").await else { return };
    let mut board = started(&world, "").await;
    assert!(is_up(&metrics(&mut *board, "metrics", |_| true).await));
    let lease = world.lan.leases().pop().expect("a lease");
    assert_eq!(Some(lease.address), world.lab.lan().map(|lan| lan.leases.0));

    let killed = Instant::now();
    board.kill_agent().await.unwrap();
    let back = |metrics: &str| is_up(metrics) && uptime(metrics) < killed.elapsed().as_secs_f64();
    metrics(&mut *board, "the killed agent is back", back).await;

    let crashed = Instant::now();
    on_board("p2phil-brd-qemu-dev", "systemctl kill --signal=ABRT --kill-whom=main p2pcam-agent");
    let back = |metrics: &str| is_up(metrics) && uptime(metrics) < crashed.elapsed().as_secs_f64();
    metrics(&mut *board, "the crashed agent is back", back).await;

    board.step_clock(-3600).await.unwrap();
    assert!(matches!(board.plug_camera(false).await, Err(BoardError::Unable { board: "qemu", .. })));

    let stopping = Instant::now();
    board.stop().await.unwrap();
    println!("stopped after {:?}", stopping.elapsed());
    let kept = tempfile::tempdir().unwrap();
    let files = board.collect(kept.path()).await;
    let names: Vec<_> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
    println!("{names:?}");
    assert!(fs::metadata(kept.path().join("core.0")).expect("a core dump").len() > 100_000);
    let journal = fs::read_to_string(kept.path().join("agent.journal")).unwrap();
    assert!(journal.contains("connected to the hub") && journal.contains("status=9/KILL"), "{journal}");
    assert!(is_up(&fs::read_to_string(kept.path().join("metrics.txt")).unwrap()));

    assert!(qemus("p2pcam-board-p2phil-brd-qemu-dev") > 0);
    let ending = Instant::now();
    drop(board);
    println!("gone after {:?}", ending.elapsed());
    assert_eq!(qemus("p2pcam-board-p2phil-brd-qemu-dev"), 0);
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(!tree.join("target/boards/p2phil-brd-qemu-dev").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an emulated board"]
async fn a_camera_is_pulled_out_and_plugged_in_again() {
    let Some(world) = world("brd-camera").await else { return };
    let mut board = started(&world, "[video]\nsource = \"auto\"\nwidth = 640").await;
    board.plug_camera(false).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    board.plug_camera(true).await.unwrap();
    board.collect(kept.path()).await;
    let journal = fs::read_to_string(kept.path().join("board.journal")).unwrap();
    assert!(journal.contains("vivid-000: V4L2 capture device registered"), "{journal}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an emulated board"]
async fn a_wrong_setting_is_told_in_the_agents_own_words() {
    let Some(world) = world("brd-wrong").await else { return };
    let mut board = open(BoardKind::Qemu, &world.options()).unwrap();
    let error = board.start(&world.lab, &world.deployment("[video]\nwidht = 640")).await.unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, BoardError::Agent(_)), "{words}");
    assert!(words.contains("widht") && words.contains("did you mean `width`?"), "{words}");
}
