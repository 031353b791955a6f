//! What killed rigs left over: namespaces, programs that still run in them, and network cards that were moved in.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    process, thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    build::taken,
    namespace::{self, Namespace},
    owner::Owner,
};

/// How long a killed process may take to be gone: it has nothing left to do but to be taken apart.
const END: Duration = Duration::from_secs(2);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// A namespace of the rig's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its name.
    pub namespace: String,
    /// The process that has it, if that one lives: then it is none to be cleaned.
    pub owner: Option<u32>,
    /// Programs that run in it, as number and name.
    pub processes: Vec<(u32, String)>,
}

/// What [`clean`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Namespaces that are gone now, with the programs that ran in them.
    pub removed: Vec<Leftover>,
    /// Namespaces that a living rig has: left alone.
    pub in_use: Vec<Leftover>,
    /// Namespaces that are still there, and why.
    pub failed: Vec<(String, String)>,
    /// Network interfaces that were given back to this machine, by name.
    pub given_back: Vec<String>,
}

/// All namespaces of the rig's that are there, in order of their names.
pub fn leftovers() -> Vec<Leftover> {
    let look = |namespace: String| {
        let owner = Owner::read(&namespace).filter(Owner::is_alive).map(|owner| owner.pid);
        let processes = processes(&namespace).into_iter().map(|owner| (owner.pid, name(owner.pid))).collect();
        Leftover { namespace, owner, processes }
    };
    namespace::names().into_iter().map(look).collect()
}

/// Removes namespaces whose rig is dead, and ends the programs in them (SIGKILL): those of a lab, or all. Nothing else is
/// touched.
pub fn clean(lab: Option<&str>) -> Cleaned {
    sweep(lab, None)
}

/// Removes all namespaces that this process has, for when it ends without dropping them; as [`clean`].
pub fn give_up() -> Cleaned {
    sweep(None, Some(process::id()))
}

/// Of a lab or of all, those that this process has, or nobody.
fn sweep(lab: Option<&str>, whose: Option<u32>) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let begin = lab.map(|lab| format!("{}{lab}-", namespace::PREFIX)).unwrap_or_default();
    for leftover in leftovers().into_iter().filter(|leftover| leftover.namespace.starts_with(&begin)) {
        if leftover.owner != whose {
            cleaned.in_use.push(leftover);
            continue;
        }
        let name = leftover.namespace.clone();
        match Namespace::open(&name).and_then(|entrance| taken::give_back_all(&entrance)) {
            Ok(names) => cleaned.given_back.extend(names),
            // A file that no namespace was bound to has no interfaces either.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => {
                cleaned.failed.push((name, format!("its interfaces cannot be given back: {error}")));
                continue;
            }
        }
        let alive = end_processes(&name);
        namespace::remove(&name);
        if !alive.is_empty() {
            cleaned.failed.push((name, format!("processes {alive:?} in it do not end")));
        } else if namespace::file(&name).exists() {
            cleaned.failed.push((name, "its name cannot be removed: are you root?".into()));
        } else {
            cleaned.removed.push(leftover);
        }
    }
    cleaned
}

/// Kills the programs in a namespace and waits until they are gone; those that are not.
pub(super) fn end_processes(namespace: &str) -> Vec<u32> {
    let mut alive = processes(namespace);
    let deadline = Instant::now() + END;
    while !alive.is_empty() && Instant::now() < deadline {
        for process in &alive {
            // It may be gone already.
            let _ = kill(Pid::from_raw(process.pid as i32), Signal::SIGKILL);
        }
        thread::sleep(LOOK);
        // One of them may have started another before it died.
        alive = processes(namespace);
    }
    alive.into_iter().map(|process| process.pid).collect()
}

/// The programs in a namespace, told by the namespace's own number. Never this one, and none if the name is bound to
/// the namespace that this one is in.
fn processes(namespace: &str) -> Vec<Owner> {
    let inode = |path: &str| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    let Some(wanted) = namespace::file(namespace).to_str().and_then(inode) else { return Vec::new() };
    if inode("/proc/self/ns/net") == Some(wanted) {
        return Vec::new();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != process::id() && inode(&format!("/proc/{pid}/ns/net")) == Some(wanted))
        .filter_map(Owner::of)
        .collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
