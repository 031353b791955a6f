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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::signaling::{
        link::LinkEvent,
        message::{Body, Bye, Envelope, SessionId, read},
    };

    /// The far side of the next test: sends each message back until its input ends.
    #[tokio::test]
    #[ignore = "a process of its own, started by the test beside it"]
    async fn echo() {
        let mut link = start(LinkMetrics::default()).unwrap();
        while let Some(event) = link.events.recv().await {
            if let LinkEvent::Message(envelope) = event {
                link.outbox.send(envelope).await.unwrap();
            }
        }
    }

    #[test]
    fn a_process_speaks_lines_until_its_input_ends() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "signaling::link::stdio::tests::echo", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // The test harness writes lines of its own, which are no JSON.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut answer = || read(lines.find(|line| line.starts_with('{')).unwrap().as_bytes()).unwrap();

        let bye = Envelope::new(SessionId::new("s").unwrap(), Body::Bye(Bye::default()));
        writeln!(input, "{}", bye.to_json()).unwrap();
        assert_eq!(answer(), bye);
        writeln!(input, "rubbish").unwrap();
        assert!(matches!(answer().body, Body::Error(_)));
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}
