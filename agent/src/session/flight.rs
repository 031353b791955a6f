//! The DTLS flight that was sent last, sent again while nothing answers it.
//!
//! The stack's timer is a second (RFC 6347 section 4.2.4.1) and cannot be set, though the checks have just shown a round
//! trip far below; and a viewer on the same stack drops what comes before its own side of the path is up. So the same
//! datagrams go out again in between: whoever has them already drops them as replays (section 4.1.2.6).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::BytesMut;

use crate::transport::{
    Path,
    demux::{Packet, classify},
};

/// To the first repetition; doubled each time. Above the round trip of most paths.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// After 100, 300 and 700 ms; then the stack repeats.
const REPETITIONS: u32 = 3;
/// Datagrams of one flight leave within this time.
const TOGETHER: Duration = Duration::from_millis(20);
/// Certificates of browsers' sizes take three.
const MAX_DATAGRAMS: usize = 8;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Flight {
    sent: Vec<(Path, BytesMut)>,
    since: Option<Instant>,
    repeated: u32,
    again: VecDeque<(Path, BytesMut)>,
    over: bool,
}

impl Flight {
    /// The stack sends a datagram.
    pub(super) fn sent(&mut self, now: Instant, path: Path, datagram: &BytesMut) {
        if self.over || classify(datagram) != Packet::Dtls {
            return;
        }
        if self.since.is_none_or(|since| now.saturating_duration_since(since) > TOGETHER) {
            self.answered();
            self.since = Some(now);
        }
        if self.sent.len() < MAX_DATAGRAMS {
            self.sent.push((path, datagram.clone()));
        }
    }

    /// A datagram came.
    pub(super) fn received(&mut self, datagram: &[u8]) {
        if !self.over && classify(datagram) == Packet::Dtls {
            self.answered();
        }
    }

    /// The handshake is done.
    pub(super) fn end(&mut self) {
        self.answered();
        self.over = true;
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        let pauses = FIRST_PAUSE * ((2 << self.repeated) - 1);
        (self.repeated < REPETITIONS).then_some(self.since? + pauses)
    }

    /// Time has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.repeated += 1;
            self.again.extend(self.sent.iter().cloned());
        }
    }

    /// The next datagram to send again.
    pub(super) fn poll(&mut self) -> Option<(Path, BytesMut)> {
        self.again.pop_front()
    }

    fn answered(&mut self) {
        (self.since, self.repeated) = (None, 0);
        self.sent.clear();
        self.again.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path::udp(([192, 0, 2, 1], 5000).into(), ([203, 0, 113, 1], 6000).into())
    }

    fn record(n: u8) -> BytesMut {
        BytesMut::from(&[22, 0xfe, 0xfd, n][..])
    }

    /// Milliseconds at which the flight is repeated within `time`, and what goes out.
    fn repetitions(flight: &mut Flight, start: Instant, time: Duration) -> Vec<(u128, usize)> {
        let mut all = Vec::new();
        while let Some(due) = flight.due().filter(|due| *due <= start + time) {
            flight.handle_timeout(due);
            all.push(((due - start).as_millis(), std::iter::from_fn(|| flight.poll()).count()));
        }
        all
    }

    #[test]
    fn a_flight_without_an_answer_is_repeated_whole_before_the_stack_does() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.sent(start, path(), &record(1));
        flight.sent(start, path(), &record(2));
        flight.sent(start, path(), &BytesMut::from(&[0u8; 20][..]));
        let all = repetitions(&mut flight, start, Duration::from_secs(5));
        assert_eq!(all, [(100, 2), (300, 2), (700, 2)]);
    }

    #[test]
    fn an_answer_ends_the_repetition_and_the_next_flight_begins_anew() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.sent(start, path(), &record(1));
        flight.received(&[0; 20]);
        assert!(flight.due().is_some(), "a STUN message answers no flight");
        flight.received(&record(9));
        assert_eq!(flight.due(), None);
        let later = start + Duration::from_millis(60);
        flight.sent(later, path(), &record(3));
        assert_eq!(repetitions(&mut flight, later, Duration::from_millis(150)), [(100, 1)]);
    }

    #[test]
    fn the_stacks_own_repetition_takes_the_place_of_the_flight() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.sent(start, path(), &record(1));
        let second = start + Duration::from_secs(1);
        flight.sent(second, path(), &record(2));
        assert_eq!(repetitions(&mut flight, second, Duration::from_millis(100)), [(100, 1)]);
    }

    #[test]
    fn nothing_is_repeated_after_the_handshake() {
        let (mut flight, start) = (Flight::default(), Instant::now());
        flight.sent(start, path(), &record(1));
        flight.handle_timeout(start + FIRST_PAUSE);
        flight.end();
        assert_eq!((flight.poll(), flight.due()), (None, None));
        flight.sent(start, path(), &record(2));
        assert_eq!(flight.due(), None);
    }
}
