//! The repair packets of one viewer's pictures (forward error correction), on a stream of their own.

use std::{collections::VecDeque, ops::Range};

use super::{
    packet::{Body, Stream},
    train::{Assembly, Packet},
};

/// Repair packets that may wait; far more than belong to the packets of one train.
const MAX_WAITING: usize = 64;

/// What makes repair packets of the packets that are sent.
pub trait Repair {
    /// The next packet of the pictures' stream before it is encrypted: RTP header and payload. Each comes once, in the order
    /// of sequence numbers, padding included.
    fn push(&mut self, packet: &[u8]);
    /// Appends the payload of a repair packet that is to follow, and gives its RTP time. Asked until there is none.
    fn take(&mut self, payload: &mut Vec<u8>) -> Option<u32>;
}

/// See the module.
#[derive(Debug)]
pub struct Repairs {
    /// Their stream.
    pub stream: Stream,
    /// The payloads of those that wait, one behind the other.
    bytes: Vec<u8>,
    waiting: VecDeque<(Range<usize>, u32)>,
}

impl Repairs {
    /// None yet.
    pub fn new(stream: Stream) -> Self {
        Self { stream, bytes: Vec::new(), waiting: VecDeque::new() }
    }

    /// Whether some wait.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes what was made last.
    pub fn collect(&mut self, from: &mut dyn Repair) {
        if self.waiting.is_empty() {
            self.bytes.clear();
        }
        while self.waiting.len() < MAX_WAITING {
            let start = self.bytes.len();
            let Some(timestamp) = from.take(&mut self.bytes) else { break };
            self.waiting.push_back((start..self.bytes.len(), timestamp));
        }
    }

    /// Writes what waits. How many.
    pub fn write(&mut self, train: &mut Assembly<'_, '_>) -> u64 {
        let mut written = 0;
        while let Some((place, timestamp)) = self.waiting.front() {
            let body = Body::Bytes(&self.bytes[place.clone()]);
            if !train.takes(&self.stream, &body) {
                break;
            }
            train.put(&mut self.stream, &Packet { timestamp: *timestamp, marker: false, level: 0, body });
            self.waiting.pop_front();
            written += 1;
        }
        written
    }
}
