//! The agent as the board's service: its user and rights, its end and return, its journal, its configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    support::{Journal, eventually, on_board, try_run, unit_property},
    viewer::Viewer,
};

const UNIT: &str = "p2pcam-agent.service";
const USER: &str = "p2pcam";
const CONFIG: &str = "/etc/p2pcam/agent.toml";
const STATE: &str = "/var/lib/p2pcam";
const RUNTIME: &str = "/run/p2pcam";
const HUB: &str = "127.0.0.1:8080";

/// The most that `systemd-analyze security` may print.
const MAX_EXPOSURE: f32 = 2.0;
/// A start takes about 5 s on the emulated board, most of it to set the sandbox up; others share the processor.
const START_TIME: Duration = Duration::from_secs(60);
/// `WatchdogSec=`, the abort and a start.
const WATCHDOG_TIME: Duration = Duration::from_secs(90);
/// [`WATCHDOG_TIME`] and the patience with drivers.
const HANG_TIME: Duration = Duration::from_secs(150);
/// A first picture and then some.
const PACKETS: usize = 30;

/// The service, for one test at a time; its configuration is put back when dropped. `None` where there is no board.
struct Service {
    config: Option<Vec<u8>>,
    _alone: MutexGuard<'static, ()>,
}

fn service() -> Option<Service> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if !on_board() {
        return None;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let service = Service { config: fs::read(CONFIG).ok(), _alone };
    service.make_active();
    Some(service)
}

impl Drop for Service {
    fn drop(&mut self) {
        let restored = match &self.config {
            Some(text) => fs::write(CONFIG, text),
            None => fs::remove_file(CONFIG),
        };
        if restored.is_ok() {
            run("systemctl", &["restart", UNIT]);
        }
    }
}

impl Service {
    fn make_active(&self) {
        run("systemctl", &["reset-failed", UNIT]);
        run("systemctl", &["start", UNIT]);
        eventually("the service is active", START_TIME, || self.is_active().then_some(()));
    }

    /// Starts the service anew with this agent.toml; `None`: without any.
    fn configure(&self, toml: Option<&str>) {
        match toml {
            Some(toml) => fs::write(CONFIG, toml).unwrap(),
            None => drop(fs::remove_file(CONFIG)),
        }
        run("systemctl", &["reset-failed", UNIT]);
        // Fails with a wrong configuration, which is what some tests are about.
        run("systemctl", &["restart", UNIT]);
    }

    fn is_active(&self) -> bool {
        unit_property(UNIT, "ActiveState") == "active"
    }

    fn pid(&self) -> u32 {
        unit_property(UNIT, "MainPID").parse().unwrap()
    }

    /// Waits until another process than `before` is ready.
    fn wait_for_another(&self, before: u32, within: Duration) {
        eventually("the service is back", within, || {
            let pid = self.pid();
            (pid != before && pid != 0 && self.is_active()).then_some(())
        });
    }

    fn viewer(&self) -> Viewer {
        let token = fs::read_to_string(Path::new(STATE).join("viewer-token")).unwrap();
        Viewer::connect(HUB, token.trim())
    }
}

/// What a program prints, whatever its end.
fn run(program: &str, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&try_run(program, arguments).stdout).trim().to_owned()
}

/// A field of /proc/PID/status.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
}

/// The number in a line of /etc/passwd or /etc/group.
fn number(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {file}")).split(':').nth(2).unwrap().to_owned()
}

#[test]
fn the_service_runs_as_its_own_user_in_the_devices_groups_and_can_gain_no_right() {
    let Some(service) = service() else { return };
    let pid = service.pid();
    let user = number("/etc/passwd", USER);
    assert_eq!(status(pid, "Uid"), [user.as_str(); 4].join("\t"));
    let groups = status(pid, "Groups");
    let groups: Vec<_> = groups.split(' ').collect();
    for group in ["video", "audio", "gpio"] {
        assert!(groups.contains(&number("/etc/group", group).as_str()), "{group} is not in {groups:?}");
    }
    for capabilities in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        assert_eq!(status(pid, capabilities), "0000000000000000", "{capabilities}");
    }
    assert_eq!((status(pid, "NoNewPrivs").as_str(), status(pid, "Seccomp").as_str()), ("1", "2"));
}

