//! What was sent on a video stream, by reference, so that it can be sent again.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::media::video::AccessUnit;

/// Packets kept: more than a second of them at 8 Mbit/s.
pub const MAX_PACKETS: usize = 1024;
/// How long they are kept. What is older would come too late for a live view, even on a slow path.
pub const MAX_AGE: Duration = Duration::from_secs(1);

/// What a packet carried.
#[derive(Clone, Debug)]
pub enum Content {
    /// A payload of a picture, by its number.
    Picture(Arc<AccessUnit>, usize),
    /// So many bytes of padding and nothing else.
    Padding(u8),
}

impl Content {
    /// Bytes of it.
    pub fn length(&self) -> usize {
        match self {
            Self::Picture(unit, number) => unit.payloads().get(*number).map_or(0, |payload| payload.len()),
            Self::Padding(length) => usize::from(*length),
        }
    }
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it carried.
    pub content: Content,
    /// Its RTP time.
    pub timestamp: u32,
    /// Its M bit.
    pub marker: bool,
    /// Its number or time for the estimation of the path.
    pub stamp: u32,
    /// When it was sent first.
    pub sent: Instant,
    /// When it was sent again last.
    pub repeated: Option<Instant>,
    /// How often it was sent again.
    pub times: u32,
    /// It waits to be sent again.
    pub asked: bool,
}

/// See the module. Packets are known by their 48-bit index, which counts without gaps.
#[derive(Debug, Default)]
pub struct History {
    /// The index of the oldest one.
    first: u64,
    kept: VecDeque<Kept>,
}

impl History {
    /// Keeps the packet with the index, which follows that of the one before.
    pub fn push(&mut self, index: u64, packet: Kept) {
        if self.kept.len() >= MAX_PACKETS {
            self.kept.pop_front();
            self.first += 1;
        }
        if self.kept.is_empty() {
            self.first = index;
        }
        self.kept.push_back(packet);
    }

    /// Forgets what is too old.
    pub fn forget(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|packet| now.saturating_duration_since(packet.sent) > MAX_AGE) {
            self.kept.pop_front();
            self.first += 1;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.first += self.kept.len() as u64;
        self.kept.clear();
    }

    /// Packets kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// The index of the newest packet.
    pub fn newest(&self) -> Option<u64> {
        (self.first + self.kept.len() as u64).checked_sub(1).filter(|_| !self.kept.is_empty())
    }

    /// The index of the newest packet with the sequence number, if it is kept.
    pub fn find(&self, sequence: u16) -> Option<u64> {
        let newest = self.newest()?;
        let back = u64::from((newest as u16).wrapping_sub(sequence));
        (back < self.kept.len() as u64).then(|| newest - back)
    }

    /// The packet with the index.
    pub fn get(&self, index: u64) -> Option<&Kept> {
        self.kept.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// The packet with the index, to be changed.
    pub fn get_mut(&mut self, index: u64) -> Option<&mut Kept> {
        self.kept.get_mut(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sent: Instant, number: u8) -> Kept {
        let content = Content::Padding(number);
        Kept { content, timestamp: 0, marker: false, stamp: 0, sent, repeated: None, times: 0, asked: false }
    }

    fn number(history: &History, sequence: u16) -> Option<u8> {
        match history.get(history.find(sequence)?)?.content {
            Content::Padding(number) => Some(number),
            Content::Picture(..) => None,
        }
    }

    #[test]
    fn packets_are_found_by_sequence_number_also_around_its_end() {
        let now = Instant::now();
        let mut history = History::default();
        assert_eq!((history.newest(), history.find(0)), (None, None));
        for n in 0..6 {
            history.push(0x1_fffd + n, packet(now, n as u8));
        }
        let found: Vec<_> = [0xfffc, 0xfffd, 0xffff, 0, 2, 3].iter().map(|s| number(&history, *s)).collect();
        assert_eq!(found, [None, Some(0), Some(2), Some(3), Some(5), None]);
    }

    #[test]
    fn it_is_bounded_in_number_and_age() {
        let start = Instant::now();
        let mut history = History::default();
        for n in 0..3 * MAX_PACKETS as u64 {
            history.push(n, packet(start + Duration::from_millis(n), 0));
            assert!(history.len() <= MAX_PACKETS);
        }
        assert_eq!(history.len(), MAX_PACKETS);
        let last = start + Duration::from_millis(3 * MAX_PACKETS as u64 - 1);
        history.forget(last + MAX_AGE / 2);
        assert_eq!(history.len(), 501);
        assert_eq!(history.newest(), Some(3 * MAX_PACKETS as u64 - 1));
        history.forget(last + MAX_AGE * 2);
        assert_eq!((history.len(), history.newest()), (0, None));
    }
}
