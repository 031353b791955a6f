//! A second door of the hub: what comes to another port of the internet's namespace is passed to it.
//!
//! Where a network lets out TCP to port 443 alone, services have both their hub and their TURN server there, at two
//! addresses. The hub binds one plain port, so the rig passes the other on.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime,
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use super::{ServerError, place};
use crate::lab::namespace::Namespace;

/// Connections at once; more wait. A scenario has a handful.
const CONNECTIONS: usize = 64;
/// What it is called in messages.
const NAME: &str = "the hub's second door";

/// Closed when dropped, with all that goes through it.
#[derive(Debug)]
pub(super) struct Door {
    /// Closing it stops the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens at addresses of the namespace and passes connections on to another of it.
    pub(super) fn open(
        namespace: &Namespace,
        at: &[SocketAddr],
        to: SocketAddr,
    ) -> Result<Self, ServerError> {
        for address in at {
            place::is_free(namespace, NAME, *address, false)?;
        }
        let bind = |address: &SocketAddr| -> io::Result<StdTcpListener> {
            let listener = StdTcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let listeners = namespace.run(|| at.iter().map(bind).collect::<io::Result<Vec<_>>>());
        let opened = listeners.and_then(|listeners| {
            // A thread in the namespace, so that the connections to the hub are made there too.
            let entrance = Namespace::open(namespace.name())?;
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (stop, stopped) = oneshot::channel();
            let serve = async move {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listeners, to) => {}
                }
                Ok(())
            };
            // Were it refused, nobody would come in by this door, which the rig's checks find.
            let serve = move || drop(entrance.run(|| runtime.block_on(serve)));
            let thread = thread::Builder::new().name("hub-door".into()).spawn(serve)?;
            Ok(Self { stop: Some(stop), thread: Some(thread) })
        });
        opened.map_err(ServerError::failed(NAME))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listeners: Vec<StdTcpListener>, to: SocketAddr) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut doors: JoinSet<()> = listeners
        .into_iter()
        .filter_map(|listener| TcpListener::from_std(listener).ok())
        .map(|listener| accept(listener, slots.clone(), to))
        .collect();
    while doors.join_next().await.is_some() {}
}

async fn accept(listener: TcpListener, slots: Arc<Semaphore>, to: SocketAddr) {
    let mut passing = JoinSet::new();
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        tokio::select! {
            Some(_) = passing.join_next(), if !passing.is_empty() => {}
            accepted = listener.accept() => if let Ok((outside, _)) = accepted {
                passing.spawn(async move {
                    // A hub that is gone closes the connection, as a door with nobody behind it.
                    let _ = pass(outside, to).await;
                    drop(slot);
                });
            },
        }
    }
}

async fn pass(mut outside: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut hub = TcpStream::connect(to).await?;
    outside.set_nodelay(true)?;
    hub.set_nodelay(true)?;
    copy_bidirectional(&mut outside, &mut hub).await.map(drop)
}
