//! The hub's connections: how many there are at once, how long one may be silent, and that none waits to be fuller.
//!
//! Anybody can open TCP connections, and the agent needs its file descriptors for the camera.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{net::TcpStream, sync::Semaphore};

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

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Held<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Held<TcpStream>, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        // Candidates come in small messages, one after another: each would wait a round trip for the one before to be
        // acknowledged (RFC 896). Without the option it is only slower.
        let _ = stream.set_nodelay(true);
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
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let (first, ()) = bounded.accept(connect().await, ()).await.unwrap();
        assert!(bounded.accept(connect().await, ()).await.is_err());
        drop(first);
        assert!(bounded.accept(connect().await, ()).await.is_ok());
    }
}
