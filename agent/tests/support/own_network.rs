//! A network of its own for a test: the test is run again, as a process that no other process shares links with.
#![allow(clippy::unwrap_used)]

use std::{
    os::unix::fs::MetadataExt as _,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// Set in the process that has a network of its own.
const INSIDE: &str = "OWN_NETWORK_OF_TEST";
/// No test takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// `true` in the process with the network of its own, where the caller is to go on; only loopback is up there. Without
/// root it says `not run`. `test` is the caller's name as the harness knows it.
pub fn entered(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        return true;
    }
    if std::fs::metadata("/proc/self").map(|own| own.uid()).ok() != Some(0) {
        println!("not run: a network of its own needs root");
        return false;
    }
    let mut command = Command::new("unshare");
    // With its process, the network and the mounts are gone too.
    command.args(["--net", "--mount", "--kill-child", "--fork"]).arg(std::env::current_exe().unwrap());
    let mut child = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").spawn().unwrap();
    let end = Instant::now() + DEADLINE;
    let status: ExitStatus = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{test} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{test} failed in a network of its own: see above");
    false
}

/// Runs `ip` with `arguments`, which have to be right.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
