//! The link to a remote hub by WebSocket (RFC 6455): one envelope a message, text or binary.
//!
//! Reconnects by itself with back-off and jitter. A lost connection ends no session: the sessions see
//! [`LinkEvent::Down`] and [`LinkEvent::Up`], and messages wait meanwhile, up to the bounded queue. A connection that may
//! be dead, or that goes a way that the kernel would not go any more, is replaced by a second one as soon as that stands.

mod dial;
mod liveness;
mod rescue;
mod tls;

use std::{path::PathBuf, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{Error, Message};

use self::{
    dial::{Dialed, Dialer, Failure, Socket, ends, exposes_token},
    liveness::{Liveness, Pace, Pulse},
};
use super::{
    Carrier, Link, LinkEvent, LinkMetrics,
    backlog::Backlog,
    backoff::Backoff,
    carry::{Ear, End, Heard, Pen, converse, meanwhile, tell},
    intake::Intake,
    pair,
    token::Token,
};
use crate::signaling::message::{MAX_MESSAGE, Refusal, code};

/// How to reach a remote hub.
#[derive(Clone, Debug)]
pub struct WebSocketOptions {
    /// `wss://HOST[:PORT][/PATH]`, or `ws://` for a hub on this machine. Without a path, `/v1/device` is added.
    pub url: String,
    /// Name of the device on the hub; 1 to 64 characters of `A-Z a-z 0-9 - _ . ~`.
    pub device_id: String,
    /// The device's secret, sent as `Authorization: Bearer TOKEN`.
    pub token: Token,
    /// PEM file with a certificate to trust besides the system's authorities.
    pub ca_file: Option<PathBuf>,
}

/// Starts the link; must be called within a tokio runtime. Fails where trying again would not help: a URL, device id or
/// `ca_file` that cannot be used.
pub fn connect(options: &WebSocketOptions, metrics: LinkMetrics) -> anyhow::Result<Link> {
    connect_at(options, metrics, Pace::default())
}

fn connect_at(options: &WebSocketOptions, metrics: LinkMetrics, pace: Pace) -> anyhow::Result<Link> {
    let dialer = Dialer::new(options)?;
    if exposes_token(&options.url) {
        tracing::warn!(
            "the hub URL {} is not encrypted: the device token can be read on the way; use wss://",
            options.url
        );
    }
    let (link, carrier) = pair(&options.url);
    let hub = Hub {
        name: options.url.clone(),
        dialer,
        pace,
        backoff: Backoff::new(),
        backlog: Backlog::new(metrics.clone()),
        intake: Intake::new(metrics.clone(), Instant::now()),
        metrics,
        last_failure: None,
    };
    tokio::spawn(async move {
        let metrics = hub.metrics.clone();
        hub.run(carrier).await;
        metrics.up.set(0);
    });
    Ok(link)
}

/// The task's state.
struct Hub {
    name: String,
    dialer: Dialer,
    pace: Pace,
    backoff: Backoff,
    backlog: Backlog,
    intake: Intake,
    metrics: LinkMetrics,
    /// What was logged last, so that an outage is told once.
    last_failure: Option<String>,
}

impl Hub {
    /// Until the sessions let go of the link; `None` says just that.
    async fn run(mut self, mut carrier: Carrier) -> Option<()> {
        let mut connections = 0_u64;
        let mut hurried = false;
        loop {
            let mut dialed = self.dial(&mut carrier, hurried).await?;
            let (retry, denied) = loop {
                match dialed {
                    Ok(connection) => {
                        if connections > 0 {
                            self.metrics.reconnects.inc();
                        }
                        connections += 1;
                        match self.hold(connection, &mut carrier).await? {
                            Held::Replaced(another) => dialed = Ok(*another),
                            Held::Doubted => dialed = self.dial(&mut carrier, true).await?,
                            Held::Lost => break (self.backoff.failed(Instant::now(), random()), false),
                        }
                    }
                    Err(failure) => break (self.put_off(&failure), failure.denied),
                }
            };
            let doubt = Arc::clone(&carrier.doubt);
            let pause = async {
                tokio::select! {
                    () = tokio::time::sleep_until(retry.into()) => false,
                    // A session waits for the link, or the network is another one.
                    _ = doubt.next(), if !denied => true,
                }
            };
            hurried = meanwhile(&mut carrier, &mut self.backlog, pause).await?;
        }
    }

    /// One attempt; many if a session waits for the link.
    async fn dial(&mut self, carrier: &mut Carrier, hurried: bool) -> Option<Result<Dialed, Failure>> {
        let (dialer, doubt) = (&self.dialer, Arc::clone(&carrier.doubt));
        let dialing = async {
            if !hurried {
                tokio::select! {
                    done = dialer.dial() => return done,
                    _ = doubt.next() => {}
                }
            }
            rescue::hurry(dialer, || ()).await
        };
        meanwhile(carrier, &mut self.backlog, dialing).await
    }

    /// Tells of a failed attempt; when to make the next.
    fn put_off(&mut self, failure: &Failure) -> Instant {
        self.log_failure(&failure.words);
        let now = Instant::now();
        if failure.denied { self.backoff.denied(now, random()) } else { self.backoff.failed(now, random()) }
    }

    /// One connection, from its beginning to its loss, or to another one that takes its place.
    async fn hold(&mut self, connection: Dialed, carrier: &mut Carrier) -> Option<Held> {
        self.last_failure = None;
        self.backoff.connected(Instant::now());
        tracing::info!("connected to the hub {}", self.name);
        tell(carrier, &mut self.backlog, LinkEvent::Up).await?;
        self.metrics.up.set(1);
        let ends = ends(&connection.socket);
        let liveness = Liveness::new(self.pace, connection.round_trip, Instant::now());
        let liveness = Arc::new(watch::Sender::new(liveness));
        let (sink, stream) = connection.socket.split();
        let mut ear = SocketEar { stream, liveness: Arc::clone(&liveness), broken: None };
        let mut pen = SocketPen { sink, liveness: Arc::clone(&liveness), begun: false, hastened: false };
        let doubt = Arc::clone(&carrier.doubt);
        let end = tokio::select! {
            // A doubt comes before what is said because of it.
            biased;
            another = rescue::another(&self.dialer, &doubt, &liveness, ends) => {
                tracing::info!("the old connection to the hub is given up for a new one");
                return Some(Held::Replaced(Box::new(another)));
            }
            end = converse(&mut ear, &mut pen, carrier, &mut self.backlog, &mut self.intake) => end,
        };
        self.metrics.up.set(0);
        match end {
            End::Released => return None,
            End::Eof => self.log_failure("the hub closed the connection"),
            End::Lost(why) => self.log_failure(&why),
        }
        tell(carrier, &mut self.backlog, LinkEvent::Down).await?;
        let doubted = liveness.borrow().holds();
        Some(if doubted { Held::Doubted } else { Held::Lost })
    }

    fn log_failure(&mut self, words: &str) {
        if self.last_failure.as_deref() == Some(words) {
            tracing::debug!("hub {}: {words}", self.name);
        } else {
            tracing::warn!("hub {}: {words}; trying again, live sessions go on", self.name);
            self.last_failure = Some(words.to_owned());
        }
    }
}

/// For jitter only: without the kernel's random numbers, the middle is as good as any.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX / 2)
}

