//! Why the servers of a lab do not run, in words for whoever sits at the rig.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::process::ProcessError;

/// Why a server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program is missing, cannot be started or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A plan that gives one port to two servers.
    #[error("port {port} is given to {first} and to {second}: choose another for one of them")]
    SamePort {
        /// The port.
        port: u16,
        /// Who has it.
        first: &'static str,
        /// Who wants it too.
        second: &'static str,
    },
    /// Somebody listens there already.
    #[error(
        "{what} cannot have {address} in the namespace {namespace}: another program listens there; \
         `ss -Nlpn {namespace}` or `ip netns pids {namespace}` names it"
    )]
    PortTaken {
        /// Which server.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The namespace.
        namespace: String,
    },
    /// The lab has not the address that the server needs.
    #[error("{what} needs {address}, which the namespace {namespace} has not: {error}")]
    NoAddress {
        /// Which server.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The namespace.
        namespace: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// It runs, but does not answer.
    #[error("{what} does not answer at {address} within {} s. Last in its log:\n{tail}", .patience.as_secs())]
    Silent {
        /// Which server.
        what: &'static str,
        /// Where it was asked.
        address: SocketAddr,
        /// How long it had.
        patience: Duration,
        /// The last lines of its log.
        tail: String,
    },
    /// A file of a server.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Anything else that the machine refuses.
    #[error("{what}: {error}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

impl ServerError {
    /// For `map_err` of what is done with a file.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::File { path, error }
    }

    /// For `map_err` of what is done with the machine.
    pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed { what, error }
    }
}
