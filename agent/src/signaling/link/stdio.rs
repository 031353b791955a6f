//! The link over standard input and output, for an integrator's own cloud client that starts the agent.

use std::{io::Read, thread};

use anyhow::Context;
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    runtime::Handle,
};

use super::{Link, LinkMetrics, lines, pair};

/// Bytes between the thread that reads standard input and the link's task.
const PIPE: usize = 64 * 1024;

/// Starts the link; must be called within a tokio runtime. The end of standard input ends it. Nothing else may write to
/// standard output.
pub fn start(metrics: LinkMetrics) -> anyhow::Result<Link> {
    let (link, carrier) = pair("stdio");
    let (near, far) = tokio::io::duplex(PIPE);
    let runtime = Handle::current();
    // Not tokio's stdin: a read that waits there would hold up the end of the runtime. This thread is let go.
    thread::Builder::new()
        .name("p2pcam-stdin".into())
        .spawn(move || pump(&runtime, far))
        .context("cannot start the thread that reads standard input")?;
    tokio::spawn(lines::serve(near, tokio::io::stdout(), carrier, metrics));
    Ok(link)
}

/// Until the input ends or the link does. A link that was dropped is noticed at the next input.
fn pump(runtime: &Handle, mut pipe: DuplexStream) {
    let mut input = std::io::stdin().lock();
    let mut chunk = [0; 16 * 1024];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                if runtime.block_on(pipe.write_all(&chunk[..n])).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                tracing::warn!("standard input cannot be read: {e}");
                return;
            }
        }
    }
}
