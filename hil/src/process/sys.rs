//! System calls of a program's start and end.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::Command;

use crate::lab::namespace::{Namespace, own_files};

/// A network namespace to enter.
#[derive(Debug)]
pub(super) struct Network {
    namespace: File,
    /// Its own resolv.conf.
    resolver: Option<PathBuf>,
}

impl Network {
    pub(super) fn open(namespace: &Namespace) -> io::Result<Self> {
        let resolver = resolver(namespace.name());
        Ok(Self {
            namespace: File::open(Path::new("/run/netns").join(namespace.name()))?,
            resolver: resolver.exists().then_some(resolver),
        })
    }
}

/// The file that programs in a network namespace see as /etc/resolv.conf, if it is there when they start.
pub(super) fn resolver(namespace: &str) -> PathBuf {
    own_files(namespace).join("resolv.conf")
}

/// Has a command, once forked, enter its network and set its surroundings up. `alone`: it is in a PID namespace of its
/// own.
pub(super) fn prepare(command: &mut Command, network: Option<Network>, alone: bool) {
    let enter = move || {
        // SAFETY: PR_SET_PDEATHSIG takes a signal and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let resolver = network.as_ref().and_then(|network| network.resolver.as_deref());
        if alone || resolver.is_some() {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none: Option<&str> = None;
            // What is mounted from here on is seen by this program alone.
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
            if let Some(resolver) = resolver {
                mount(Some(resolver), "/etc/resolv.conf", none, MsFlags::MS_BIND, none)?;
            }
        }
        if alone {
            // Where a container forbids it, programs see the machine's: /proc/self is right there too.
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
        }
        if let Some(network) = &network {
            setns(&network.namespace, CloneFlags::CLONE_NEWNET)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls may be made (signal-safety(7)), as another thread may
    // have held a lock when this one forked. The closure makes only system calls: it allocates nothing (nix keeps paths
    // under a kilobyte on the stack), takes no lock and opens nothing; the files are open already.
    unsafe {
        command.pre_exec(enter);
    }
}

/// Sends a signal to a process group; one that is gone is left alone.
pub(super) fn signal_group(group: u32, signal: Signal) {
    // 0 would mean the rig's own group, 1 that of the machine's first process.
    if let Ok(group @ 2..) = i32::try_from(group) {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
