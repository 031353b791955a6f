//! One address of the hub: takes connections as long as there is room, and answers each in a task of its own.
//!
//! Anybody can open TCP connections, and the agent needs its file descriptors for the camera.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::telemetry::connection::Held;

/// A connection that says nothing for this long is closed. WebSockets are pinged four times as often.
const SILENCE: Duration = Duration::from_secs(60);
/// TLS handshakes on slow boards with several viewers at once take their time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Without file descriptors the next attempt to take a connection would fail at once, too.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections as long as there is room.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    /// For so many `connections`, shared by all clones.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// `None`: there is none.
    fn admit(&self, stream: TcpStream) -> Option<Held<TcpStream>> {
        // Candidates come in small messages, one after another: each would wait a round trip for the one before to be
        // acknowledged (RFC 896). Without the option it is only slower.
        let _ = stream.set_nodelay(true);
        Some(Held::new(stream, self.0.clone().try_acquire_owned().ok()?, SILENCE))
    }
}

/// See the module's documentation.
pub(super) struct Listener {
    pub socket: TcpListener,
    /// For HTTPS.
    pub tls: Option<TlsAcceptor>,
    pub room: Room,
    pub app: Router,
    /// A client that has sent no whole head of a request after this long is closed.
    pub patience: Duration,
    /// What is being answered when [`Self::serve`] is told to stop has so long.
    pub grace: Duration,
}

impl Listener {
    /// Serves until `stop`, and then takes no more connections, until those that are there have ended.
    pub async fn serve(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => if let Some(stream) = self.room.admit(stream) {
                        let client = Client {
                            peer,
                            app: self.app.clone(),
                            patience: self.patience,
                            stop: stop.clone(),
                        };
                        match self.tls.clone() {
                            Some(tls) => connections.spawn(client.secure(tls, stream)),
                            None => connections.spawn(client.converse(stream)),
                        };
                    } else {
                        debug!("{peer} is turned away: all connections are taken");
                    },
                    Err(e) => {
                        debug!("a connection was not taken: {e}");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        // Who has not ended then is cut off, with the set.
        let _ = timeout(self.grace, async { while connections.join_next().await.is_some() {} }).await;
    }
}

/// Who is at the other end of a connection, and what serves it.
struct Client {
    peer: SocketAddr,
    app: Router,
    patience: Duration,
    stop: CancellationToken,
}

impl Client {
    async fn secure(self, tls: TlsAcceptor, stream: Held<TcpStream>) {
        let shaken = tokio::select! {
            shaken = timeout(HANDSHAKE, tls.accept(stream)) => shaken.unwrap_or(Err(io::ErrorKind::TimedOut.into())),
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.converse(stream).await,
            Err(e) => debug!("{}: no TLS: {e}", self.peer),
        }
    }

    /// Answers requests, up to the connection's end or its upgrade to a WebSocket.
    async fn converse<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let answer = |request| answer(self.app.clone(), self.peer, request);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(e) = ended {
            debug!("{}: connection ended: {e}", self.peer);
        }
    }
}

async fn answer(
    mut app: Router,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    tower_service::Service::call(&mut app, request).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn listener(room: usize, patience: Duration) -> (Listener, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let app = Router::new().fallback(|peer: ConnectInfo<SocketAddr>| async move { peer.0.to_string() });
        let room = Room::new(room);
        (Listener { socket, tls: None, room, app, patience, grace: DEADLINE }, address)
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_connection_is_dropped() {
        let (listener, address) = listener(1, DEADLINE).await;
        let accept = || async {
            let (_client, server) = tokio::join!(TcpStream::connect(address), listener.socket.accept());
            listener.room.admit(server.unwrap().0)
        };
        let first = accept().await;
        assert!(first.is_some() && accept().await.is_none());
        drop(first);
        assert!(accept().await.is_some());
    }

    #[tokio::test]
    async fn requests_are_answered_by_who_asks_and_an_idle_connection_ends_with_the_hub() {
        let (listener, address) = listener(4, DEADLINE).await;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(stop.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut head = vec![0; 1000];
            let length = timeout(DEADLINE, client.read(&mut head)).await.unwrap().unwrap();
            let (text, own) = (String::from_utf8_lossy(&head[..length]), client.local_addr().unwrap());
            assert!(text.starts_with("HTTP/1.1 200") && text.ends_with(&own.to_string()), "{text}");
        }
        stop.cancel();
        assert_eq!(timeout(DEADLINE, client.read(&mut [0])).await.unwrap().unwrap(), 0);
        timeout(DEADLINE, serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn who_sends_no_whole_head_of_a_request_is_closed() {
        let (listener, address) = listener(4, Duration::from_millis(200)).await;
        tokio::spawn(listener.serve(CancellationToken::new()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(DEADLINE, client.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "still open after {DEADLINE:?}");
    }
}
