//! What the command line says when something is wrong, and that nothing is left over.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use p2pcam_hil::lab::leftovers::leftovers;

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

fn hil(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_p2pcam-hil")).args(arguments).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn scenario(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).display().to_string()
}

#[test]
fn a_wrong_scenario_is_explained_with_its_line_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "name = \"wrong\"\nabout = \"x\"\n[device]\nrouters = [\"symetric\"]\n").unwrap();
    let output = hil(&["check", &file.display().to_string()]);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("wrong.toml:4:"), "{words}");
    assert!(words.contains("symmetric"), "{words}");
}

#[test]
fn nothing_runs_if_one_of_the_files_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "nam = \"wrong\"\n").unwrap();
    let report = folder.path().join("report");
    let good = scenario("home-to-home.toml");
    let output = hil(&["run", &good, &file.display().to_string(), "--report", &report.display().to_string()]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(!report.exists());
}

#[test]
fn the_example_is_a_scenario_and_is_not_written_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml").display().to_string();
    assert!(hil(&["new", &file]).status.success());
    assert!(hil(&["check", &file]).status.success());
    let again = hil(&["new", &file]);
    assert_eq!(again.status.code(), Some(2));
    assert!(words(&again).contains("is there already"), "{}", words(&again));
}

#[test]
fn all_scenarios_of_the_project_are_well_formed() {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path().display().to_string());
    let files: Vec<String> = files.filter(|file| file.ends_with(".toml")).collect();
    let mut arguments = vec!["check"];
    arguments.extend(files.iter().map(String::as_str));
    let output = hil(&arguments);
    assert!(files.len() > 20 && output.status.success(), "{}", words(&output));
}

#[test]
fn an_agent_that_is_not_there_is_named_before_anything_is_built() {
    let output = hil(&["matrix", "--agent", "/nowhere/p2pcam-agent"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("there is no agent at /nowhere/p2pcam-agent"), "{}", words(&output));
}

#[test]
fn without_root_it_says_what_takes_root() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2pcam-hil"));
    // Any program will do: it is not started.
    command.args(["run", &scenario("home-to-home.toml"), "--agent", "/bin/true", "--report", &report]);
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let output = match command.output() {
        // The build's folder is not for others.
        Err(error) => return println!("not run: nobody cannot start the rig: {error}"),
        Ok(output) => output,
    };
    assert!(!output.status.success());
    assert!(words(&output).contains("root"), "{}", words(&output));
}

/// What a rig left in a lab, in the folder for private files, and of processes.
fn traces_of(rig: u32) -> Vec<String> {
    let begin = format!("p2phil-{rig}-");
    let labs = leftovers().into_iter().map(|leftover| leftover.namespace);
    let folders = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let folders = folders.filter_map(|entry| entry.file_name().into_string().ok());
    labs.chain(folders).filter(|name| name.starts_with(&begin)).chain(programs_of(rig)).collect()
}

/// Programs that were started with a file of the rig's among their words, or run in its lab.
fn programs_of(rig: u32) -> Vec<String> {
    let begin = format!("p2phil-{rig}-");
    let all = fs::read_dir("/proc").unwrap().flatten();
    let words = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    words.filter(|words| words.contains(&begin)).map(|words| words.replace('\0', " ")).collect()
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_and_reports() {
    let agent = Path::new(env!("CARGO_BIN_EXE_p2pcam-hil")).with_file_name("p2pcam-agent");
    if fs::metadata("/proc/self").unwrap().uid() != 0 || !agent.exists() {
        return println!("not run: it takes root, and the agent at {}", agent.display());
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Command::new(env!("CARGO_BIN_EXE_p2pcam-hil"))
            .args(["run", &scenario("home-to-home.toml"), "--report"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (id, deadline) = (rig.id(), Instant::now() + Duration::from_secs(60));
        // Lab, coturn and hub: all that a run has before the device.
        while programs_of(id).len() < 2 {
            assert!(rig.try_wait().unwrap().is_none() && Instant::now() < deadline, "{:?}", traces_of(id));
            thread::sleep(Duration::from_millis(5));
        }
        assert!(traces_of(id).len() >= 6, "{:?}", traces_of(id));
        kill(Pid::from_raw(id as i32), signal).unwrap();
        let ended = rig.wait().unwrap();
        assert_eq!(ended.code(), Some(130), "{signal}");
        assert!(folder.path().join("report.html").exists());
        // The kernel takes a moment to end what was killed.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !traces_of(id).is_empty() {
            assert!(Instant::now() < deadline, "{signal}: {:?}", traces_of(id));
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_probe_that_is_stopped_leaves_nothing() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return println!("not run: it takes root");
    }
    let mut probe = Command::new(env!("CARGO_BIN_EXE_p2pcam-hil"))
        .args(["probe", &scenario("home-to-home.toml"), "--lifetime", "600"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (id, deadline) = (probe.id(), Instant::now() + Duration::from_secs(60));
    while traces_of(id).len() < 3 {
        assert!(probe.try_wait().unwrap().is_none() && Instant::now() < deadline, "{:?}", traces_of(id));
        thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(id as i32), Signal::SIGINT).unwrap();
    assert_eq!(probe.wait().unwrap().code(), Some(130));
    assert_eq!(traces_of(id), Vec::<String>::new());
}
