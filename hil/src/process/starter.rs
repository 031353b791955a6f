//! The thread that forks all programs; see [`super`].

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};

use super::sys::{self, Network};

/// Ends when its input does; in every system.
const KEEPER: &str = "cat";
/// Programs that may wait to be started; more callers wait with theirs.
const WAITING: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// Forks a program, and the keeper of its PID namespace if the rig may make one.
pub(super) fn start(command: Command, network: Option<Network>) -> io::Result<(Child, Option<Child>)> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    on_starter(move || {
        let _inside = runtime.enter();
        fork(command, network)
    })?
}

fn fork(mut command: Command, network: Option<Network>) -> io::Result<(Child, Option<Child>)> {
    // Once a thread has a new namespace for its children, it gets another only after it went back to its own.
    let own = File::open("/proc/self/ns/pid")?;
    if unshare(CloneFlags::CLONE_NEWPID).is_err() {
        sys::prepare(&mut command, network, false);
        return Ok((command.spawn()?, None));
    }
    let forked = fork_both(command, network);
    setns(own, CloneFlags::CLONE_NEWPID)?;
    forked.map(|(child, keeper)| (child, Some(keeper)))
}

fn fork_both(mut command: Command, network: Option<Network>) -> io::Result<(Child, Child)> {
    let mut keeper = Command::new(KEEPER);
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not the group of the rig: Ctrl-C on its terminal must leave it the time to stop its programs in order.
    let keeper = keeper.process_group(0).kill_on_drop(true).spawn()?;
    sys::prepare(&mut command, network, true);
    Ok((command.spawn()?, keeper))
}

fn on_starter<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    static STARTER: Mutex<Option<SyncSender<Job>>> = Mutex::new(None);
    let starter = {
        let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
        match &*starter {
            Some(starter) => starter.clone(),
            None => starter.insert(spawn()?).clone(),
        }
    };
    let (answer, answered) = sync_channel(1);
    let job = move || drop(answer.send(job()));
    let gone = || io::Error::other("the thread that starts programs is gone");
    starter.send(Box::new(job)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())
}

fn spawn() -> io::Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel::<Job>(WAITING);
    thread::Builder::new().name("starter".into()).spawn(move || {
        for job in jobs {
            // The thread outlives a job that panics: its end would kill programs. Whoever waits for it is told.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    })?;
    Ok(sender)
}
