//! All connections that there are, and the way from a session to its own.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::BytesMut;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    book::{Book, Refusal},
    outbox::{NextPicture, Outbox},
};
use crate::transport::{
    Path,
    demux::EndpointId,
    metrics::{Drop as Dropped, TransportMetrics},
};

/// What a session and the task of its connection share.
#[derive(Debug, Default)]
pub(super) struct Link {
    outbox: Mutex<Outbox>,
    /// The log says already that the viewer is too slow.
    told: AtomicBool,
    /// Something waits to be written.
    pub wake: Notify,
    /// The connection is to be closed, after what waits is written.
    pub end: CancellationToken,
}

impl Link {
    /// The next frames to be written; counts them.
    pub fn fill(&self, now: Instant, batch: &mut BytesMut, metrics: &TransportMetrics) {
        let (sent, late) = lock(&self.outbox).fill(now, batch);
        metrics.tcp_frames_out.inc_by(sent);
        metrics.drop_some(Dropped::TcpQueue, late);
    }
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    links: HashMap<Path, Arc<Link>>,
    listening: Vec<SocketAddr>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(in crate::transport) struct Connections {
    state: Mutex<State>,
    /// The port's number was chosen by the operator, who may have forwarded it.
    pub(super) fixed: bool,
}

impl Connections {
    /// None yet. `port`: as configured; 0: any.
    pub fn new(port: u16) -> Self {
        Self { fixed: port != 0, ..Self::default() }
    }

    /// Whether viewers can connect to this address.
    pub fn listens(&self, local: SocketAddr) -> bool {
        self.state().listening.contains(&local)
    }

    pub(super) fn set_listening(&self, local: SocketAddr, listens: bool) {
        let mut state = self.state();
        state.listening.retain(|known| *known != local);
        if listens {
            state.listening.push(local);
        }
    }

    /// Sends a session's datagram. Never blocks; what finds no room or no connection is dropped and counted.
    pub fn send(&self, now: Instant, id: EndpointId, path: Path, data: &[u8], metrics: &TransportMetrics) {
        let link = {
            let mut state = self.state();
            if state.book.answers(path, id) { state.links.get(&path).cloned() } else { None }
        };
        let Some(link) = link else {
            metrics.drop_one(Dropped::NoConnection);
            return;
        };
        let dropped = lock(&link.outbox).push(now, data);
        if dropped > 0 {
            metrics.drop_some(Dropped::TcpQueue, dropped);
            if !link.told.swap(true, Ordering::Relaxed) {
                info!(
                    "the TCP connection from {} is slower than the pictures: some are left out",
                    path.remote
                );
            }
        }
        link.wake.notify_one();
    }

    /// What is to be done with a session's next picture, which would go by `path`.
    pub fn next_picture(&self, now: Instant, path: Path, keyframe: bool) -> NextPicture {
        let link = self.state().links.get(&path).cloned();
        link.map_or(NextPicture::Send, |link| lock(&link.outbox).next_picture(now, keyframe))
    }

    /// Closes a session's connections, after what they still have to write.
    pub fn close(&self, id: EndpointId) {
        let mut state = self.state();
        for path in state.book.of(id) {
            state.remove(path);
        }
    }

    /// Takes in a new connection, if there is room for it.
    pub(super) fn enter(&self, now: Instant, path: Path) -> Result<(Arc<Link>, Option<Path>), Refusal> {
        let mut state = self.state();
        let displaced = state.book.enter(now, path)?;
        if let Some(path) = displaced {
            state.remove(path);
        }
        let link = Arc::new(Link::default());
        state.links.insert(path, link.clone());
        Ok((link, displaced))
    }

    /// The connection's first check names the session. Gives the one that had to go for it, if any.
    pub(super) fn name(&self, now: Instant, path: Path, id: EndpointId) -> Result<Option<Path>, Refusal> {
        let mut state = self.state();
        let displaced = state.book.name(now, path, id)?;
        if let Some(path) = displaced {
            state.remove(path);
        }
        Ok(displaced)
    }

    pub(super) fn heard(&self, now: Instant, path: Path) {
        self.state().book.heard(now, path);
    }

    pub(super) fn is_proven(&self, path: Path) -> bool {
        self.state().book.is_proven(path)
    }

    /// The connection is closed. Another of the same addresses may have come since: it stays.
    pub(super) fn leave(&self, path: Path, link: &Arc<Link>) {
        let mut state = self.state();
        if state.links.get(&path).is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.remove(path);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn remove(&mut self, path: Path) {
        self.book.leave(path);
        if let Some(link) = self.links.remove(&path) {
            link.end.cancel();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
