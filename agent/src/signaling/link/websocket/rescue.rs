//! Another connection to the hub, in a hurry: beside one that may be dead, or where a session waits for the link.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use super::{
    super::doubt::{Doubt, Word},
    dial::{Dialed, Dialer, Failure},
    liveness::Liveness,
};

/// Between the beginnings of attempts. The kernel repeats a lost SYN after 1, 3 and 7 s: a line that comes back in
/// between is noticed earlier by an attempt of its own.
const APART: Duration = Duration::from_secs(1);
/// Time of one attempt: over a satellite TCP, TLS and upgrade take 2.5 s.
const ATTEMPT: Duration = Duration::from_secs(4);
/// What cannot be reached in this time is tried with the usual back-off: silent sessions are over by then.
const HURRY: Duration = Duration::from_secs(45);

/// Dials every second until an attempt succeeds, the hub refuses this device, or 45 s are over; tells of each failure.
pub(super) async fn hurry(dialer: &Dialer, failed: impl Fn() + Send) -> Result<Dialed, Failure> {
    let mut attempts = FuturesUnordered::new();
    let mut begin = interval(APART);
    begin.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failure = Failure { denied: false, words: "no answer from the hub".into() };
    let over = sleep(HURRY);
    tokio::pin!(over);
    loop {
        tokio::select! {
            // At most four at once: each ends after ATTEMPT.
            _ = begin.tick() => attempts.push(timeout(ATTEMPT, dialer.dial())),
            Some(done) = attempts.next() => match done {
                Ok(Ok(dialed)) => return Ok(dialed),
                Ok(Err(denied)) if denied.denied => return Err(denied),
                Ok(Err(other)) => {
                    failure = other;
                    failed();
                }
                Err(_) => failed(),
            },
            () = &mut over => return Err(failure),
        }
    }
}

/// After a refusal: hubs count those of one address, which viewers may share.
const REFUSED: Duration = Duration::from_secs(30);

/// Watches over a connection from `local` to the hub at `peer`; gives another one when that is better.
pub(super) async fn another(
    dialer: &Dialer,
    doubt: &Doubt,
    liveness: &watch::Sender<Liveness>,
    ends: Option<(SocketAddr, SocketAddr)>,
) -> Dialed {
    let mut state = liveness.subscribe();
    loop {
        let suspect = state.borrow_and_update().suspect();
        let begin = async {
            match suspect {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            word = doubt.next() => note(word, liveness, ends),
            _ = state.changed() => {}
            () = begin => {
                tracing::debug!("the hub does not answer, or another way leads to it: a second connection is tried");
                let in_vain = tokio::select! {
                    done = hurry(dialer, || liveness.send_modify(|state| state.stay(Instant::now()))) => match done {
                        Ok(dialed) => return dialed,
                        // The old connection is all there is; its own time-out decides.
                        Err(failure) => {
                            tracing::debug!("no second connection: {}", failure.words);
                            liveness.send_modify(|state| state.stay(Instant::now()));
                            true
                        }
                    },
                    _ = state.wait_for(|now| now.suspect().is_none()) => false,
                };
                if in_vain {
                    sleep(REFUSED).await;
                }
            }
        }
    }
}

fn note(word: Word, liveness: &watch::Sender<Liveness>, ends: Option<(SocketAddr, SocketAddr)>) {
    let elsewhere = word == Word::Moved && ends.is_some_and(|(local, peer)| leads_elsewhere(local, peer));
    liveness.send_modify(|state| if elsewhere { state.moved(Instant::now()) } else { state.doubt() });
}

/// Whether the kernel would go to `peer` from another address than `local` now. Connecting a UDP socket sends nothing.
fn leads_elsewhere(local: SocketAddr, peer: SocketAddr) -> bool {
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let chosen =
        UdpSocket::bind(any).and_then(|socket| socket.connect(peer).and_then(|()| socket.local_addr()));
    // Without any route there is no other way yet: the doubt asks, and asks again.
    chosen.map_or_else(|_| UdpSocket::bind((local.ip(), 0)).is_err(), |chosen| chosen.ip() != local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_peer_is_the_kernels_choice() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(!leads_elsewhere(([127, 0, 0, 1], 5000).into(), peer));
        assert!(
            leads_elsewhere(([192, 0, 2, 7], 5000).into(), peer),
            "an address that this machine does not have"
        );
    }
}
