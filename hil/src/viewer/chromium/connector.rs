//! Connections from the rig into a namespace, so that chromedriver need listen nowhere but on the loopback of its own.

use std::{
    fs::File,
    future::Future,
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use hyper_util::rt::TokioIo;
use nix::sched::{CloneFlags, setns};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::lab::namespace::Namespace;

/// Connects to one address in a namespace, whatever is asked for.
#[derive(Clone, Debug)]
pub struct Inside {
    namespace: Option<PathBuf>,
    address: SocketAddr,
}

impl Inside {
    /// Without a namespace in the rig's own.
    pub fn new(namespace: Option<&Namespace>, address: SocketAddr) -> Self {
        let namespace = namespace.map(|namespace| PathBuf::from("/run/netns").join(namespace.name()));
        Self { namespace, address }
    }

    fn connect(&self) -> io::Result<std::net::TcpStream> {
        let Self { namespace, address } = self.clone();
        let connect = move || {
            if let Some(path) = namespace {
                setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
            }
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        // A thread of its own, which ends with it: its namespace must not become another task's.
        let gone = |_| io::Error::other("the thread that connects panicked");
        thread::Builder::new().spawn(connect)?.join().map_err(gone)?
    }
}

impl tower_service::Service<Uri> for Inside {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let inside = self.clone();
        Box::pin(async move {
            let connected = tokio::task::spawn_blocking(move || inside.connect());
            let stream = connected.await.map_err(io::Error::other)??;
            Ok(TokioIo::new(TcpStream::from_std(stream)?))
        })
    }
}
