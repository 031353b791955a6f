//! The rig's own viewer, without a screen, on the async `webrtc` crate: another driver than the agent's own.
//!
//! Its stack opens its sockets on threads of the whole process, so one process is one viewer in one namespace:
//! `p2pcam-hil watch`, started here. It takes H.264 only, and conceals nothing: a picture that is not whole is not seen.
//! It speaks neither TURN over TCP nor TURN over TLS (`webrtc` 0.21 skips both): where a viewer needs them, Chromium is
//! the one to use.
//!
//! It gives the feedback of a browser: transport-wide arrival times every 100 ms, NACK at once and again after a round
//! trip, RTX, and PLI for what cannot be repaired; receiver reports every second. It makes no jitter buffer: a picture is
//! seen when it is complete.
//!
//! Its stack (`rtc-dtls` 0.21) stops its timer at any handshake message that comes while it waits for another. As the server
//! of DTLS it then does not repeat a flight that was lost, however often the device repeats its own: on a line with losses
//! about as large a share of sessions does not come up.

mod addresses;
mod asking;
mod assembler;
pub mod cli;
mod course;
mod lips;
mod mending;
mod nack;
mod peer;
mod pictures;
mod reports;
mod servers;
mod session;
mod signaling;
mod tally;
mod wanted;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{Event, Viewer, ViewerError, Watch, lines::Lines};
use crate::{
    lab::{Lab, namespace::Namespace},
    process::{Program, Spec},
    record::Artefact,
    scenario::plan::ViewerKind,
};

/// A viewer that does not end by itself so long after its time is stuck.
const GRACE: Duration = Duration::from_secs(5);
/// How long it may take to end after its last word.
const LAST: Duration = Duration::from_secs(2);
/// Lines that are no events are kept in its log, the first of them.
const MAX_BAD: usize = 20;

/// See the module.
#[derive(Clone, Debug)]
pub struct HeadlessViewer {
    program: PathBuf,
}

impl HeadlessViewer {
    /// One that runs `program watch`; the program is `p2pcam-hil` itself.
    pub fn new(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// The same as [`Viewer::watch`], in any namespace or, without one, in the rig's own.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn watch_in(
        &self,
        namespace: Option<&Namespace>,
        watch: &Watch,
        events: mpsc::Sender<Event>,
    ) -> Result<Vec<Artefact>, ViewerError> {
        let failed = |what: String| ViewerError { name: watch.name.clone(), what };
        let log_name = format!("{}.log", watch.name);
        let log = watch.folder.join(&log_name);
        let seconds = format!("{:.3}", watch.time.as_secs_f64());
        let mut args: Vec<OsString> =
            ["watch", "--hub", &watch.hub, "--device", &watch.device, "--seconds", &seconds]
                .map(OsString::from)
                .to_vec();
        if let Some(address) = watch.address {
            args.extend(["--address".into(), address.to_string().into()]);
        }
        args.extend(watch.relay_only.then(|| "--relay-only".into()));
        args.extend((!watch.retry).then(|| "--no-retry".into()));
        let spec = Spec {
            what: "the headless viewer",
            program: &self.program,
            args,
            env: vec![(cli::TOKEN_VARIABLE.into(), watch.token.clone().into())],
            namespace,
            log: &log,
            pipe_stdout: true,
        };
        let mut program = Program::start(spec).map_err(|error| failed(error.to_string()))?;
        let stdout = program.stdout().ok_or_else(|| failed("its output cannot be read".into()))?;
        let relay = relay(stdout, &events, Instant::now() + watch.time + GRACE).await;
        if !relay.ended {
            let code = match timeout_at(Instant::now() + LAST, program.wait()).await {
                Ok(Ok(status)) => format!("it ended ({status})"),
                _ => "it was stuck and was killed".to_owned(),
            };
            let reason = format!("the viewer broke off: {code}; {}", program.log_tail(3));
            let _ = events.send(Event::End { ms: relay.last_ms, reason }).await;
        }
        program.stop(LAST).await;
        Ok(vec![Artefact { what: format!("words of the viewer {}", watch.name), path: log_name.into() }])
    }
}

#[async_trait::async_trait]
impl Viewer for HeadlessViewer {
    fn kind(&self) -> ViewerKind {
        ViewerKind::Headless
    }

    async fn watch(
        &mut self,
        lab: &Lab,
        watch: &Watch,
        events: mpsc::Sender<Event>,
    ) -> Result<Vec<Artefact>, ViewerError> {
        self.watch_in(Some(lab.viewer()), watch, events).await
    }
}

/// How the relaying ended.
#[derive(Debug, Default)]
struct Relayed {
    /// There was an [`Event::End`].
    ended: bool,
    /// Time of the last event.
    last_ms: f64,
}

/// Hands on what the process prints, until its end or the deadline.
async fn relay(
    mut output: impl tokio::io::AsyncRead + Unpin,
    events: &mpsc::Sender<Event>,
    deadline: Instant,
) -> Relayed {
    let mut relayed = Relayed::default();
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    let mut bad = 0;
    while let Ok(Ok(count @ 1..)) = timeout_at(deadline, output.read(&mut buffer)).await {
        for line in lines.push(&buffer[..count]) {
            match line {
                Ok(event) => {
                    relayed.last_ms = event.ms();
                    relayed.ended |= matches!(event, Event::End { .. });
                    if events.send(event).await.is_err() {
                        return relayed;
                    }
                }
                Err(why) if bad < MAX_BAD => {
                    bad += 1;
                    eprintln!("a viewer's line is passed over: {why}");
                }
                Err(_) => {}
            }
        }
    }
    relayed
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn relayed(output: &[u8]) -> (Relayed, Vec<Event>) {
        let (tell, mut told) = mpsc::channel(64);
        let end = relay(output, &tell, Instant::now() + GRACE).await;
        drop(tell);
        let mut events = Vec::new();
        while let Some(event) = told.recv().await {
            events.push(event);
        }
        (end, events)
    }

    #[tokio::test]
    async fn a_process_that_breaks_off_is_noticed_and_what_it_said_is_kept() {
        let (end, events) = relayed(b"{\"event\":\"answer\",\"ms\":12.0}\nthread panicked\n").await;
        assert_eq!(events, [Event::Answer { ms: 12.0 }]);
        assert!(!end.ended && end.last_ms == 12.0);
    }

    #[tokio::test]
    async fn one_that_comes_to_its_end_is_believed() {
        let (end, _) = relayed(b"{\"event\":\"end\",\"ms\":3.5,\"reason\":\"the time is over\"}\n").await;
        assert!(end.ended && end.last_ms == 3.5);
    }
}