#[test]
fn systemd_s_own_judgement_of_the_exposure_is_two_at_most_and_it_finds_nothing_wrong_in_the_unit() {
    let Some(_service) = service() else { return };
    let text = run("systemd-analyze", &["security", "--no-pager", UNIT]);
    let line = text.lines().find(|line| line.contains("Overall exposure level")).expect("a judgement");
    println!("{line}");
    let level: f32 = line.rsplit_once(": ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(level <= MAX_EXPOSURE, "{text}");
    let verify = Command::new("systemd-analyze").args(["verify", UNIT]).output().unwrap();
    assert!(verify.status.success() && verify.stderr.is_empty(), "{verify:?}");
}

#[test]
fn the_service_can_write_nowhere_but_in_its_own_directories() {
    let Some(service) = service() else { return };
    let pid = service.pid();
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mounts: Vec<PathBuf> = mounts.lines().map(|line| line.split(' ').nth(4).unwrap().into()).collect();
    assert!(mounts.len() > 10, "{mounts:?}");
    let more =
        ["/etc", "/etc/p2pcam", "/home", "/root", "/usr/bin", "/var/lib", "/var/log"].map(PathBuf::from);
    let mut writable = Vec::new();
    for folder in mounts.iter().chain(&more) {
        let probe = folder.join("probe");
        let (pid, probe) = (pid.to_string(), probe.to_string_lossy().into_owned());
        let (user, group) = (number("/etc/passwd", USER), number("/etc/group", USER));
        let inside = ["--target", &pid, "--mount", "--setuid", &user, "--setgid", &group, "--", "bash", "-c"];
        let line = format!("echo x > {probe} && rm {probe}");
        let done = Command::new("nsenter").args(inside).arg(line).output().expect("nsenter");
        if done.status.success() {
            writable.push(folder.to_string_lossy().into_owned());
        }
    }
    writable.sort();
    assert_eq!(writable, [RUNTIME, STATE]);
}

#[test]
fn after_a_kill_the_service_and_its_stream_come_back() {
    let Some(service) = service() else { return };
    let mut viewer = service.viewer();
    let before = viewer.watch(PACKETS, START_TIME);
    let pid = service.pid();
    let killed = Instant::now();
    run("systemctl", &["kill", "--kill-whom=main", "--signal=KILL", UNIT]);
    service.wait_for_another(pid, START_TIME);
    let back = killed.elapsed();
    let again = service.viewer().watch(PACKETS, START_TIME);
    println!(
        "first packets after {before:?}; killed: ready after {back:?}, packets {again:?} after the offer"
    );
}

#[test]
fn an_agent_that_does_not_move_is_started_again_by_the_watchdog() {
    let Some(service) = service() else { return };
    let (pid, journal) = (service.pid(), Journal::of(UNIT));
    let stopped = Instant::now();
    run("systemctl", &["kill", "--kill-whom=main", "--signal=STOP", UNIT]);
    service.wait_for_another(pid, WATCHDOG_TIME);
    println!("stopped: back after {:?}", stopped.elapsed());
    journal.wait_for("Watchdog timeout", START_TIME);
}

#[test]
fn a_driver_that_never_returns_is_named_and_the_agent_started_again() {
    let Some(service) = service() else { return };
    // Opening a FIFO that nobody writes to blocks for ever, as a hung driver's open does.
    let (rc, fifo) = (format!("{STATE}/.asoundrc"), format!("{STATE}/hang"));
    run("mkfifo", &["-m", "666", &fifo]);
    let pcm = format!("pcm.hang {{ type file slave.pcm null file /dev/null infile \"{fifo}\" }}\n");
    fs::write(&rc, pcm).unwrap();
    service
        .configure(Some("[video]\nsource = \"pattern\"\n[audio]\nsource = \"alsa:hang\"\nsink = \"none\"\n"));
    let (pid, journal) = (service.pid(), Journal::of(UNIT));
    let mut viewer = service.viewer();
    viewer.watch(PACKETS, START_TIME);
    let began = Instant::now();
    service.wait_for_another(pid, HANG_TIME);
    println!("a hanging driver: back after {:?}", began.elapsed());
    let _ = (fs::remove_file(rc), fs::remove_file(fifo));
    println!("{}", journal.wait_for("thread audio-capture has not moved", START_TIME));
}

#[test]
fn without_a_camera_the_service_starts_and_its_watchdog_is_fed() {
    let Some(service) = service() else { return };
    service.configure(Some("[video]\nsource = \"v4l2:/dev/video99\"\n[audio]\nsource = \"tone\"\n"));
    let pid = service.pid();
    // The still that says so.
    service.viewer().watch(1, START_TIME);
    let end = Instant::now() + Duration::from_secs(25);
    eventually("a WatchdogSec= has passed", Duration::from_secs(30), || (Instant::now() > end).then_some(()));
    assert_eq!((service.pid(), service.is_active()), (pid, true));
}

#[test]
fn the_journal_gives_one_viewer_s_story_by_its_session() {
    let Some(service) = service() else { return };
    service.configure(Some(
        "[device]\nid = \"porch\"\n[video]\nsource = \"pattern\"\n\
         # Nobody is there: what the session's STUN task says of it belongs to the session.\n\
         [[ice.servers]]\nurls = [\"stun:127.0.0.1:9\"]\n",
    ));
    let mut viewer = service.viewer();
    viewer.watch(PACKETS, START_TIME);
    let filter = format!("P2PCAM_SESSION={}", viewer.session);
    drop(viewer);
    let ended = |entries: &[Value]| entries.iter().any(|e| text(e, "MESSAGE").contains("session ended"));
    let entries = eventually("the session's end is in the journal", START_TIME, || {
        let lines = run("journalctl", &["--output", "json", "--no-pager", &filter]);
        let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        ended(&entries).then_some(entries)
    });
    for entry in &entries {
        // The hub's lines name the device that they are about, besides the camera that wrote them.
        let device = &entry["P2PCAM_DEVICE"];
        assert!(
            device == "porch" || device.as_array().is_some_and(|all| all.contains(&"porch".into())),
            "{entry}"
        );
        assert_eq!(text(entry, "_SYSTEMD_UNIT"), UNIT, "{entry}");
    }
    for words in ["viewer asks to connect", "offer answered", "connected after"] {
        assert!(entries.iter().any(|entry| text(entry, "MESSAGE").contains(words)), "{words}: {entries:#?}");
    }
}

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_default()
}

#[test]
fn without_a_configuration_the_service_starts_with_defaults() {
    let Some(service) = service() else { return };
    let journal = Journal::of(UNIT);
    service.configure(None);
    assert!(service.is_active());
    println!("{}", journal.wait_for("p2pcam-agent starts", START_TIME));
}

#[test]
fn a_wrong_configuration_is_told_in_the_journal_as_an_error_and_not_tried_again() {
    let Some(service) = service() else { return };
    let journal = Journal::of(UNIT);
    service.configure(Some("[video]\nfps = 0\nsorce = \"auto\"\n"));
    assert_eq!(unit_property(UNIT, "ActiveState"), "failed");
    assert_eq!(unit_property(UNIT, "ExecMainStatus"), "78");
    for words in [CONFIG, "fps", "sorce"] {
        println!("{}", journal.wait_for(words, START_TIME));
    }
    let entries: Vec<Value> =
        journal.entries().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours: Vec<_> = entries.iter().filter(|entry| text(entry, "MESSAGE").contains("sorce")).collect();
    assert!(ours.iter().all(|entry| text(entry, "PRIORITY") == "3"), "{ours:#?}");
    fs::write(CONFIG, "[video]\nsource = \"pattern\"\n").unwrap();
    service.make_active();
}
