//! How long a router remembers a UDP mapping that nobody uses (RFC 4787 section 4.3).

use std::{
    fmt,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{
    ProbeError,
    measure::Ends,
    round::{Pace, Shot, fire},
};

/// Mappings that are made at once, each of which is left alone for another time.
const MAPPINGS: usize = 24;
/// So many in a row that are gone end a round: one alone may have been lost.
const ENOUGH: usize = 2;
/// Rounds, each within what the one before left open.
const ROUNDS: usize = 2;
/// As near as this is near enough; what a timer of a router may be off by.
const NEAR: Duration = Duration::from_millis(100);

/// A busy machine sends so much later than it meant to.
const LATE: Duration = Duration::from_millis(20);

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// It lives at least so long.
    pub at_least: Duration,
    /// It is gone after so long; `None`: it was there all the time.
    pub gone_after: Option<Duration>,
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_least = self.at_least.as_secs_f64();
        match self.gone_after {
            Some(gone) => {
                write!(f, "an idle UDP mapping lives {at_least:.2} to {:.2} s", gone.as_secs_f64())
            }
            None => write!(f, "an idle UDP mapping lives longer than {at_least:.2} s"),
        }
    }
}

impl Ends<'_> {
    /// Measures it, up to a time.
    pub fn lifetime(&self, up_to: Duration) -> Result<Lifetime, ProbeError> {
        let [server, ..] = self.servers()?;
        let line = self.line(&server)?;
        let pace = Pace::learned(line.round_trip);
        let mut known = Lifetime { at_least: Duration::ZERO, gone_after: None };
        for _ in 0..ROUNDS {
            let end = known.gone_after.unwrap_or(up_to);
            if end.saturating_sub(known.at_least) <= NEAR {
                break;
            }
            let narrowed = self.narrow(&server, pace, known.at_least, end)?;
            // It may live just up to where it was gone before.
            let before = known.gone_after.filter(|gone| *gone > narrowed.at_least);
            known = Lifetime { gone_after: narrowed.gone_after.or(before), ..narrowed };
            if known.gone_after.is_none() {
                break;
            }
        }
        Ok(known)
    }

    /// Tries times between two.
    fn narrow(
        &self,
        server: &UdpSocket,
        pace: Pace,
        from: Duration,
        to: Duration,
    ) -> Result<Lifetime, ProbeError> {
        let sockets = self.udp_inside(MAPPINGS)?;
        // They are made between these two.
        let before = Instant::now();
        let mappings = self.mappings(server, &sockets, pace)?;
        let made = Instant::now();
        let mut known = Lifetime { at_least: from, gone_after: None };
        let mut gone = 0;
        for (number, (socket, outside)) in sockets.iter().zip(mappings).enumerate() {
            let due = from + (to - from) * (number as u32 + 1) / MAPPINGS as u32;
            thread::sleep((made + due).saturating_duration_since(Instant::now()));
            let (at_least, at_most) = (made.elapsed(), before.elapsed() + LATE);
            if fire(&[Shot { from: server, to: outside, at: socket }], pace)?[0].is_some() {
                // What was taken as gone before was lost.
                known = Lifetime { at_least, gone_after: None };
                gone = 0;
                continue;
            }
            known.gone_after = known.gone_after.or(Some(at_most));
            gone += 1;
            if gone == ENOUGH {
                break;
            }
        }
        Ok(known)
    }

    /// What each socket is outside; all of them begin to be idle now.
    fn mappings(
        &self,
        server: &UdpSocket,
        sockets: &[UdpSocket],
        pace: Pace,
    ) -> Result<Vec<SocketAddr>, ProbeError> {
        let shots = sockets.iter().map(|socket| self.shot_out(socket, server));
        let shots = shots.collect::<Result<Vec<_>, _>>()?;
        let mut mappings = Vec::new();
        for (arrival, shot) in fire(&shots, pace)?.into_iter().zip(&shots) {
            let Some(arrival) = arrival else {
                return Err(ProbeError::Lossy { inside: shot.from.local_addr()?, outside: shot.to });
            };
            mappings.push(arrival.source);
        }
        Ok(mappings)
    }
}
