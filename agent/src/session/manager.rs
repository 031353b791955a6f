//! All sessions of the agent: takes the messages of each link and gives each viewer a task of its own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use rtc::peer_connection::certificate::RTCCertificate;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::{
    driver::{Command, Session},
    metrics::SessionMetrics,
    peer::new_certificate,
    roaming::{LinkState, Surroundings},
};
use crate::{
    board::Board,
    config::{IceConfig, IcePolicy, SessionConfig},
    media::{
        audio::{AudioPipeline, TalkBack},
        video::VideoPipeline,
    },
    signaling::{
        link::{Link, LinkEvent},
        message::{Body, Connect, Envelope, SessionId, code},
    },
    telemetry::metrics::Metrics,
    transport::{Servers, Transport},
};

/// Messages waiting for one session: a viewer's whole trickle fits, a flood does not.
const COMMANDS: usize = 64;
/// Time for the end: sessions say goodbye, the link sends what they said, TURN servers get their allocations back. It
/// leaves half a second of the 2 s that a stop may take.
const GOODBYE: Duration = Duration::from_millis(1500);

/// Where pictures and sound come from and go to.
pub struct Media {
    /// The picture.
    pub video: VideoPipeline,
    /// The sound.
    pub audio: AudioPipeline,
    /// The viewers' voices.
    pub talkback: TalkBack,
    /// Whether they are allowed, and who is told of viewers.
    pub board: Board,
}

/// What all sessions share.
pub(super) struct Shared {
    pub media: Media,
    pub metrics: SessionMetrics,
    pub certificate: RTCCertificate,
    pub connect_timeout: Duration,
    pub disconnect_timeout: Duration,
    transport: Transport,
    ice: IceConfig,
    /// One permit a session.
    room: Arc<Semaphore>,
    max: usize,
}

/// All sessions of the agent; cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

/// Counts a session as long as it lives.
struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A link that is served, and what its sessions are told of it.
struct Line {
    link: Link,
    state: watch::Sender<LinkState>,
}

/// A session's mailbox.
struct Mailbox {
    commands: mpsc::Sender<Command>,
}

