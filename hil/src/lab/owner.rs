//! Which process has a namespace: noted in a file, so that what a killed rig left over is told from what is in use.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

/// One file for each namespace, by its name.
const FOLDER: &str = "/run/p2phil";
/// Place of a process's start time in /proc/PID/stat, counted after its name (proc_pid_stat(5): field 22; the name is
/// field 2).
const START_TIME: usize = 19;

/// A process, told from a later one with the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

impl Owner {
    /// Notes this process as the owner of a namespace; or says who is, if that one is alive.
    pub fn claim(name: &str) -> io::Result<Result<(), Self>> {
        let this = Self::of(process::id()).ok_or(io::ErrorKind::NotFound)?;
        fs::create_dir_all(FOLDER)?;
        let draft = Path::new(FOLDER).join(format!(".{name}.{}", this.pid));
        fs::write(&draft, format!("{} {}\n", this.pid, this.started))?;
        let result = Self::publish(&draft, name);
        fs::remove_file(&draft)?;
        result
    }

    /// A link is made whole or not at all, and only by one.
    fn publish(draft: &Path, name: &str) -> io::Result<Result<(), Self>> {
        match fs::hard_link(draft, path(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(Ok),
        }
        if let Some(owner) = Self::read(name).filter(Self::is_alive) {
            return Ok(Err(owner));
        }
        Self::forget(name);
        fs::hard_link(draft, path(name)).map(Ok)
    }

    /// Who has a namespace, if that was noted.
    pub fn read(name: &str) -> Option<Self> {
        let text = fs::read_to_string(path(name)).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// Nobody has it any more.
    pub fn forget(name: &str) {
        let _ = fs::remove_file(path(name));
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// A process that runs now; a dead one that nobody has waited for does not.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        started(&stat).map(|started| Self { pid, started })
    }
}

/// Reads /proc/PID/stat. The process's name is in brackets and may hold anything, brackets too.
fn started(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(START_TIME - 1)?.parse().ok())?
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_start() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000 200";
        assert_eq!(started(stat), Some(98765));
        assert_eq!(started("42 (dead) Z 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000"), None);
        for bad in ["", "42", "42 (x)", "42 (x) S 1 2"] {
            assert_eq!(started(bad), None, "{bad}");
        }
        let this = Owner::of(process::id()).expect("this process");
        assert!(this.is_alive());
        assert!(!Owner { started: this.started + 1, ..this }.is_alive());
    }
}
