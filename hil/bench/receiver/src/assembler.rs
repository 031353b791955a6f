//! Packets in any order become whole pictures in theirs, as a player shows them: without gaps, from a key frame on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::picture::Parts;

/// A packet that is not there by then is given up, with all pictures up to the next key frame.
const GIVE_UP: Duration = Duration::from_millis(600);
/// Packets kept while one is missing; more are about four seconds at 2 Mbit/s.
const MOST_WAITING: usize = 1024;
/// A key frame is asked for again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What of a packet counts here.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Sequence number without wrapping.
    pub seq: u64,
    /// RTP time, 90 kHz, without wrapping.
    pub time: u64,
    /// The last of its picture.
    pub marker: bool,
    /// What begins in it.
    pub parts: Parts,
    /// When it came.
    pub at: Instant,
}

/// A whole picture that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// RTP time.
    pub time: u64,
    /// It needs no other one.
    pub key: bool,
}

/// The order of packets and pictures of one stream.
#[derive(Debug, Default)]
pub struct Assembler {
    waiting: BTreeMap<u64, Packet>,
    /// Sequence number that a picture begins with; none while a key frame is waited for.
    next: Option<u64>,
    asked: Option<Instant>,
}

impl Assembler {
    /// Takes a packet and calls with each picture that is whole now.
    pub fn push(&mut self, packet: Packet, mut whole: impl FnMut(Picture)) {
        if self.next.is_some_and(|next| packet.seq < next) {
            return;
        }
        self.waiting.insert(packet.seq, packet);
        if self.next.is_none() && packet.parts.entry {
            self.next = Some(packet.seq);
            self.waiting = self.waiting.split_off(&packet.seq);
        }
        loop {
            while let Some(picture) = self.take() {
                whole(picture);
            }
            // As libwebrtc: a whole key frame needs nothing of what is still missing before it.
            let Some(entry) = self.whole_key() else { break };
            self.next = Some(entry);
            self.waiting = self.waiting.split_off(&entry);
        }
        self.give_up(packet.at);
    }

    /// Whether a key frame is to be asked for now.
    pub fn wants_key(&mut self, now: Instant) -> bool {
        let wants =
            self.next.is_none() && self.asked.is_none_or(|asked| now.duration_since(asked) >= ASK_AGAIN);
        if wants {
            self.asked = Some(now);
        }
        wants
    }

    fn take(&mut self) -> Option<Picture> {
        let next = self.next?;
        let mut key = false;
        for (expected, (seq, packet)) in (next..).zip(self.waiting.range(next..)) {
            if *seq != expected {
                return None;
            }
            key |= packet.parts.key;
            if packet.marker {
                let picture = Picture { time: packet.time, key };
                self.next = Some(seq + 1);
                self.waiting = self.waiting.split_off(&(expected + 1));
                return Some(picture);
            }
        }
        None
    }

    /// Where a key frame behind a gap begins, if all of it is there.
    fn whole_key(&self) -> Option<u64> {
        let mut packets = self.waiting.range(self.next?..);
        let (mut entry, mut key, mut last) = (None, false, None);
        packets.find_map(|(&seq, packet)| {
            if packet.parts.entry {
                (entry, key) = (Some(seq), false);
            } else if last.is_none_or(|last| last + 1 != seq) {
                entry = None;
            }
            (key, last) = (key | packet.parts.key, Some(seq));
            if !packet.marker {
                return None;
            }
            entry.take().filter(|_| key)
        })
    }

    fn give_up(&mut self, now: Instant) {
        let Some(oldest) = self.waiting.values().map(|packet| packet.at).min() else { return };
        if self.waiting.len() <= MOST_WAITING && now.duration_since(oldest) < GIVE_UP {
            return;
        }
        let from = self.next.unwrap_or(0) + 1;
        let entry = self.waiting.range(from..).find(|(_, packet)| packet.parts.entry).map(|(seq, _)| *seq);
        self.waiting = entry.map(|entry| self.waiting.split_off(&entry)).unwrap_or_default();
        self.next = entry;
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(seq: u64, marker: bool, first_of_key: bool, at: Instant) -> Packet {
        let parts = Parts { entry: first_of_key, key: first_of_key };
        Packet { seq, time: seq * 10, marker, parts, at }
    }

    #[test]
    fn pictures_come_in_order_and_begin_with_a_key_frame() {
        let now = Instant::now();
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        let order = [(1, true, false), (2, false, true), (4, true, false), (3, true, false)];
        for (seq, marker, key) in order {
            assembler.push(packet(seq, marker, key, now), |picture| seen.push(picture));
        }
        assert_eq!(seen, [Picture { time: 30, key: true }, Picture { time: 40, key: false }]);
    }

    #[test]
    fn a_whole_key_frame_does_not_wait_for_what_is_missing_before_it() {
        let now = Instant::now();
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        // Number 1 is missing, and of the first key frame after it number 4.
        let order = [(0, true, true), (2, true, false), (3, false, true), (5, true, false), (6, false, true)];
        for (seq, marker, key) in order {
            assembler.push(packet(seq, marker, key, now), |picture| seen.push(picture.time));
        }
        assert_eq!(seen, [0]);
        assembler.push(packet(7, true, false, now), |picture| seen.push(picture.time));
        assembler.push(packet(4, false, false, now), |picture| seen.push(picture.time));
        assembler.push(packet(8, true, false, now), |picture| seen.push(picture.time));
        assert_eq!(seen, [0, 70, 80]);
    }

    #[test]
    fn a_lost_packet_costs_the_pictures_up_to_the_next_key_frame() {
        let now = Instant::now();
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        assembler.push(packet(0, true, true, now), |picture| seen.push(picture));
        assembler.push(packet(2, true, false, now), |picture| seen.push(picture));
        assert!(!assembler.wants_key(now));
        let late = now + GIVE_UP;
        assembler.push(packet(3, true, false, late), |picture| seen.push(picture));
        assert!(assembler.wants_key(late));
        assert!(!assembler.wants_key(late));
        assembler.push(packet(4, true, true, late), |picture| seen.push(picture));
        let times: Vec<_> = seen.iter().map(|picture| picture.time).collect();
        assert_eq!(times, [0, 40]);
    }
}
