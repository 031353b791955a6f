//! The last packets of an endpoint, kept for a capture file.

use std::{collections::VecDeque, time::Instant};

use bytes::Bytes;

/// Which way a packet went, seen from the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The endpoint sent it.
    Sent,
    /// It was handed to the endpoint.
    Received,
}

/// A packet that was seen.
pub type Captured = (Instant, Direction, Bytes);

/// What one packet takes besides its bytes.
const OVERHEAD: usize = size_of::<Captured>();

/// A ring: the oldest packets make room for the newest.
#[derive(Debug)]
pub struct Ring {
    packets: VecDeque<Captured>,
    bytes: usize,
    limit: usize,
}

impl Ring {
    /// An empty one that takes at most so many bytes of memory.
    pub fn new(limit: usize) -> Self {
        Self { packets: VecDeque::new(), bytes: 0, limit }
    }

    /// Keeps a packet.
    pub fn push(&mut self, packet: &[u8], direction: Direction, now: Instant) {
        self.bytes += packet.len() + OVERHEAD;
        self.packets.push_back((now, direction, Bytes::copy_from_slice(packet)));
        while self.bytes > self.limit
            && let Some((_, _, oldest)) = self.packets.pop_front()
        {
            self.bytes -= oldest.len() + OVERHEAD;
        }
    }

    /// What is kept, the oldest first.
    pub fn packets(&self) -> Vec<Captured> {
        self.packets.iter().cloned().collect()
    }
}
