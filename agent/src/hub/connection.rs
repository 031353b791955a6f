//! A bound on connections: how many there are at once, and how long one may be silent.
//!
//! Anybody can open TCP connections, and the agent needs its file descriptors for the camera.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::sync::Semaphore;

use crate::telemetry::connection::Held;

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
    type Stream = Held<I>;
    type Service = S;
    type Future = Ready<io::Result<(Held<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        ready(match self.0.clone().try_acquire_owned() {
            Ok(place) => Ok((Held::new(stream, place, SILENCE), service)),
            Err(_) => Err(io::Error::other("all connections are taken")),
        })
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
