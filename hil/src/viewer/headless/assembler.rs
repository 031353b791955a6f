//! Encoded pictures out of RTP packets of H.264 (RFC 6184): put in order, complete ones only.
//!
//! A picture is given as soon as its last packet is there, unlike by a sample builder that waits for the next picture's
//! first: that would be a picture's time late.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rtc::rtp::{Packet, codec::h264::H264Packet, packetizer::Depacketizer};

/// How long a missing packet is waited for: some round trips of NACK and retransmission.
const PATIENCE: Duration = Duration::from_millis(300);
/// Packets that may wait for a missing one: a second at 10 Mbit/s.
const MAX_WAITING: usize = 1024;

/// An encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// NAL units in Annex B form.
    pub data: Bytes,
    /// Its RTP time, 90 kHz.
    pub rtp_time: u32,
    /// When its last packet came.
    pub complete: Instant,
    /// Packets before it were given up, so it may refer to what is not there.
    pub after_loss: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Assembler {
    stream: Option<u32>,
    /// Extended number (RFC 3550 appendix A.1) of the packet that is next in order.
    next: i64,
    highest: i64,
    waiting: BTreeMap<i64, (Instant, Packet)>,
    lost: bool,
}

impl Assembler {
    /// Takes in a packet and the time at which it came.
    pub fn push(&mut self, packet: Packet, at: Instant) -> Vec<Unit> {
        if self.stream != Some(packet.header.ssrc) {
            let first = i64::from(packet.header.sequence_number);
            *self = Self {
                stream: Some(packet.header.ssrc),
                next: first,
                highest: first,
                lost: self.stream.is_some(),
                ..Self::default()
            };
        }
        let distance = packet.header.sequence_number.wrapping_sub(self.highest as u16) as i16;
        let number = self.highest + i64::from(distance);
        if number >= self.next {
            self.highest = self.highest.max(number);
            self.waiting.entry(number).or_insert((at, packet));
        }
        let mut units = Vec::new();
        loop {
            units.extend(self.complete());
            if self.skip_to_keyframe() {
                continue;
            }
            let Some((oldest, _)) = self.waiting.values().next() else { break };
            if at.saturating_duration_since(*oldest) < PATIENCE && self.waiting.len() <= MAX_WAITING {
                break;
            }
            self.give_up();
        }
        units
    }

    /// Takes out the pictures of which all packets are there.
    fn complete(&mut self) -> Vec<Unit> {
        let mut units = Vec::new();
        while let Some(last) = self.end() {
            let mut data = Vec::new();
            let mut depacketizer = H264Packet::default();
            let (mut complete, mut rtp_time, mut broken) = (None, 0, false);
            while self.next <= last {
                let Some((at, packet)) = self.waiting.remove(&self.next) else { break };
                self.next += 1;
                complete = complete.max(Some(at));
                rtp_time = packet.header.timestamp;
                if packet.payload.is_empty() {
                    continue;
                }
                if ends_within_a_length(&packet.payload) {
                    broken = true;
                    continue;
                }
                match depacketizer.depacketize(&packet.payload) {
                    Ok(nal) => data.extend_from_slice(&nal),
                    Err(_) => broken = true,
                }
            }
            match complete {
                Some(complete) if !broken && !data.is_empty() => {
                    let after_loss = std::mem::take(&mut self.lost);
                    units.push(Unit { data: data.into(), rtp_time, complete, after_loss });
                }
                _ => self.lost |= broken,
            }
        }
        units
    }

    /// The last packet of the picture that is next, if all up to it are there: it is marked, or another time follows.
    fn end(&self) -> Option<i64> {
        self.end_of(self.next)
    }

    /// The same of the picture that begins with this packet.
    fn end_of(&self, next: i64) -> Option<i64> {
        let (_, first) = self.waiting.get(&next)?;
        for (expected, (number, (_, packet))) in (next..).zip(self.waiting.range(next..)) {
            if *number != expected {
                return None;
            }
            if packet.header.timestamp != first.header.timestamp {
                return Some(number - 1);
            }
            if packet.header.marker {
                return Some(*number);
            }
        }
        None
    }

    /// A key frame that is there needs nothing that is missing before it: browsers show it at once.
    fn skip_to_keyframe(&mut self) -> bool {
        let begins = self.waiting.iter().filter(|(_, (_, packet))| begins_picture(&packet.payload));
        let whole = begins.map(|(number, _)| *number).find(|number| self.end_of(*number).is_some());
        let Some(first) = whole else { return false };
        self.waiting = self.waiting.split_off(&first);
        (self.next, self.lost) = (first, true);
        true
    }

    /// Leaves out the picture that a missing packet belongs to, with what of it is there.
    fn give_up(&mut self) {
        self.lost = true;
        // If the first packet of a picture is missing, the rest of it follows the gap; if a later one is, it precedes it.
        let mut expected = self.next;
        let after_gap = self.waiting.keys().copied().find(|number| {
            let gap = *number != expected;
            expected = number + 1;
            gap
        });
        let from = after_gap.unwrap_or(self.highest + 1);
        self.waiting = self.waiting.split_off(&from);
        let Some((_, first)) = self.waiting.get(&from) else {
            self.next = from;
            return;
        };
        let torn = first.header.timestamp;
        while let Some(entry) = self.waiting.first_entry() {
            // The tail of a torn picture would be taken for a whole one; a key frame's head is let pass.
            if entry.get().1.header.timestamp != torn || begins_picture(&entry.get().1.payload) {
                break;
            }
            entry.remove();
        }
        self.next = self.waiting.keys().next().copied().unwrap_or(self.highest + 1);
    }
}

/// NAL unit type of an aggregation packet (RFC 6184 section 5.7.1).
const STAP_A: u8 = 24;

/// An aggregation packet with one byte where the next unit's two bytes of length should be: rtc-rtp 0.21.1 panics at it.
fn ends_within_a_length(payload: &[u8]) -> bool {
    let Some((STAP_A, mut rest)) = payload.split_first().map(|(first, rest)| (first & 0x1f, rest)) else {
        return false;
    };
    while let [high, low, units @ ..] = rest {
        let Some(behind) = units.get(usize::from(u16::from_be_bytes([*high, *low]))..) else { return false };
        rest = behind;
    }
    !rest.is_empty()
}

/// A parameter set or the first slice of an IDR begins a picture that can be decoded alone (RFC 6184 section 5.2).
fn begins_picture(payload: &[u8]) -> bool {
    const SPS: u8 = 7;
    match payload.first().map(|byte| byte & 0x1f) {
        Some(SPS) => true,
        Some(STAP_A) => payload.get(3).is_some_and(|byte| byte & 0x1f == SPS),
        _ => false,
    }
}

#[cfg(test)]
#[path = "assembler_tests.rs"]
mod tests;
