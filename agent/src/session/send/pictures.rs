//! The pictures that wait to be sent to one viewer, in order.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use crate::media::video::AccessUnit;

/// Pictures that may wait: the group that a source that is passed through replays for a new viewer.
const MAX: usize = 640;

/// A picture of which packets have still to leave.
#[derive(Debug)]
pub struct Waiting {
    /// The picture.
    pub unit: Arc<AccessUnit>,
    /// Its packets that have left.
    pub left: usize,
    /// Its RTP time.
    pub timestamp: u32,
    /// When it came.
    pub since: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Pictures {
    waiting: VecDeque<Waiting>,
    /// Payload bytes that have still to leave.
    bytes: usize,
    /// Packets that have still to leave.
    packets: usize,
}

impl Pictures {
    /// A picture comes; false if there is no room.
    pub fn push(&mut self, now: Instant, unit: Arc<AccessUnit>, timestamp: u32) -> bool {
        let payloads = unit.payloads();
        if payloads.is_empty() {
            return true;
        }
        let room = self.waiting.len() < MAX;
        if room {
            self.bytes += payloads.bytes();
            self.packets += payloads.len();
            self.waiting.push_back(Waiting { unit, left: 0, timestamp, since: now });
        }
        room
    }

    /// The one that leaves next.
    pub fn front(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// A packet of the one in front left, of so many bytes of payload. The picture, if it was its last one.
    pub fn left(&mut self, bytes: usize) -> Option<Waiting> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.packets = self.packets.saturating_sub(1);
        let picture = self.waiting.front_mut()?;
        picture.left += 1;
        if picture.left < picture.unit.payloads().len() {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Whether some packets of a picture have left, and others not.
    pub fn has_begun(&self) -> bool {
        self.waiting.front().is_some_and(|picture| picture.left > 0)
    }

    /// Drops those of which nothing has left. How many that were.
    pub fn skip(&mut self) -> usize {
        let before = self.waiting.len();
        self.waiting.truncate(usize::from(self.has_begun()));
        let rest = |picture: &Waiting| picture.left..picture.unit.payloads().len();
        let bytes = |picture: &Waiting| -> usize {
            rest(picture).filter_map(|n| Some(picture.unit.payloads().get(n)?.len())).sum()
        };
        self.bytes = self.waiting.iter().map(bytes).sum();
        self.packets = self.waiting.iter().map(|picture| rest(picture).len()).sum();
        before - self.waiting.len()
    }

    /// Drops all, also what has begun. How many that were.
    pub fn clear(&mut self) -> usize {
        let before = self.waiting.len();
        self.waiting.clear();
        (self.bytes, self.packets) = (0, 0);
        before
    }

    /// Payload bytes and packets that wait.
    pub fn size(&self) -> (usize, usize) {
        (self.bytes, self.packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::VideoCodec;

    fn unit(bytes: usize) -> Arc<AccessUnit> {
        let now = Instant::now();
        Arc::new(AccessUnit::passed(VideoCodec::Vp8, vec![7; bytes].into(), false, (2, 2), (now, now)))
    }

    #[test]
    fn a_picture_that_has_begun_stays_and_all_others_are_skipped() {
        let now = Instant::now();
        let mut pictures = Pictures::default();
        for _ in 0..3 {
            assert!(pictures.push(now, unit(2000), 0));
        }
        assert_eq!(pictures.size(), (6006, 6));
        assert!(pictures.left(1001).is_none());
        assert_eq!((pictures.has_begun(), pictures.skip()), (true, 2));
        assert_eq!(pictures.size(), (1001, 1));
        assert!(pictures.left(1001).is_some_and(|picture| picture.left == 2));
        assert_eq!((pictures.size(), pictures.skip()), ((0, 0), 0));
    }

    #[test]
    fn what_cannot_be_sent_does_not_wait_and_the_queue_is_bounded() {
        let (now, empty, small) = (Instant::now(), unit(0), unit(10));
        let mut pictures = Pictures::default();
        assert!(pictures.push(now, empty, 0) && pictures.front().is_none());
        let taken = (0..2 * MAX).filter(|_| pictures.push(now, small.clone(), 0)).count();
        assert_eq!((taken, pictures.skip()), (MAX, MAX));
    }
}
