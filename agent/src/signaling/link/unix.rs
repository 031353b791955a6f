//! The link over a Unix socket that the agent listens on: JSON lines, one client at a time.
//!
//! A client may go and come back; live sessions go on meanwhile, and messages wait for it up to the bounded queue.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixSocket, UnixStream},
};

use super::{
    Carrier, Link, LinkEvent, LinkMetrics,
    backlog::Backlog,
    carry::{End, converse, meanwhile, tell},
    intake::Intake,
    lines::{LineEar, LinePen},
    pair,
};
use crate::signaling::message::{Envelope, code};

/// Connections that the kernel holds until they are taken. One is served, the rest are told so.
const BACKLOG: u32 = 16;

/// Time for the refusal of a second client to be written.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Pause after a failed accept: the process is out of file descriptors, and asking again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Listens on `path`, with mode 0600. A socket file that nothing answers on is taken over; anything else is left alone
/// and refused. The file goes when the link ends.
pub async fn listen(path: &Path, metrics: LinkMetrics) -> anyhow::Result<Link> {
    remove_stale(path).await?;
    let shown = path.display();
    let socket = UnixSocket::new_stream().with_context(|| format!("signalling socket {shown}"))?;
    socket.bind(path).with_context(|| {
        format!(
            "signalling socket {shown}: cannot be made; does its folder exist, and may the agent write there?"
        )
    })?;
    let file = SocketFile::new(path).with_context(|| format!("signalling socket {shown}"))?;
    // Before it listens: until then nobody can connect, whatever the mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("signalling socket {shown}: its mode cannot be set to 600"))?;
    let listener = socket.listen(BACKLOG).with_context(|| format!("signalling socket {shown}"))?;
    let (link, carrier) = pair(format!("unix:{shown}"));
    tokio::spawn(run(listener, carrier, file, metrics));
    Ok(link)
}

/// The file goes before the carrier does, whose end is what the agent waits for in [`Link::close`]: the order of drops
/// is that of the parameters, from the last to the first.
async fn run(listener: UnixListener, mut carrier: Carrier, _file: SocketFile, metrics: LinkMetrics) {
    let mut backlog = Backlog::new(metrics.clone());
    let mut intake = Intake::new(metrics.clone(), Instant::now());
    let mut served = 0_u64;
    while let Some(client) = meanwhile(&mut carrier, &mut backlog, accept(&listener)).await {
        if served > 0 {
            metrics.reconnects.inc();
        }
        served += 1;
        tracing::info!("a client connected to the signalling socket");
        if tell(&mut carrier, &mut backlog, LinkEvent::Up).await.is_none() {
            return;
        }
        metrics.up.set(1);
        let (reader, writer) = client.into_split();
        let (mut ear, mut pen) = (LineEar::new(reader), LinePen::new(writer));
        let end = tokio::select! {
            end = converse(&mut ear, &mut pen, &mut carrier, &mut backlog, &mut intake) => end,
            () = refuse_others(&listener) => return,
        };
        metrics.up.set(0);
        match end {
            End::Released => return,
            End::Eof => tracing::info!("the client of the signalling socket left"),
            End::Lost(why) => tracing::warn!("the client of the signalling socket is gone: {why}"),
        }
        if tell(&mut carrier, &mut backlog, LinkEvent::Down).await.is_none() {
            return;
        }
    }
}

async fn accept(listener: &UnixListener) -> UnixStream {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            Err(e) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("the signalling socket cannot take a client: {e}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells every further client that the socket is taken. Never ends.
async fn refuse_others(listener: &UnixListener) {
    let message = "another client holds this socket; end that one first";
    let line = format!("{}\n", Envelope::error(None, code::LINK_BUSY, message).to_json());
    loop {
        let mut client = accept(listener).await;
        let told = async {
            client.write_all(line.as_bytes()).await?;
            client.shutdown().await
        };
        if !matches!(tokio::time::timeout(REFUSAL_TIME, told).await, Ok(Ok(()))) {
            tracing::debug!("a second client left before it was told that the socket is taken");
        }
    }
}

/// Makes room at `path` if what is there is a socket that nothing answers on.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e).with_context(|| format!("signalling socket {shown}")),
    };
    if !metadata.file_type().is_socket() {
        bail!("signalling socket {shown}: there is a file of this name that is no socket; name another path");
    }
    match UnixStream::connect(path).await {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .with_context(|| format!("signalling socket {shown}: is left from before and cannot be removed")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            bail!("signalling socket {shown}: belongs to another user; name another path or remove it")
        }
        // Also when its queue is full: somebody owns it.
        Ok(_) | Err(_) => {
            bail!("signalling socket {shown}: another program listens there; end it or name another path")
        }
    }
}

/// Removes the socket's file in the end, unless another one stands in its place by then.
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours && let Err(e) = fs::remove_file(&self.path) {
            tracing::warn!("signalling socket {} cannot be removed: {e}", self.path.display());
        }
    }
}

#[cfg(test)]
#[path = "unix_tests.rs"]
mod tests;