impl Sessions {
    /// Ready to serve links.
    ///
    /// # Errors
    /// When the DTLS key cannot be made, which only happens without randomness.
    pub fn new(
        config: &SessionConfig,
        ice: &IceConfig,
        transport: Transport,
        media: Media,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Shared {
            media,
            metrics: metrics.register(SessionMetrics::register),
            certificate: new_certificate()?,
            connect_timeout: Duration::from_secs(config.connect_timeout_s),
            disconnect_timeout: Duration::from_secs(config.disconnect_timeout_s),
            transport,
            ice: ice.clone(),
            room: Arc::new(Semaphore::new(config.max)),
            max: config.max,
        })))
    }

    /// Serves a link until it is over for good or `stop` says so; then its sessions say goodbye and end, the link is
    /// closed and TURN allocations are given back, all within 1.5 s.
    pub async fn serve(&self, link: Link, stop: CancellationToken) {
        let mut line = Line { link, state: watch::Sender::default() };
        let mut mailboxes: HashMap<SessionId, Mailbox> = HashMap::new();
        let mut tasks: JoinSet<SessionId> = JoinSet::new();
        let mut network = self.0.transport.interfaces();
        // Ends with this future too, if it is dropped.
        let goodbye = stop.child_token();
        let _guard = goodbye.clone().drop_guard();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => match ended {
                    // Unless the id is in use again.
                    Ok(id) => if mailboxes.get(&id).is_some_and(|m| m.commands.is_closed()) {
                        mailboxes.remove(&id);
                    },
                    Err(e) => {
                        // A bug in a session must not cost the others; its mailbox is closed and goes here.
                        warn!("a session broke: {e}");
                        mailboxes.retain(|id, mailbox| {
                            let lives = !mailbox.commands.is_closed();
                            if !lives {
                                let words = "the session broke on the camera; start another one";
                                let error = Envelope::error(Some(id.clone()), code::INTERNAL, words);
                                let _ = line.link.outbox.try_send(error);
                            }
                            lives
                        });
                    }
                },
                Ok(()) = network.changed() => {
                    line.link.doubt.moved();
                }
                event = line.link.events.recv() => match event {
                    Some(LinkEvent::Up) => {
                        info!("link {} is up", line.link.name);
                        line.state.send_modify(|link| *link = LinkState { up: true, connections: link.connections + 1 });
                    }
                    Some(LinkEvent::Down) => {
                        warn!("link {} is down; live sessions go on", line.link.name);
                        line.state.send_modify(|link| link.up = false);
                    }
                    Some(LinkEvent::Message(envelope)) => {
                        let reply = self.dispatch(envelope, &line, &mut mailboxes, &mut tasks, &goodbye);
                        if let Some(error) = reply && line.link.outbox.try_send(error).is_err() {
                            self.0.metrics.messages_dropped.inc();
                        }
                    }
                    None => {
                        info!("link {} is over", line.link.name);
                        break;
                    }
                },
            }
        }
        goodbye.cancel();
        let deadline = Instant::now() + GOODBYE;
        let all_said = async { while tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all_said).await.is_err() {
            warn!("{} sessions did not end in time", tasks.len());
        }
        // Both need the network, and neither waits for the other.
        let given_back = timeout_at(deadline, self.0.transport.released());
        let (_, given_back) = tokio::join!(line.link.close(deadline - Instant::now()), given_back);
        if given_back.is_err() {
            warn!("a TURN server did not take its allocation back; it ends there by itself");
        }
    }

    /// Acts on a message; gives the error to send back, if any.
    fn dispatch(
        &self,
        envelope: Envelope,
        line: &Line,
        mailboxes: &mut HashMap<SessionId, Mailbox>,
        tasks: &mut JoinSet<SessionId>,
        goodbye: &CancellationToken,
    ) -> Option<Envelope> {
        let Some(id) = envelope.session else {
            if let Body::Error(error) = envelope.body {
                warn!("the server reports: {} ({})", error.message, error.code);
            }
            return None;
        };
        let refuse = |code: &str, words: String| Some(Envelope::error(Some(id.clone()), code, words));
        let command = match envelope.body {
            Body::Connect(connect) => {
                if let Some(mailbox) = mailboxes.get(&id).filter(|mailbox| !mailbox.commands.is_closed()) {
                    let renewal = Command::Renew(self.servers(&connect));
                    return mailbox.commands.try_send(renewal).err().and_then(|_| {
                        let words = "more messages than the session can take; slow down".to_owned();
                        refuse(code::TOO_MANY_MESSAGES, words)
                    });
                }
                let Ok(permit) = self.0.room.clone().try_acquire_owned() else {
                    let words = format!(
                        "{} viewers are being served, which is the limit ([session] max)",
                        self.0.max
                    );
                    return refuse(code::TOO_MANY_SESSIONS, words);
                };
                let mailbox = self.open(id.clone(), &connect, line, permit, tasks, goodbye);
                mailboxes.insert(id, mailbox);
                return None;
            }
            Body::Description(description) => Command::Description(description),
            Body::Candidate(candidate) => Command::Candidate(candidate),
            Body::Error(error) => Command::Error(error),
            Body::Bye(bye) => Command::Bye(bye),
            // Only devices have something to say in this way.
            Body::Notice(_) | Body::Restart(_) => return None,
        };
        let last_word = matches!(command, Command::Error(_) | Command::Bye(_));
        match mailboxes.get(&id).map(|mailbox| mailbox.commands.try_send(command)) {
            Some(Ok(())) => None,
            Some(Err(mpsc::error::TrySendError::Full(_))) => {
                refuse(code::TOO_MANY_MESSAGES, "more messages than the session can take; slow down".into())
            }
            // Crossed with the end of the session.
            _ if last_word => None,
            _ => refuse(
                code::UNKNOWN_SESSION,
                format!("session {id} does not exist here: it ended, or its `connect` never came"),
            ),
        }
    }

    fn open(
        &self,
        id: SessionId,
        connect: &Connect,
        line: &Line,
        permit: OwnedSemaphorePermit,
        tasks: &mut JoinSet<SessionId>,
        goodbye: &CancellationToken,
    ) -> Mailbox {
        let span = info_span!("viewer", session = %id);
        let policy: IcePolicy = self.0.ice.policy;
        // What the transport starts for the session tells of it too.
        let endpoint = span.in_scope(|| self.0.transport.open(&self.servers(connect), policy));
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let session = Session {
            id: id.clone(),
            shared: self.0.clone(),
            outbox: line.link.outbox.clone(),
            doubt: line.link.doubt.clone(),
            surroundings: Surroundings::new(line.state.subscribe(), self.0.transport.interfaces()),
            commands: inbox,
            stop: goodbye.child_token(),
            endpoint,
        };
        self.0.metrics.open.inc();
        let open = Open(self.0.metrics.open.clone());
        tasks.spawn(
            async move {
                // A session that breaks gives its place back too.
                let _room = (permit, open);
                session.run().await;
                id
            }
            .instrument(span),
        );
        Mailbox { commands }
    }

    /// The servers of `connect` and of agent.toml.
    fn servers(&self, connect: &Connect) -> Servers {
        let mut servers = Servers::default();
        let mut problems = Vec::new();
        if let Some(stun) = &connect.stun {
            servers.add_stun(&stun.ip, stun.port);
        }
        for s in &connect.ice_servers {
            problems.extend(servers.add(&s.urls, s.username.as_deref(), s.credential.as_deref()));
        }
        for s in &self.0.ice.servers {
            problems.extend(servers.add(&s.urls, s.username.as_deref(), s.credential.as_deref()));
        }
        for problem in problems {
            warn!("ICE server left out: {problem}");
        }
        debug!("ICE servers: {servers:?}");
        servers
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
