//! The agent on a board of a labgrid place, with real coordinator, exporter and client: the emulated board on the bench of
//! hil/labgrid/bench, which sets the variables named here and runs this by `./hil/labgrid/bench test`.
#![allow(clippy::unwrap_used)]

mod board_support;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use board_support::{World, is_up, uptime};
use p2pcam_hil::{
    board::{
        Board, BoardError,
        labgrid::{LabgridBoard, LabgridOptions, place::Place},
    },
    lab::nat::{Behaviour, Kind},
    scenario::plan::{BoardKind, RouterKind, RouterPlan},
};

/// The image for the card, the agent for the board, and the key that opens the board.
const IMAGE: &str = "P2PHIL_LABGRID_IMAGE";
const AGENT: &str = "P2PHIL_LABGRID_AGENT";
const KEY: &str = "P2PHIL_LABGRID_KEY";

/// systemd starts the agent again after two seconds; the emulated processor takes its time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

fn bench() -> Option<[PathBuf; 3]> {
    let mut files = [PathBuf::new(), PathBuf::new(), PathBuf::new()];
    for (file, name) in files.iter_mut().zip([IMAGE, AGENT, KEY]) {
        match env::var_os(name) {
            Some(path) => *file = path.into(),
            None => {
                println!("not run: no labgrid bench ({name} is not set): ./hil/labgrid/bench test");
                return None;
            }
        }
    }
    Some(files)
}

/// labgrid-client by hand, as HOST/USER.
fn by_hand(user: &str, words: &[&str]) -> String {
    let mut command = Command::new("labgrid-client");
    if let Some((host, user)) = user.split_once('/') {
        command.env("LG_HOSTNAME", host).env("LG_USERNAME", user);
    }
    let output = command.args(words).output().expect("labgrid-client is on PATH");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_here(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

#[tokio::test]
async fn a_board_of_a_place_is_flashed_started_watched_and_given_back() {
    let Some([image, agent, key]) = bench() else { return };
    let router = RouterPlan { kind: RouterKind::Computed(Behaviour::of(Kind::ALL[0])), forwards: Vec::new() };
    let Some(world) = World::new("labgrid", BoardKind::Labgrid, vec![router]).await else { return };
    let options = p2pcam_hil::board::BoardOptions {
        place: Some(env::var("LG_PLACE").expect("the bench names its place")),
        coordinator: Some(env::var("LG_COORDINATOR").expect("the bench names its coordinator")),
        board_agent: Some(agent),
        key: Some(key),
        image: Some(image),
        ..world.options()
    };
    let options = LabgridOptions::new(&options).unwrap();
    let folder = options.folder.clone();
    let mut board = LabgridBoard::new(options).unwrap();
    let deployment = world.deployment("");
    let free = Place::read(&by_hand("", &["show"])).unwrap();
    let interface =
        free.resource(&["RemoteNetworkInterface"]).and_then(|found| found.text("ifname")).unwrap().to_owned();

    by_hand("elsewhere/ada", &["acquire"]);
    let held = board.start(&world.lab, &deployment).await.unwrap_err().to_string();
    assert!(held.contains("held by ada on elsewhere"), "{held}");
    by_hand("elsewhere/ada", &["release"]);

    let began = Instant::now();
    board.start(&world.lab, &deployment).await.unwrap_or_else(|error| panic!("{error}"));
    println!("flashed, booted, agent on the hub after {:.1} s", began.elapsed().as_secs_f64());
    assert!(Place::read(&by_hand("", &["show"])).unwrap().holder.is_some(), "the place is held");
    assert!(!is_here(&interface), "the board's network is the lab's");
    let metrics = board.metrics().await.unwrap();
    assert!(is_up(&metrics));

    // Again in the same lab, as the cells of a matrix do: no power cycle.
    let again = Instant::now();
    board.start(&world.lab, &deployment).await.unwrap();
    println!("the agent started again on the same board after {:.1} s", again.elapsed().as_secs_f64());

    let before = uptime(&board.metrics().await.unwrap());
    board.kill_agent().await.unwrap();
    let killed = Instant::now();
    loop {
        if board.metrics().await.is_ok_and(|metrics| uptime(&metrics) < before && is_up(&metrics)) {
            break;
        }
        assert!(killed.elapsed() < BACK_WITHIN, "the agent is back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the killed agent was back after {:.1} s", killed.elapsed().as_secs_f64());

    let environment = folder.join("labgrid.yaml");
    let on_board = |command: &str| {
        by_hand("", &["-c", environment.to_str().unwrap(), "ssh", "-n", "p2pcam-hil", command])
    };
    let clock =
        || on_board("date +%s").lines().last().and_then(|line| line.trim().parse::<i64>().ok()).unwrap();
    let (here, there) = (now(), clock());
    assert!((there - here).abs() < 30, "the board's clock is ours: {there}, {here}");
    board.step_clock(3600).await.unwrap();
    assert!(clock() - now() > 3500, "the clock jumped");
    let unplug = board.plug_camera(false).await.unwrap_err();
    assert!(matches!(unplug, BoardError::Unable { .. }), "the scenario shows no camera: {unplug}");

    on_board("systemctl kill --signal=ABRT p2pcam-agent.service; sleep 4");
    board.stop().await.unwrap();
    let kept = world.folder.path().join("kept");
    let files = board.collect(&kept).await;
    let text = |name: &str| fs::read_to_string(kept.join(name)).unwrap_or_default();
    assert!(text("agent.log").contains("connected to the hub"), "{}", text("agent.log"));
    assert!(text("metrics.txt").contains("p2pcam_"), "the last metrics");
    assert!(text("agent.toml").contains("porch"));
    let console = fs::read(kept.join("console.log")).unwrap();
    assert!(String::from_utf8_lossy(&console).contains("Multi-User System"), "the console from power-on");
    let core = fs::read(kept.join("core.0")).expect("a core dump");
    assert_eq!(&core[..4], b"\x7fELF");
    for file in &files {
        let length = fs::metadata(kept.join(&file.path)).unwrap().len();
        println!("kept: {} ({}, {length} bytes)", file.what, file.path.display());
    }

    let end = Instant::now();
    drop(board);
    println!("switched off and released after {:.1} s", end.elapsed().as_secs_f64());
    assert!(Place::read(&by_hand("", &["show"])).unwrap().holder.is_none(), "the place is free");
    assert!(is_here(&interface), "the interface is back");
    by_hand("", &["acquire"]);
    assert!(by_hand("", &["power", "get"]).contains("is off"));
    by_hand("", &["release"]);
}

fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64
}
