//! Ctrl-C and SIGTERM during a run: it ends as it would at its end, so that nothing is left over.

use std::{
    io,
    process::{self, ExitCode},
    thread,
};

use p2pcam_hil::lab::leftovers::give_up;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a command that was stopped: 128 and SIGINT, as shells have it.
const STOPPED: u8 = 130;

/// Listens for both.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    asked: bool,
}

impl Stop {
    /// From here on neither ends the process by itself. To be called before anything is made that must not be left over.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn listen() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, asked: false })
    }

    /// Waits until somebody asks to stop.
    pub async fn asked(&mut self) {
        if !self.asked {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            self.asked = true;
        }
    }

    /// The command's exit code, which is another one if it was stopped.
    pub fn exit_code(&self, done: ExitCode) -> ExitCode {
        if self.asked { STOPPED.into() } else { done }
    }
}

/// For commands that wait in the kernel and not in tasks: asked to stop, the process gives namespaces and network cards
/// back and ends.
///
/// # Errors
/// The kernel refuses it.
pub fn end_when_asked() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stop = runtime.block_on(async { Stop::listen() })?;
    let wait = move || {
        runtime.block_on(stop.asked());
        give_up();
        process::exit(STOPPED.into());
    };
    thread::Builder::new().name("stop".into()).spawn(wait).map(drop)
}
