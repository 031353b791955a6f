//! The board as it comes up: its virtual hardware is there, and the agent runs as a service under its own user.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt, path::Path};

use serde_json::Value;

use crate::support::{PATIENCE, Planarity, camera, eventually, get, on_board, run, try_run, unit_property};

const UNIT: &str = "p2pcam-agent.service";
/// The default of `telemetry.listen`.
const TELEMETRY: &str = "127.0.0.1:9464";

#[test]
fn the_agent_is_an_active_service_that_said_it_is_ready() {
    if !on_board() {
        return;
    }
    eventually("the service is active", PATIENCE, || {
        try_run("systemctl", &["is-active", "--quiet", UNIT]).status.success().then_some(())
    });
    // With Type=notify, systemd calls a unit active only after READY=1.
    assert_eq!(unit_property(UNIT, "Type"), "notify");
    assert_eq!(unit_property(UNIT, "SubState"), "running");
}

#[test]
fn the_agent_runs_as_a_user_of_its_own() {
    if !on_board() {
        return;
    }
    let pid = eventually("the service has a process", PATIENCE, || {
        let pid = unit_property(UNIT, "MainPID");
        (pid != "0").then_some(pid)
    });
    let user: u32 = run("id", &["--user", "p2pcam"]).parse().expect("a number");
    assert_ne!(user, 0);
    assert_eq!(fs::metadata(format!("/proc/{pid}")).expect("it lives").uid(), user);
}

#[test]
fn the_agent_answers_for_its_health() {
    if !on_board() {
        return;
    }
    let address: SocketAddr = TELEMETRY.parse().expect("an address");
    let (status, body) = eventually("somebody answers", PATIENCE, || get(address, "/health"));
    assert_eq!(status, 200, "{body}");
    let health: Value = serde_json::from_str(&body).expect("JSON");
    assert!(health["status"].is_string(), "{body}");
}

#[test]
fn the_board_has_cameras_of_both_kinds_for_the_group_video() {
    if !on_board() {
        return;
    }
    let group: u32 = run("getent", &["group", "video"]).split(':').nth(2).unwrap().parse().unwrap();
    let nodes = [camera("vivid", Planarity::Single), camera("vivid", Planarity::Multi)];
    assert_ne!(nodes[0], nodes[1]);
    for node in nodes {
        assert_eq!(fs::metadata(&node).unwrap().gid(), group, "{}", node.display());
    }
}

#[test]
fn the_board_has_a_sound_card_whose_ends_are_joined() {
    if !on_board() {
        return;
    }
    assert!(Path::new("/proc/asound/Loopback").exists(), "{}", run("cat", &["/proc/asound/cards"]));
}
