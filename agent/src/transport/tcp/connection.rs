//! One connection of a viewer: its frames go to the session that its first check named, the session's go out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::{sleep_until, timeout},
};
use tracing::debug;

use super::{
    book::Refusal,
    frame::{Frames, HEADER, MAX_FRAME},
    link::Link,
    patience::Patience,
};
use crate::transport::{
    Path,
    demux::{EndpointId, Packet, classify},
    endpoint::Datagram,
    metrics::Drop as Dropped,
    shared::Shared,
};

/// Time for what waits when the session ends, the DTLS alert above all.
const TO_FINISH: Duration = Duration::from_secs(1);
/// Datagrams are cut from blocks of this size once the connection has a session.
const BLOCK: usize = 16 * 1024;

/// Why a connection is over.
enum End {
    /// The session ended, or the connection had to make room.
    Told,
    /// The viewer closed it, or it broke.
    Gone,
    /// It broke a rule.
    Refused(Refusal),
}

/// A place among the connections; given back when dropped.
pub(super) struct Seat {
    shared: Arc<Shared>,
    path: Path,
    link: Arc<Link>,
    owner: Option<EndpointId>,
}

impl Seat {
    /// Takes a place, if there is one.
    pub fn take(shared: &Arc<Shared>, path: Path) -> Option<Self> {
        match shared.tcp.enter(Instant::now(), path) {
            Ok((link, displaced)) => {
                shared.metrics.tcp_connections.inc();
                if displaced.is_some() {
                    shared.metrics.tcp_refused(Refusal::Limit);
                }
                Some(Self { shared: shared.clone(), path, link, owner: None })
            }
            Err(refusal) => {
                debug!("TCP connection from {} not taken: too many", path.remote);
                shared.metrics.tcp_refused(refusal);
                None
            }
        }
    }

    /// Serves the connection to its end.
    pub async fn serve(mut self, mut stream: TcpStream) {
        let (mut read, mut write) = stream.split();
        let mut batch = BytesMut::new();
        match self.run(&mut read, &mut write, &mut batch).await {
            End::Told => {
                // What is under way is finished: the viewer must not read half a frame.
                let _ = timeout(TO_FINISH, self.finish(&mut write, &mut batch)).await;
            }
            End::Gone => {}
            End::Refused(refusal) => {
                debug!("TCP connection from {} closed: {refusal:?}", self.path.remote);
                self.shared.metrics.tcp_refused(refusal);
            }
        }
    }

    async fn run(&mut self, read: &mut ReadHalf<'_>, write: &mut WriteHalf<'_>, batch: &mut BytesMut) -> End {
        let mut frames = Frames::default();
        let mut patience = Patience::new(Instant::now());
        loop {
            if batch.is_empty() {
                self.link.fill(Instant::now(), batch, &self.shared.metrics);
            }
            let ends = patience.ends(self.shared.tcp.is_proven(self.path));
            if frames.buffer.capacity() < HEADER + MAX_FRAME {
                frames.buffer.reserve(if self.owner.is_some() { BLOCK } else { HEADER + MAX_FRAME });
            }
            tokio::select! {
                () = self.link.end.cancelled() => return End::Told,
                came = read.read_buf(&mut frames.buffer) => {
                    if !matches!(came, Ok(1..)) {
                        return End::Gone;
                    }
                    match self.pass_on(&mut frames) {
                        Ok(true) => patience.heard(Instant::now()),
                        Ok(false) => {}
                        Err(refusal) => return End::Refused(refusal),
                    }
                }
                wrote = write.write(&*batch), if !batch.is_empty() => match wrote {
                    Ok(length @ 1..) => batch.advance(length),
                    _ => return End::Gone,
                },
                () = self.link.wake.notified(), if batch.is_empty() => {}
                () = sleep_until(ends.into()) => return End::Refused(Refusal::Silent),
            }
        }
    }

    /// Passes on all whole frames; says whether there were any.
    fn pass_on(&mut self, frames: &mut Frames) -> Result<bool, Refusal> {
        let mut any = false;
        while let Some(data) = frames.take().map_err(|_| Refusal::Framing)? {
            let at = Instant::now();
            let receiver = self.receiver(at, &data)?;
            self.shared.metrics.tcp_frames_in.inc();
            match receiver {
                Some(id) => self.shared.give(id, Datagram { path: self.path, data, at }),
                None => self.shared.metrics.drop_one(Dropped::Unknown),
            }
            any = true;
        }
        if any {
            self.shared.tcp.heard(Instant::now(), self.path);
        }
        Ok(any)
    }

    /// The session that a frame is for; `None`: nobody.
    fn receiver(&mut self, at: Instant, data: &[u8]) -> Result<Option<EndpointId>, Refusal> {
        let named = match classify(data) {
            Packet::StunRequest { ufrag, .. } => ufrag.and_then(|ufrag| self.shared.named(ufrag)),
            Packet::Unknown => return self.owner.map(|_| None).ok_or(Refusal::Stranger),
            _ => return self.owner.map(Some).ok_or(Refusal::Stranger),
        };
        match (self.owner, named) {
            (None, None) => Err(Refusal::Stranger),
            (None, Some(id)) => {
                if self.shared.tcp.name(at, self.path, id)?.is_some() {
                    self.shared.metrics.tcp_refused(Refusal::Limit);
                }
                self.owner = Some(id);
                Ok(Some(id))
            }
            (Some(owner), Some(id)) if owner != id => Err(Refusal::Foreign),
            // A check of an ICE generation that is over may still be under way.
            (Some(_), named) => Ok(named),
        }
    }

    async fn finish(&self, write: &mut WriteHalf<'_>, batch: &mut BytesMut) -> std::io::Result<()> {
        loop {
            if batch.is_empty() {
                self.link.fill(Instant::now(), batch, &self.shared.metrics);
            }
            if batch.is_empty() {
                return write.shutdown().await;
            }
            write.write_all_buf(batch).await?;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.tcp.leave(self.path, &self.link);
        self.shared.metrics.tcp_connections.dec();
    }
}
