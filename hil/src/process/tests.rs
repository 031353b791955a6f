//! Programs end when they should, and not before.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    os::unix::{
        fs::{MetadataExt, OpenOptionsExt},
        process::ExitStatusExt,
    },
    process::Stdio,
    time::Instant,
};

use tokio::{io::AsyncReadExt, runtime::Runtime};

use super::*;

/// Set for the copy of this test program that plays the rig.
const ROLE: &str = "P2PHIL_TEST_RIG";
/// For what must happen soon.
const SOON: Duration = Duration::from_secs(10);

fn shell<'a>(script: &str, log: &'a Path) -> Spec<'a> {
    Spec {
        what: "the script",
        program: Path::new("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        namespace: None,
        log,
        pipe_stdout: false,
    }
}

/// Ends by SIGTERM with a code that a killed one cannot have.
const OBEDIENT: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done";

fn root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !root {
        println!("not run: PID namespaces take root");
    }
    root
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn ready(program: &mut Program) {
    let mut word = [0; 6];
    let mut stdout = program.stdout().expect("it is piped");
    timeout(SOON, stdout.read_exact(&mut word)).await.expect("in time").expect("a word");
    assert_eq!(&word, b"ready\n");
}

#[test]
fn a_missing_program_is_told_with_the_package_that_has_it() {
    let error = find("no-such-program", "no-such-package").expect_err("it is not there").to_string();
    assert_eq!(error, "no-such-program is missing: install the package no-such-package");
    assert!(find("sh", "dash").expect("a shell").ends_with("sh"));
    assert!(find("/bin/sh", "dash").is_ok());
    assert!(find("/etc/passwd", "x").is_err(), "no program");
}

#[tokio::test]
async fn a_program_that_ends_early_is_told_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut program =
        Program::start(shell("echo first; echo no such port >&2; exit 3", &log)).expect("it starts");
    assert_eq!(program.wait().await.expect("a status").code(), Some(3));
    let error = program.ended_early().expect("it has ended").to_string();
    assert!(
        error.contains("the script ended (exit status: 3)") && error.ends_with("no such port"),
        "{error}"
    );
    assert_eq!(program.log_tail(2), "first\nno such port");
    let missing = Spec { program: Path::new("/no/such/program"), ..shell("", &log) };
    let error = Program::start(missing).expect_err("it is not there").to_string();
    assert!(error.contains("/no/such/program") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_program_may_end_in_order_and_is_killed_if_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut program = Program::start(Spec { pipe_stdout: true, ..shell(OBEDIENT, &log) }).expect("it starts");
    ready(&mut program).await;
    assert!(program.ended().is_none());
    program.stop(SOON).await;
    assert_eq!(program.ended().expect("it has ended").code(), Some(7));

    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.02; done";
    let mut program = Program::start(Spec { pipe_stdout: true, ..shell(stubborn, &log) }).expect("it starts");
    ready(&mut program).await;
    program.stop(Duration::from_millis(50)).await;
    assert_eq!(program.ended().expect("it has ended").signal(), Some(libc::SIGKILL));
}

#[test]
fn a_program_outlives_the_thread_and_the_runtime_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let starting = log.clone();
    let (mut program, thread) = std::thread::spawn(move || {
        let _inside = handle.enter();
        let program = Program::start(Spec { pipe_stdout: true, ..shell(OBEDIENT, &starting) });
        (program.expect("it starts"), std::fs::read_link("/proc/thread-self").unwrap())
    })
    .join()
    .unwrap();
    // The kernel tells the children of a thread only when it is really gone.
    wait_until("the thread is gone", || !Path::new("/proc").join(&thread).exists());
    runtime.block_on(async {
        ready(&mut program).await;
        program.stop(SOON).await;
    });
    assert_eq!(program.ended().expect("it has ended").code(), Some(7), "not killed");
}

#[tokio::test]
async fn what_a_program_started_ends_with_it() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // A daemon of its own session: no signal to the group reaches it.
    let script = "setsid sleep 1000 & echo ready; while :; do sleep 1; done";
    let mut program = Program::start(Spec { pipe_stdout: true, ..shell(script, &log) }).expect("it starts");
    let mut stdout = program.stdout().expect("it is piped");
    let mut word = [0; 6];
    stdout.read_exact(&mut word).await.expect("it runs");
    drop(program);
    let end = timeout(SOON, stdout.read(&mut word)).await.expect("nobody holds the pipe any more");
    assert_eq!(end.expect("read"), 0);
}

/// Not a test of its own: what [`programs_end_with_a_rig_that_is_killed`] runs as its rig.
#[test]
fn plays_the_rig() {
    let Some(fifo) = env::var_os(ROLE) else { return };
    let fifo = fifo.to_string_lossy().into_owned();
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let script = format!("exec 9>{fifo}; setsid sleep 1000 & echo started >&9; exec sleep 1000");
    let _program = Program::start(shell(&script, Path::new(&format!("{fifo}.log")))).expect("it starts");
    std::thread::sleep(2 * SOON);
}

#[test]
fn programs_end_with_a_rig_that_is_killed() {
    if !root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut pipe = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
    let mut rig = std::process::Command::new(env::current_exe().unwrap())
        .args(["--exact", "process::tests::plays_the_rig"])
        .env(ROLE, &fifo)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut heard = [0; 16];
    wait_until("the rig's program runs", || pipe.read(&mut heard).is_ok_and(|length| length > 0));
    assert!(heard.starts_with(b"started"));
    // While somebody holds the other end, there is nothing to read, but no end either.
    assert!(pipe.read(&mut heard).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    rig.kill().unwrap();
    wait_until("its programs are gone", || pipe.read(&mut heard).is_ok_and(|length| length == 0));
    rig.wait().unwrap();
}
