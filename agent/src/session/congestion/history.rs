//! What was sent lately: a ring by transport-wide sequence number.

/// Packets remembered: two seconds at 10 Mbit/s, and a power of two, as sequence numbers wrap.
pub const KEPT: usize = 2048;

/// A sent packet. Times are microseconds since the controller began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// When it left.
    pub at: i64,
    /// All bytes sent before it.
    pub before: u64,
    /// Its own bytes.
    pub bytes: u32,
    /// The delay that our own sending explains, microseconds ([`super::queue::Explained`]).
    pub explained: u32,
    seq: u16,
    state: State,
    /// It belongs to the probe under way.
    pub probe: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    InFlight,
    Lost,
    Arrived,
}

/// What a report says of one packet, the first time it says it.
#[derive(Debug, Clone, Copy)]
pub enum News {
    /// It came.
    Arrived(Sent),
    /// It came after a report that called it lost.
    Late,
    /// It did not come.
    Lost(Sent),
}

/// The last [`KEPT`] packets.
pub struct History {
    ring: Box<[Sent]>,
    /// All bytes ever sent.
    total: u64,
}

impl History {
    /// Remembers nothing yet. The only allocation there is.
    pub fn new() -> Self {
        Self { ring: vec![Sent::default(); KEPT].into(), total: 0 }
    }

    /// A packet leaves.
    pub fn push(&mut self, seq: u16, at: i64, bytes: u32, explained: u32, probe: bool) -> Sent {
        let sent = Sent { at, before: self.total, bytes, explained, seq, state: State::InFlight, probe };
        self.total += u64::from(bytes);
        self.ring[usize::from(seq) % KEPT] = sent;
        sent
    }

    /// What a report says of a packet. None: unknown, too old, or told before.
    pub fn report(&mut self, seq: u16, arrived: bool) -> Option<News> {
        let sent = &mut self.ring[usize::from(seq) % KEPT];
        if sent.seq != seq {
            return None;
        }
        let (state, news): (State, fn(Sent) -> News) = match (sent.state, arrived) {
            (State::InFlight, true) => (State::Arrived, News::Arrived),
            (State::Lost, true) => (State::Arrived, |_| News::Late),
            (State::InFlight, false) => (State::Lost, News::Lost),
            _ => return None,
        };
        sent.state = state;
        Some(news(*sent))
    }

    /// All bytes ever sent.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Nothing was told of this packet yet, and it was sent.
    pub fn awaits(&self, seq: u16) -> bool {
        let sent = &self.ring[usize::from(seq) % KEPT];
        sent.seq == seq && sent.state == State::InFlight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_told_of_once() {
        let mut history = History::new();
        history.push(65_535, 1, 100, 0, false);
        history.push(0, 2, 200, 0, false);
        assert!(matches!(history.report(0, true), Some(News::Arrived(sent)) if sent.before == 100));
        assert!(history.report(0, true).is_none());
        assert!(history.report(0, false).is_none());
        assert!(matches!(history.report(65_535, false), Some(News::Lost(_))));
        assert!(history.report(65_535, false).is_none());
        assert!(matches!(history.report(65_535, true), Some(News::Late)));
        assert_eq!(history.total(), 300);
    }

    #[test]
    fn unknown_and_overwritten_numbers_are_nothing() {
        let mut history = History::new();
        assert!(history.report(0, true).is_none());
        for seq in 0..=KEPT as u16 {
            history.push(seq, 0, 1, 0, false);
        }
        assert!(history.report(0, true).is_none());
        assert!(history.awaits(1) && history.awaits(KEPT as u16));
        assert!(!history.awaits(0) && !history.awaits(KEPT as u16 + 1));
        assert!(matches!(history.report(KEPT as u16, true), Some(News::Arrived(_))));
    }
}
