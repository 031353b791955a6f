//! Packets in the order of their media time, each once, never too many.

use std::collections::BTreeMap;

use bytes::Bytes;

/// 2 s of 20 ms packets: more than the largest delay that is ever played out. When full, the oldest goes.
pub const MAX_PACKETS: usize = 100;

/// A packet that waits to be decoded.
#[derive(Debug)]
pub struct Queued {
    /// Sequence number, running on over the wrap.
    pub sequence: i64,
    /// Media time of the first sample at 48 kHz, running on over the wrap.
    pub time: i64,
    /// Its length in samples at 48 kHz.
    pub samples: i64,
    /// The RTP payload.
    pub payload: Bytes,
}

impl Queued {
    /// Media time right after its last sample.
    pub fn end(&self) -> i64 {
        self.time + self.samples
    }
}

/// The waiting packets of one stream.
#[derive(Debug, Default)]
pub struct PacketQueue {
    packets: BTreeMap<i64, Queued>,
    seen: SequenceHistory,
}

impl PacketQueue {
    /// Whether this sequence number came before (within the last 128).
    pub fn is_duplicate(&mut self, sequence: i64) -> bool {
        !self.seen.mark(sequence)
    }

    /// Adds a packet; returns one that had to go for it.
    pub fn push(&mut self, packet: Queued) -> Option<Queued> {
        let replaced = self.packets.insert(packet.time, packet);
        if self.packets.len() > MAX_PACKETS { self.pop() } else { replaced }
    }

    /// The earliest packet.
    pub fn first(&self) -> Option<&Queued> {
        self.packets.first_key_value().map(|(_, packet)| packet)
    }

    /// Takes the earliest packet.
    pub fn pop(&mut self) -> Option<Queued> {
        self.packets.pop_first().map(|(_, packet)| packet)
    }

    /// Media time right after the latest packet.
    pub fn end(&self) -> Option<i64> {
        self.packets.last_key_value().map(|(_, packet)| packet.end())
    }

    /// Packets that wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.packets.len()
    }
}

/// Which of the last 128 sequence numbers came.
#[derive(Debug, Default)]
struct SequenceHistory {
    highest: Option<i64>,
    /// Bit n: `highest - n` came.
    came: u128,
}

impl SequenceHistory {
    /// Remembers a number; false if it came before. What is too old to know counts as new, and late.
    fn mark(&mut self, sequence: i64) -> bool {
        let highest = *self.highest.get_or_insert(sequence - 1);
        if sequence > highest {
            let shift = u32::try_from(sequence - highest).unwrap_or(u32::MAX);
            self.came = self.came.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = Some(sequence);
            return true;
        }
        let Some(bit) = u32::try_from(highest - sequence).ok().and_then(|n| 1_u128.checked_shl(n)) else {
            return true;
        };
        let new = self.came & bit == 0;
        self.came |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: i64) -> Queued {
        Queued { sequence, time: sequence * 960, samples: 960, payload: Bytes::from_static(b"x") }
    }

    #[test]
    fn packets_come_out_in_order_and_the_oldest_goes_when_it_is_full() {
        let mut queue = PacketQueue::default();
        for sequence in [3, 1, 2] {
            assert!(queue.push(packet(sequence)).is_none());
        }
        assert_eq!(queue.end(), Some(4 * 960));
        assert_eq!(queue.pop().map(|p| p.sequence), Some(1));
        for sequence in 4..=101 {
            assert!(queue.push(packet(sequence)).is_none());
        }
        assert_eq!(queue.push(packet(102)).map(|p| p.sequence), Some(2));
        assert_eq!(queue.len(), MAX_PACKETS);
    }

    #[test]
    fn a_number_is_new_once() {
        let mut queue = PacketQueue::default();
        let again: Vec<bool> = [5, 6, 5, 4, 4, 300, 6, 299].map(|n| queue.is_duplicate(n)).into();
        assert_eq!(again, [false, false, true, false, true, false, false, false]);
    }
}
