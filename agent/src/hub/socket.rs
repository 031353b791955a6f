//! Carries one peer's messages over its WebSocket: limits, pings, the bounded queue, an orderly end.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::{
    idle::{Idle, PING_EVERY, Verdict},
    metrics::HubMetrics,
    port::PortEnd,
};
use crate::signaling::{
    link::flood::{ErrorGate, Limiter, Rates},
    message::{Envelope, read},
};

/// Hard limit of the WebSocket layer: closes the socket. Messages above 256 KiB and below this get an error
/// instead.
pub(super) const MAX_FRAME: usize = 1024 * 1024;
/// A peer whose TCP takes nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closing peer may take to answer.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer, or the hub, closed it in an orderly way.
    Goodbye,
    /// It broke, or the peer did not answer or read any more.
    Broke,
}

/// Runs until either side ends the connection; takes no more than `rates`; hands each message that can be read to `on_message`.
pub(super) async fn run(
    mut socket: WebSocket,
    mut end: PortEnd,
    rates: Rates,
    metrics: &HubMetrics,
    on_message: impl FnMut(Envelope),
) -> End {
    let kill = end.kill.clone();
    kill.run_until_cancelled(talk(&mut socket, &mut end, rates, metrics, on_message))
        .await
        .unwrap_or(End::Broke)
}

async fn talk(
    socket: &mut WebSocket,
    end: &mut PortEnd,
    rates: Rates,
    metrics: &HubMetrics,
    mut on_message: impl FnMut(Envelope),
) -> End {
    let mut limiter = Limiter::with_rates(rates, Instant::now());
    let mut errors = ErrorGate::new(Instant::now());
    let mut idle = Idle::new(Instant::now());
    let mut pings = interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let outgoing = tokio::select! {
            queued = end.queue.recv() => match queued {
                Some(envelope) => Message::text(envelope.to_json()),
                None => return close(socket).await,
            },
            received = socket.recv() => {
                let now = Instant::now();
                idle.heard(now);
                let bytes = match received {
                    Some(Ok(Message::Text(text))) => text.into(),
                    Some(Ok(Message::Binary(bytes))) => bytes,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_))) => return End::Goodbye,
                    Some(Err(_)) | None => return End::Broke,
                };
                match limiter.admit(now, bytes.len()).and_then(|()| read(&bytes)) {
                    Ok(envelope) => {
                        on_message(envelope);
                        continue;
                    }
                    Err(refusal) => {
                        metrics.messages_refused.inc();
                        if !errors.open(now) {
                            continue;
                        }
                        Message::text(refusal.into_envelope().to_json())
                    }
                }
            }
            _ = pings.tick() => match idle.check(Instant::now()) {
                Verdict::Ping => Message::Ping(Default::default()),
                Verdict::GiveUp => return End::Broke,
            },
        };
        if !matches!(timeout(WRITE_TIMEOUT, socket.send(outgoing)).await, Ok(Ok(()))) {
            return End::Broke;
        }
    }
}

/// Closes from this side and waits a moment for the answer: closing TCP with unread input would tear down
/// what was just sent.
async fn close(socket: &mut WebSocket) -> End {
    let frame = CloseFrame { code: close_code::AWAY, reason: "the hub lets go".into() };
    let _ = timeout(CLOSE_TIMEOUT, async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
    .await;
    End::Goodbye
}

/// Tells a peer that it is not taken, and closes.
pub(super) async fn turn_away(mut socket: WebSocket, code: &str, message: String) {
    let text = Envelope::error(None, code, message).to_json();
    let frame = CloseFrame { code: close_code::AGAIN, reason: "try again later".into() };
    let _ = timeout(CLOSE_TIMEOUT, async {
        if socket.send(Message::text(text)).await.is_ok()
            && socket.send(Message::Close(Some(frame))).await.is_ok()
        {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
    .await;
}