/// What became of a connection.
enum Held {
    /// Another one stands in its place.
    Replaced(Box<Dialed>),
    /// It broke when a viewer was silent too: it is the way that is gone, not the hub, and a session waits.
    Doubted,
    /// It broke.
    Lost,
}

struct SocketEar {
    stream: SplitStream<Socket>,
    liveness: Arc<watch::Sender<Liveness>>,
    broken: Option<String>,
}

impl Ear for SocketEar {
    async fn hear(&mut self) -> Heard {
        loop {
            if let Some(why) = self.broken.take() {
                return Heard::Over(End::Lost(why));
            }
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(Error::Capacity(_))) => {
                    // The rest of that message cannot be skipped in this library: tell, and connect again.
                    self.broken = Some("the hub sent a message far too large; connecting again".into());
                    let message = format!("the message has more than {MAX_MESSAGE} bytes (256 KiB)");
                    return Heard::Refused(Refusal::new(code::TOO_LARGE, message));
                }
                Some(Err(e)) => return Heard::Over(End::Lost(format!("the connection broke: {e}"))),
                None => return Heard::Over(End::Eof),
            };
            self.liveness.send_modify(|state| state.heard(Instant::now()));
            match message {
                Message::Text(text) => return Heard::Message(Bytes::from(text)),
                Message::Binary(bytes) => return Heard::Message(bytes),
                Message::Close(frame) => {
                    let reason = frame.map(|f| f.reason.to_string()).filter(|reason| !reason.is_empty());
                    return Heard::Over(match reason {
                        Some(reason) => End::Lost(format!("the hub closed the connection: {reason}")),
                        None => End::Eof,
                    });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }
}

struct SocketPen {
    sink: SplitSink<Socket, Message>,
    liveness: Arc<watch::Sender<Liveness>>,
    /// The message is in the socket's buffer already and needs only be flushed.
    begun: bool,
    hastened: bool,
}

impl SocketPen {
    /// Runs until the hub was silent for too long.
    async fn dead(liveness: &watch::Sender<Liveness>) -> String {
        loop {
            let at = liveness.borrow().dead();
            if Instant::now() >= at {
                return "the hub has been silent for too long".into();
            }
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// Pings when it is time, until `enough`.
    async fn pulse(&mut self, enough: impl Fn(&Liveness) -> bool + Send) -> Result<(), String> {
        let Self { sink, liveness, .. } = self;
        let mut state = liveness.subscribe();
        loop {
            let due = {
                let now = state.borrow_and_update();
                if enough(&now) {
                    return Ok(());
                }
                now.due()
            };
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                _ = state.changed() => continue,
            }
            let mut pulse = Pulse::Wait;
            liveness.send_modify(|state| pulse = state.pulse(Instant::now()));
            match pulse {
                Pulse::Wait => {}
                Pulse::Dead => return Err("the hub has been silent for too long".into()),
                Pulse::Ping => tokio::select! {
                    done = sink.send(Message::Ping(Bytes::new())) => {
                        done.map_err(|e| format!("the connection broke: {e}"))?;
                    }
                    why = Self::dead(liveness) => return Err(why),
                },
            }
        }
    }
}

impl Pen for SocketPen {
    async fn write(&mut self, json: &str) -> Result<(), String> {
        // What is written to a connection that is dead is lost.
        if !self.hastened {
            self.pulse(|state| !state.holds()).await?;
        }
        let Self { sink, liveness, begun, .. } = self;
        let out = async {
            if !*begun {
                sink.feed(Message::text(json)).await?;
                *begun = true;
            }
            sink.flush().await?;
            *begun = false;
            Ok::<(), Error>(())
        };
        tokio::select! {
            done = out => done.map_err(|e| format!("the connection broke: {e}")),
            why = Self::dead(liveness) => Err(why),
        }
    }

    async fn tend(&mut self) -> Result<(), String> {
        self.pulse(|_| false).await
    }

    fn hasten(&mut self) {
        self.hastened = true;
    }

    async fn close(&mut self) {
        // The hub may be gone already.
        let _ = self.sink.close().await;
    }
}

#[cfg(test)]
mod tests;
