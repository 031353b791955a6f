//! A bound on connections: how many there are at once, and how long one may be silent.
//!
//! Anybody can open TCP connections, and the agent needs its file descriptors for the camera.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// A connection that says nothing for this long is closed. WebSockets are pinged four times as often.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes connections as long as there is room.
#[derive(Clone)]
pub(super) struct Bounded(Arc<Semaphore>);

impl Bounded {
    /// Room for `connections`, shared by all clones.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }
}

impl<I, S> Accept<I, S> for Bounded {
    type Stream = Guarded<I>;
    type Service = S;
    type Future = Ready<io::Result<(Guarded<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        ready(match self.0.clone().try_acquire_owned() {
            Ok(permit) => {
                let silence = Box::pin(sleep(SILENCE));
                Ok((Guarded { stream, silence, _permit: permit }, service))
            }
            Err(_) => Err(io::Error::other("all connections are taken")),
        })
    }
}

/// A connection that holds its place until it is closed, also after an upgrade to WebSocket.
pub(super) struct Guarded<I> {
    stream: I,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                self.silence.as_mut().reset(Instant::now() + SILENCE);
                Poll::Ready(result)
            }
            Poll::Pending => match self.silence.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_dropped() {
        let bounded = Bounded::new(1);
        let (first, ()) = bounded.accept(io::Cursor::new([0u8]), ()).await.unwrap();
        assert!(bounded.accept(io::Cursor::new([0u8]), ()).await.is_err());
        drop(first);
        assert!(bounded.accept(io::Cursor::new([0u8]), ()).await.is_ok());
    }
}
