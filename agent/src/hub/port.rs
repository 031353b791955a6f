//! Where messages for one connected peer go: its socket's bounded queue, or the in-process link.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::signaling::{
    link::{LinkEvent, QUEUE},
    message::Envelope,
};

/// The hub's hold on a connected peer. Dropped: the peer's socket is closed after its queue was sent.
pub(super) enum Port {
    /// A WebSocket.
    Socket {
        /// At most [`QUEUE`] messages.
        queue: mpsc::Sender<Envelope>,
        /// Cancelled: the socket is closed at once.
        kill: CancellationToken,
    },
    /// A device in this process.
    Local(mpsc::Sender<LinkEvent>),
}

/// The socket task's end of a [`Port`].
pub(super) struct PortEnd {
    /// What to send. `None`: say goodbye and close.
    pub queue: mpsc::Receiver<Envelope>,
    /// Close now.
    pub kill: CancellationToken,
}

impl Port {
    /// A port and the end for the task that writes to the socket.
    pub fn socket() -> (Self, PortEnd) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let kill = CancellationToken::new();
        (Self::Socket { queue: sender, kill: kill.clone() }, PortEnd { queue, kill })
    }

    /// A port of a device in this process.
    pub fn local(events: mpsc::Sender<LinkEvent>) -> Self {
        Self::Local(events)
    }

    /// Queues a message. A peer that lets [`QUEUE`] messages pile up does not read: its socket is closed, and
    /// a message for a device in this process is lost. False in both cases.
    pub fn send(&self, envelope: Envelope) -> bool {
        match self {
            Self::Socket { queue, kill } => {
                let sent = queue.try_send(envelope).is_ok();
                if !sent {
                    kill.cancel();
                }
                sent
            }
            Self::Local(events) => events.try_send(LinkEvent::Message(envelope)).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signaling::message::code;

    #[test]
    fn a_reader_that_lets_its_queue_fill_is_closed() {
        let (port, end) = Port::socket();
        let message = || Envelope::error(None, code::INTERNAL, "x");
        for _ in 0..QUEUE {
            assert!(port.send(message()));
        }
        assert!(!end.kill.is_cancelled());
        assert!(!port.send(message()));
        assert!(end.kill.is_cancelled());
    }
}
