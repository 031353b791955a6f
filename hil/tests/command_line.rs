//! What the command line says when something is wrong, and that nothing is left over.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output},
};

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
