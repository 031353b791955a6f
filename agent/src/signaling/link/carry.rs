//! The conversation that all carriers hold: bytes come through an [`Ear`], messages go through a [`Pen`].

use std::{
    future::Future,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    Carrier, LinkEvent,
    backlog::Backlog,
    intake::{Intake, Verdict},
};
use crate::signaling::message::{Envelope, Refusal};

/// `error` replies that may wait for the pen; more are dropped. The intake makes no more than 20 at once.
const REPLIES: usize = 32;

/// Time for the last messages to go out when a link is released: within the agent's own 2 s for its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What an [`Ear`] heard.
pub(super) enum Heard {
    /// The bytes of one message.
    Message(Bytes),
    /// A message that the framing itself refuses.
    Refused(Refusal),
    /// Nothing more will come.
    Over(End),
}

/// Why a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// The other side said that it was done.
    Eof,
    /// The sessions let go of the link.
    Released,
    /// The connection broke; in words.
    Lost(String),
}

/// Where messages come from.
pub(super) trait Ear: Send {
    /// The next message. May be cancelled and called again without a loss.
    fn hear(&mut self) -> impl Future<Output = Heard> + Send;
}

/// Where messages go.
pub(super) trait Pen: Send {
    /// Writes one message. May be cancelled, and is then called again with the same message.
    fn write(&mut self, json: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Looks after the connection while there is nothing to write. May be cancelled.
    fn tend(&mut self) -> impl Future<Output = Result<(), String>> + Send {
        std::future::pending()
    }

    /// The end is near: from now on nothing is held back for a better moment.
    fn hasten(&mut self) {}

    /// Says goodbye in the manner of the carrier.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Talks until one side has enough. Messages that did not go out stay in `backlog`.
pub(super) async fn converse(
    ear: &mut impl Ear,
    pen: &mut impl Pen,
    carrier: &mut Carrier,
    backlog: &mut Backlog,
    intake: &mut Intake,
) -> End {
    let Carrier { events, outbox, .. } = carrier;
    let (reply, mut replies) = mpsc::channel(REPLIES);
    let end = tokio::select! {
        end = listen(ear, intake, events, &reply) => end,
        end = speak(pen, backlog, outbox, &mut replies) => end,
    };
    while let Ok(envelope) = replies.try_recv() {
        backlog.push(envelope);
    }
    if !matches!(end, End::Lost(_)) {
        // What was said before the end still goes out.
        while let Ok(envelope) = outbox.try_recv() {
            backlog.push(envelope);
        }
        pen.hasten();
        let farewell = async {
            while let Some(json) = backlog.next().map(Envelope::to_json) {
                if pen.write(&json).await.is_err() {
                    return;
                }
                backlog.sent();
            }
            pen.close().await;
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
    end
}

/// Does `work` while messages from the sessions gather in `backlog`. `None`: the sessions let go of the link.
pub(super) async fn meanwhile<T>(
    carrier: &mut Carrier,
    backlog: &mut Backlog,
    work: impl Future<Output = T>,
) -> Option<T> {
    let Carrier { events, outbox, .. } = carrier;
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = events.closed() => return None,
            done = &mut work => return Some(done),
            message = outbox.recv() => backlog.push(message?),
        }
    }
}

/// Tells the sessions that the link is up or down. `None`: they let go of it.
pub(super) async fn tell(carrier: &mut Carrier, backlog: &mut Backlog, event: LinkEvent) -> Option<()> {
    let events = carrier.events.clone();
    meanwhile(carrier, backlog, events.send(event)).await?.ok()
}

async fn listen(
    ear: &mut impl Ear,
    intake: &mut Intake,
    events: &mpsc::Sender<LinkEvent>,
    reply: &mpsc::Sender<Envelope>,
) -> End {
    loop {
        let heard = tokio::select! {
            () = events.closed() => return End::Released,
            heard = ear.hear() => heard,
        };
        let verdict = match heard {
            Heard::Message(bytes) => intake.take(&bytes, Instant::now()),
            Heard::Refused(refusal) => intake.refuse(refusal, Instant::now()),
            Heard::Over(end) => return end,
        };
        match verdict {
            // A full queue holds up the reading, and through it the sender.
            Verdict::Event(event) => {
                if events.send(event).await.is_err() {
                    return End::Released;
                }
            }
            Verdict::Reply(envelope) => {
                if reply.try_send(envelope).is_err() {
                    tracing::trace!("error replies wait already; this one is dropped");
                }
            }
            Verdict::Dropped => {}
        }
    }
}

async fn speak(
    pen: &mut impl Pen,
    backlog: &mut Backlog,
    outbox: &mut mpsc::Receiver<Envelope>,
    replies: &mut mpsc::Receiver<Envelope>,
) -> End {
    loop {
        let json = backlog.next().map(Envelope::to_json);
        let work = async {
            match &json {
                Some(json) => pen.write(json).await,
                None => pen.tend().await,
            }
        };
        tokio::select! {
            done = work => match done {
                // No message is in flight where the pen was only tended.
                Ok(()) => backlog.sent(),
                Err(why) => return End::Lost(why),
            },
            message = outbox.recv() => match message {
                Some(envelope) => backlog.push(envelope),
                None => return End::Released,
            },
            Some(envelope) = replies.recv() => backlog.push(envelope),
        }
    }
}
