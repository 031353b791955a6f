//! Whether a socket wakes the runtime: an epoll instance of its own in front of it (epoll(7)), that can be shut.
//!
//! The runtime's own registration cannot be paused, so each datagram would wake it, also while they are collected.

use std::{io, os::fd::OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tokio::io::{
    Interest,
    unix::{AsyncFd, AsyncFdReadyGuard},
};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Gate {
    epoll: AsyncFd<OwnedFd>,
}

impl Gate {
    /// An open one, before nothing yet.
    pub(super) fn new(socket: impl std::os::fd::AsFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, socket, EventData::new_u64(0), EventFlags::IN)?;
        // SAFETY: an OwnedFd is open as long as it lives, and nothing replaces this one.
        #[allow(unsafe_code)]
        let epoll = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?;
        Ok(Self { epoll })
    }

    /// Waits until something came since the guard of the last wait was cleared. A guard is to be cleared by who found
    /// nothing more, and what comes between the wait and that is not missed.
    pub(super) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.epoll.readable().await
    }

    /// Whether what comes from now on wakes anybody. What came while it was shut does not when it opens: the kernel may believe
    /// that it told so already.
    pub(super) fn set_open(&self, socket: impl std::os::fd::AsFd, open: bool) -> io::Result<()> {
        let events = if open { EventFlags::IN } else { EventFlags::empty() };
        Ok(epoll::modify(self.epoll.get_ref(), socket, EventData::new_u64(0), events)?)
    }
}
