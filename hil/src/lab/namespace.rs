//! Network namespaces by name, as `ip netns` makes them (ip-netns(8)), so that any program can be run in one with
//! `ip netns exec`.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    thread,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

use super::{leftovers, owner::Owner};

/// Where named namespaces are bound to.
const FOLDER: &str = "/run/netns";
/// What the names of all of the rig's namespaces begin with, and of nobody else's.
pub const PREFIX: &str = "p2phil-";

/// Why a namespace cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Not root.
    #[error("a lab needs network namespaces, and making them takes root: start this with sudo")]
    NotRoot,
    /// A second rig with the same name.
    #[error(
        "there is already a namespace {name}: another rig has it (process {owner}); end that one, or give this lab another \
         name (`p2pcam-hil clean` removes only what no rig has any more)"
    )]
    InUse {
        /// Its name.
        name: String,
        /// The process that made it.
        owner: u32,
    },
    /// A leftover.
    #[error(
        "there is already a namespace {0}, left over by a rig that was killed: `p2pcam-hil clean` removes what is left over"
    )]
    Exists(String),
    /// Anything else.
    #[error("namespace {name}: {what}: {error}")]
    Failed {
        /// Its name.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// A network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    /// False: deleting it is somebody else's.
    own: bool,
}

impl Namespace {
    /// Makes one called [`PREFIX`] and `name`.
    pub fn create(name: &str) -> Result<Self, NamespaceError> {
        let name = format!("{PREFIX}{name}");
        let failed = |what: &'static str| {
            let name = name.clone();
            move |error: io::Error| match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => NamespaceError::NotRoot,
                _ => NamespaceError::Failed { name, what, error },
            }
        };
        fs::create_dir_all(FOLDER).map_err(failed("its folder cannot be made"))?;
        let path = Path::new(FOLDER).join(&name);
        match Owner::claim(&name) {
            Ok(Ok(())) => {}
            Ok(Err(Owner { pid, .. })) => return Err(NamespaceError::InUse { name, owner: pid }),
            Err(error) => return Err(failed("its owner cannot be noted")(error)),
        }
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Owner::forget(&name);
                return Err(NamespaceError::Exists(name));
            }
            created => {
                created.map_err(failed("its file cannot be made")).inspect_err(|_| Owner::forget(&name))?
            }
        };
        // A thread of its own: the rest of the process stays where it is.
        let bound = path.clone();
        let made = thread::spawn(move || -> nix::Result<()> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let none: Option<&str> = None;
            mount(Some("/proc/thread-self/ns/net"), &bound, none, MsFlags::MS_BIND, none)
        })
        .join();
        let made = made.unwrap_or(Err(nix::errno::Errno::EIO)).map_err(io::Error::from);
        let file = made
            .map_err(failed("the kernel refuses it"))
            .and_then(|()| File::open(&path).map_err(failed("it cannot be opened")));
        match file {
            Ok(file) => Ok(Self { name, file, own: true }),
            Err(error) => {
                remove(&name);
                Err(error)
            }
        }
    }

    /// The same namespace for whoever outlives a reference to it: dropping this one deletes nothing.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn visit(&self) -> io::Result<Self> {
        Ok(Self { name: self.name.clone(), file: self.file.try_clone()?, own: false })
    }

    /// Opens one that is there, by its whole name, whoever made it. It stays when this is dropped.
    pub fn open(name: &str) -> io::Result<Entrance> {
        Ok(Entrance(File::open(file(name))?))
    }

    /// Its name, for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, for netlink.
    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs something inside, on a thread of its own: sockets and devices that it opens belong to the namespace.
    pub fn run<T: Send>(&self, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        run(&self.file, job)
    }

    /// A command that runs a program inside.
    pub fn command(&self, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

/// A way into somebody's namespace.
#[derive(Debug)]
pub struct Entrance(File);

impl Entrance {
    /// As [`Namespace::run`].
    pub fn run<T: Send>(&self, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        run(&self.0, job)
    }
}

fn run<T: Send>(namespace: &File, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let enter = || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        job()
    };
    thread::scope(|scope| {
        let thread = scope.spawn(enter);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
    })
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.own {
            // Else they would live on in a namespace without a name.
            leftovers::end_processes(&self.name);
            remove(&self.name);
        }
    }
}

/// Takes a namespace's name away; the kernel ends it when the last process and socket in it are gone.
pub(super) fn remove(name: &str) {
    let path = file(name);
    // It may not have been bound yet.
    let _ = umount2(&path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(&path);
    // Files of its own that a server of the lab wrote, if it did not get to remove them.
    let _ = fs::remove_dir_all(own_files(name));
    Owner::forget(name);
}

/// Where programs in a namespace find what they see instead of files of /etc (ip-netns(8)). It is removed with it.
pub fn own_files(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

/// The file that a named namespace is bound to.
pub(super) fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The names of the rig's namespaces that are there, whoever made them.
pub(super) fn names() -> Vec<String> {
    let names = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .collect();
    names.sort();
    names
}
