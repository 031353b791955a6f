//! Packets that are sent at the same time, and whether they arrive: the probe has both ends in its hands.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

/// Packets of the probe begin so: a stranger's are not counted.
const MARK: &[u8] = b"p2pcam-hil probe ";

/// How long to wait, and how often to try: a line may lose what its router lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often each packet is sent.
    pub tries: u32,
    /// Between two of them.
    pub gap: Duration,
    /// After the last one.
    pub patience: Duration,
}

impl Pace {
    /// For a line whose round trip is not known yet; what takes longer than this is taken as lost.
    pub fn unknown(patience: Duration) -> Self {
        Self { tries: 4, gap: patience / 4, patience }
    }

    /// For a line with a known round trip.
    pub fn learned(round_trip: Duration) -> Self {
        /// A busy machine is late by so much.
        const LEAST: Duration = Duration::from_millis(150);
        /// Queues fill and empty.
        const TIMES: u32 = 5;
        let patience = (round_trip * TIMES).max(LEAST);
        Self { tries: 3, gap: patience / 6, patience }
    }

    /// With so much more of it.
    pub fn times(self, times: u32) -> Self {
        Self { gap: self.gap * times, patience: self.patience * times, ..self }
    }
}

/// A packet to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Shot<'a> {
    /// By whom.
    pub from: &'a UdpSocket,
    /// Where to.
    pub to: SocketAddr,
    /// Where it should arrive.
    pub at: &'a UdpSocket,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where it seems to come from.
    pub source: SocketAddr,
    /// How long it was on its way.
    pub took: Duration,
}

/// Sends packets, again where they do not come, until all have arrived or the patience is over.
pub fn fire(shots: &[Shot<'_>], pace: Pace) -> io::Result<Vec<Option<Arrival>>> {
    let mut arrivals = vec![None; shots.len()];
    let mut sent: Vec<(u64, usize, Instant)> = Vec::new();
    for turn in 1..=pace.tries {
        for (index, shot) in shots.iter().enumerate().filter(|(index, _)| arrivals[*index].is_none()) {
            let when = Instant::now();
            sent.push((send(shot)?, index, when));
        }
        let wait = if turn == pace.tries { pace.patience } else { pace.gap };
        collect(shots, &sent, &mut arrivals, Instant::now() + wait)?;
    }
    Ok(arrivals)
}

fn send(shot: &Shot<'_>) -> io::Result<u64> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    match shot.from.send_to(&[MARK, &number.to_be_bytes()].concat(), shot.to) {
        Err(error) if !is_loss(&error) => Err(error),
        _ => Ok(number),
    }
}

/// An error of the network, often about an earlier packet: it is the same as silence.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, HostUnreachable, NetworkUnreachable, PermissionDenied, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable | PermissionDenied | WouldBlock
    )
}

fn collect(
    shots: &[Shot<'_>],
    sent: &[(u64, usize, Instant)],
    arrivals: &mut [Option<Arrival>],
    until: Instant,
) -> io::Result<()> {
    while arrivals.iter().any(Option::is_none) {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        let mut fds: Vec<_> =
            shots.iter().map(|shot| PollFd::new(shot.at.as_fd(), PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, Some(TimeSpec::from_duration(rest)), None) {
            // A signal, such as that of a child that ended.
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        for (shot, _) in shots.iter().zip(ready).filter(|(_, ready)| *ready) {
            take(shot.at, shots, sent, arrivals)?;
        }
    }
    Ok(())
}

/// Takes all that a socket has.
fn take(
    at: &UdpSocket,
    shots: &[Shot<'_>],
    sent: &[(u64, usize, Instant)],
    arrivals: &mut [Option<Arrival>],
) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        let (length, source) = match at.recv_from(&mut buffer) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if is_loss(&error) => continue,
            Err(error) => return Err(error),
        };
        let number = buffer[..length].strip_prefix(MARK).and_then(|number| number.try_into().ok());
        let Some(number) = number.map(u64::from_be_bytes) else { continue };
        let Some((_, index, when)) = sent.iter().find(|(sent, ..)| *sent == number) else { continue };
        if std::ptr::eq(shots[*index].at, at) && arrivals[*index].is_none() {
            arrivals[*index] = Some(Arrival { source, took: when.elapsed() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("set");
        socket
    }

    #[test]
    fn what_arrives_is_told_from_what_does_not_and_from_strangers() {
        let [a, b, c, silent] = [socket(), socket(), socket(), socket()];
        let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
        b.send_to(b"p2pcam-hil probe somebody else", address(&a)).expect("sent");
        let pace = Pace { tries: 2, gap: Duration::from_millis(5), patience: Duration::from_millis(50) };
        let shots = [
            Shot { from: &b, to: address(&a), at: &a },
            Shot { from: &c, to: address(&a), at: &a },
            // Goes to another one than it should arrive at.
            Shot { from: &b, to: address(&c), at: &silent },
        ];
        let arrivals = fire(&shots, pace).expect("sockets work");
        let sources: Vec<_> = arrivals.iter().map(|arrival| arrival.map(|arrival| arrival.source)).collect();
        assert_eq!(sources, [Some(address(&b)), Some(address(&c)), None]);
    }

    #[test]
    fn patience_follows_the_round_trip_and_has_a_least() {
        let ms = Duration::from_millis;
        assert_eq!(Pace::learned(ms(1)).patience, ms(150));
        assert_eq!(Pace::learned(ms(200)).patience, ms(1000));
    }
}
