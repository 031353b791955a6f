//! A link: the pair of bounded queues through which the sessions talk with a server, whatever carries them.
//!
//! The link's own task reads and checks what comes in, answers what it refuses with an `error` by itself, and
//! reconnects by itself; the sessions see [`LinkEvent`]s and write [`Envelope`]s.

mod backlog;
pub mod backoff;
mod carry;
mod doubt;
pub mod flood;
pub mod intake;
pub mod lines;
mod metrics;
pub mod stdio;
pub mod token;
pub mod unix;
pub mod websocket;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

pub use doubt::Doubt;
pub use metrics::LinkMetrics;

use super::message::Envelope;

/// Messages that may wait in either direction. A viewer's whole trickle is about 20; the rest is room for many viewers.
pub const QUEUE: usize = 256;

/// What a link tells the sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Messages can be sent now (first time or again). Live sessions go on.
    Up,
    /// The server is out of reach; the link goes on trying. Live sessions go on.
    Down,
    /// A message came.
    Message(Envelope),
}

/// The sessions' end of a link.
pub struct Link {
    /// For logs and as a namespace of session ids: "hub", "wss://hub.example", "stdio".
    pub name: String,
    /// What comes in. `None`: the link is over for good (stdin closed).
    pub events: mpsc::Receiver<LinkEvent>,
    /// What goes out.
    pub outbox: mpsc::Sender<Envelope>,
    /// Tells the carrier that the way out may be gone, or has changed.
    pub doubt: Arc<Doubt>,
}

impl Link {
    /// Ends the link and waits, at most `within`, until the carrier has sent what waits in the outbox: the goodbyes.
    pub async fn close(self, within: Duration) {
        let Self { events, outbox, .. } = self;
        drop(events);
        // A server that takes nothing must not hold up the end.
        let _ = tokio::time::timeout(within, outbox.closed()).await;
    }
}

/// The carrier's end of a link.
pub struct Carrier {
    /// What came in from the server.
    pub events: mpsc::Sender<LinkEvent>,
    /// What the sessions want sent.
    pub outbox: mpsc::Receiver<Envelope>,
    /// See [`Link::doubt`].
    pub doubt: Arc<Doubt>,
}

/// A link and the end for the task that carries it. In process, the hub holds the carrier's end.
pub fn pair(name: impl Into<String>) -> (Link, Carrier) {
    let (event_in, events) = mpsc::channel(QUEUE);
    let (outbox, out) = mpsc::channel(QUEUE);
    let doubt = Arc::new(Doubt::default());
    let link = Link { name: name.into(), events, outbox, doubt: doubt.clone() };
    (link, Carrier { events: event_in, outbox: out, doubt })
}
