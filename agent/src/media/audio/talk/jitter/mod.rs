//! The jitter buffer of one talker: takes packets as the network brings them, gives sound at the sink's pace.
//!
//! Pure: time comes in as an argument. Order, duplicates and late packets are dealt with here, loss is concealed, and
//! the delay is moved to what the path needs by making sound shorter or longer. Does not mix, and knows no device.

mod delay;
mod queue;
mod stream;
mod wrap;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use self::stream::{Fit, Stream};
use super::TalkPacket;
use crate::media::audio::codec::packet_samples;

/// What happened to a talker's packets since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounts {
    /// Packets taken in.
    pub received: u64,
    /// Packets that were missing when their time to play came.
    pub lost: u64,
    /// Packets that came after their time to play.
    pub late: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that could not be read, did not fit to the stream, or were more than the buffer holds.
    pub dropped: u64,
    /// Samples at 48 kHz that were made up for packets that were lost or late.
    pub concealed: u64,
}

/// A packet that does not fit to the stream; the next one tells whether a new stream begins (RFC 3550, A.1).
#[derive(Debug)]
struct Suspect {
    next_sequence: u16,
    timestamp: u32,
}

/// One talker's buffer: at most [`queue::MAX_PACKETS`] packets and some 100 ms of decoded sound.
#[derive(Default)]
pub struct JitterBuffer {
    stream: Option<Stream>,
    suspect: Option<Suspect>,
    counts: JitterCounts,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet came, in any order, of any codec; nothing in it can do harm.
    pub fn insert(&mut self, packet: &TalkPacket) {
        self.counts.received += 1;
        let Ok(samples) = packet_samples(packet.codec, &packet.payload) else {
            self.counts.dropped += 1;
            return;
        };
        let same = self.stream.as_mut().filter(|stream| stream.codec() == packet.codec);
        match same.map(|stream| stream.insert(packet, samples as i64, &mut self.counts)) {
            Some(Fit::Fits) => {
                self.suspect = None;
                return;
            }
            Some(Fit::Strange) if !self.confirms_suspect(packet) => {
                self.counts.dropped += 1;
                let (next_sequence, timestamp) = (packet.sequence.wrapping_add(1), packet.timestamp);
                self.suspect = Some(Suspect { next_sequence, timestamp });
                return;
            }
            // The first packet, another codec, or two strange ones in a row: a new stream.
            _ => {}
        }
        self.suspect = None;
        match Stream::new(packet) {
            Ok(mut stream) => {
                stream.insert(packet, samples as i64, &mut self.counts);
                self.stream = Some(stream);
            }
            Err(_) => self.counts.dropped += 1,
        }
    }

    /// Whether `packet` follows right after the strange one before it.
    fn confirms_suspect(&self, packet: &TalkPacket) -> bool {
        self.suspect.as_ref().is_some_and(|suspect| {
            let step = packet.timestamp.wrapping_sub(suspect.timestamp);
            packet.sequence == suspect.next_sequence && step > 0 && step <= packet.codec.clock_rate()
        })
    }

    /// Fills `out` (48 kHz) with what is to be played from `now` on; false if that is plain silence because nobody
    /// talks.
    pub fn pull(&mut self, now: Instant, out: &mut [i16]) -> bool {
        match &mut self.stream {
            Some(stream) => stream.pull(now, out, &mut self.counts),
            None => {
                out.fill(0);
                false
            }
        }
    }

    /// How much later than possible sound is played now: what the buffer adds to the path. None while nobody talks.
    pub fn delay(&self) -> Option<Duration> {
        self.stream.as_ref().and_then(Stream::delay)
    }

    /// The delay that the path needs. None before the first packet.
    pub fn target(&self) -> Option<Duration> {
        self.stream.as_ref().map(Stream::target)
    }

    /// Takes the counts, which start again from zero.
    pub fn take_counts(&mut self) -> JitterCounts {
        std::mem::take(&mut self.counts)
    }
}
