//! One RTP stream of a viewer, and what its packets carry.

use super::extensions::ExtensionIds;
use super::header::{Header, Kind, Stamp};
use crate::media::video::payload::Payload;

/// Where the sequence numbers begin: within the lower half, so that the first loss is not taken for a turn of the count
/// (RFC 3711 section 3.3.1).
const START_MASK: u64 = 0x7fff;

/// What was sent on a stream, as sender reports tell it (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets
    pub packets: u64,
    /// Bytes of payload, without padding
    pub octets: u64,
}

/// The state of one stream.
#[derive(Debug)]
pub struct Stream {
    /// The headers of its packets.
    pub header: Header,
    /// Its synchronization source.
    pub ssrc: u32,
    /// The index of the next packet: how often the sequence numbers began anew, and the sequence number (RFC 3711
    /// section 3.3.1).
    pub next: u64,
    /// What was sent.
    pub tally: Tally,
}

impl Stream {
    /// A stream that starts somewhere.
    pub fn new(kind: Kind, payload_type: u8, ssrc: u32, mid: &str, ids: &ExtensionIds, random: u64) -> Self {
        let header = Header::new(kind, payload_type, ssrc, mid, ids);
        Self { header, ssrc, next: random & START_MASK, tally: Tally::default() }
    }

    /// Whether its packets have transport-wide sequence numbers.
    pub fn is_numbered(&self) -> bool {
        self.header.stamp() == Stamp::Transport
    }
}

/// What stands behind the header.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A part of a picture.
    Payload(&'a Payload),
    /// The same again, behind its sequence number (RFC 4588 section 4).
    Repeat(u16, &'a Payload),
    /// 20 ms of sound, or what repairs others.
    Bytes(&'a [u8]),
    /// Nothing but so many bytes of padding, which count themselves (RFC 3550 section 5.1); not 0.
    Padding(u8),
}

impl Body<'_> {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        match self {
            Self::Payload(payload) => payload.len(),
            Self::Repeat(_, payload) => 2 + payload.len(),
            Self::Bytes(data) => data.len(),
            Self::Padding(length) => usize::from(*length),
        }
    }

    /// Bytes of it that are not padding.
    pub fn octets(&self) -> usize {
        if self.is_padding() { 0 } else { self.len() }
    }

    /// Whether it is nothing but padding.
    pub fn is_padding(&self) -> bool {
        matches!(self, Self::Padding(_))
    }

    /// Puts it behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Payload(payload) => payload.write(to),
            Self::Repeat(sequence, payload) => {
                to.extend_from_slice(&sequence.to_be_bytes());
                payload.write(to);
            }
            Self::Bytes(data) => to.extend_from_slice(data),
            Self::Padding(length) => {
                to.resize(to.len() + usize::from(*length).saturating_sub(1), 0);
                to.push(*length);
            }
        }
    }
}
