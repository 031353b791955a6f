//! Compound RTCP packets (RFC 3550 section 6.1, also reduced ones, RFC 5506) into bounded [`Feedback`].

use bytes::Bytes;
use rtc::{rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc, shared::marshal::Unmarshal};

/// Sequence numbers taken from the NACKs of one compound: more than half a second of a 10 Mbit/s stream. What is
/// missing beyond it is better served by a key frame.
pub const MAX_LOST: usize = 512;
/// Packet statuses taken from the transport-cc feedback of one compound. Browsers report every 50 to 250 ms, so this is
/// several seconds of silence at 10 Mbit/s. One status can cost far more memory than the bits that claim it.
pub const MAX_STATUSES: usize = 8_192;
/// Things one compound may say; a browser says less than ten.
pub const MAX_FEEDBACKS: usize = 256;

/// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1).
mod kind {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const GOODBYE: u8 = 203;
    pub const TRANSPORT_FEEDBACK: u8 = 205;
    pub const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Formats of transport layer feedback (RFC 4585 section 6.2, draft-holmer-rmcat-transport-wide-cc-extensions-01
/// section 3.1).
const NACK: u8 = 1;
const TRANSPORT_CC: u8 = 15;
/// Formats of payload-specific feedback (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1, draft-alvestrand-rmcat-remb-03).
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA: u8 = 4;
const APPLICATION: u8 = 15;
const REMB_ID: [u8; 4] = *b"REMB";

const HEADER: usize = 4;

/// One thing that a viewer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Feedback {
    /// When which packets arrived, by their transport-wide sequence numbers.
    Twcc(TransportLayerCc),
    /// Packets of a stream that did not arrive.
    Nack {
        /// The stream.
        ssrc: u32,
        /// RTP sequence numbers in the order of the message, at most [`MAX_LOST`] a compound.
        lost: Vec<u16>,
    },
    /// PLI or FIR.
    KeyframeRequest {
        /// The stream it is wanted of.
        ssrc: u32,
    },
    /// What the viewer thinks its path carries, bits a second.
    Remb(u64),
    /// A report block (RFC 3550 section 6.4.1).
    Report {
        /// The stream it speaks of.
        ssrc: u32,
        /// Part lost since the last report, in 1/256.
        fraction_lost: u8,
        /// Packets lost so far; duplicates make it smaller.
        lost: i32,
        /// Highest sequence number received, with its cycles in the upper half.
        highest: u32,
        /// Interarrival jitter in RTP time.
        jitter: u32,
        /// The middle of the NTP time of the last sender report that arrived; 0: none did.
        lsr: u32,
        /// How long ago that was, in 1/65536 s.
        dlsr: u32,
    },
    /// The sender part of a sender report.
    SenderReport {
        /// The viewer's stream.
        ssrc: u32,
        /// NTP time, 32.32 bits.
        ntp: u64,
        /// RTP time of the same instant.
        rtp: u32,
        /// Packets sent so far.
        packets: u32,
        /// Bytes of payload sent so far.
        octets: u32,
    },
    /// A stream of the viewer is over.
    Bye {
        /// The stream.
        ssrc: u32,
    },
}

/// What is said in a compound, read as it is asked for; see [`parse`].
#[derive(Clone, Debug)]
pub struct Feedbacks<'a> {
    rest: &'a [u8],
    entries: Entries<'a>,
    lost: usize,
    statuses: usize,
    said: usize,
}

/// Entries of a packet that says several things.
#[derive(Clone, Debug)]
enum Entries<'a> {
    None,
    Reports(&'a [u8]),
    Intra(&'a [u8]),
    Goodbyes(&'a [u8]),
}

/// One packet of the compound.
struct Packet<'a> {
    kind: u8,
    /// Count or format.
    count: u8,
    /// With header and padding.
    whole: &'a [u8],
    /// Without.
    body: &'a [u8],
}

/// Reads a decrypted compound. Packets of unknown or broken content are skipped; the rest of the datagram is where a
/// length or version is wrong. Never gives more than [`MAX_FEEDBACKS`].
pub fn parse(compound: &[u8]) -> Feedbacks<'_> {
    Feedbacks { rest: compound, entries: Entries::None, lost: 0, statuses: 0, said: 0 }
}

impl Iterator for Feedbacks<'_> {
    type Item = Feedback;

    fn next(&mut self) -> Option<Feedback> {
        if self.said == MAX_FEEDBACKS {
            return None;
        }
        loop {
            if let Some(feedback) = self.entries.next() {
                self.said += 1;
                return Some(feedback);
            }
            let packet = self.packet()?;
            if let Some(feedback) = self.read(&packet) {
                self.said += 1;
                return Some(feedback);
            }
        }
    }
}

impl<'a> Feedbacks<'a> {
    /// The next packet whose frame is right; nothing after one that is wrong.
    fn packet(&mut self) -> Option<Packet<'a>> {
        let [first, kind, l0, l1] = *self.rest.first_chunk::<HEADER>()?;
        let length = HEADER + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        if first >> 6 != 2 || length > self.rest.len() {
            self.rest = &[];
            return None;
        }
        let (whole, rest) = self.rest.split_at(length);
        self.rest = rest;
        let mut body = &whole[HEADER..];
        if first & 0x20 != 0 {
            // RFC 3550 section 6.4.1: the last byte counts the padding, itself included. Nonsense leaves nothing.
            let padding = usize::from(body.last().copied().unwrap_or(0));
            body = body.len().checked_sub(padding).map_or(&[], |end| &body[..end]);
        }
        Some(Packet { kind, count: first & 0x1f, whole, body })
    }

    /// What the packet says, or its first entry.
    fn read(&mut self, packet: &Packet<'a>) -> Option<Feedback> {
        let body = packet.body;
        match (packet.kind, packet.count) {
            (kind::SENDER_REPORT, count) => {
                let (info, blocks) = body.split_at_checked(24)?;
                self.entries = Entries::reports(blocks, count);
                Some(Feedback::SenderReport {
                    ssrc: u32_at(info, 0)?,
                    ntp: u64::from(u32_at(info, 4)?) << 32 | u64::from(u32_at(info, 8)?),
                    rtp: u32_at(info, 12)?,
                    packets: u32_at(info, 16)?,
                    octets: u32_at(info, 20)?,
                })
            }
            (kind::RECEIVER_REPORT, count) => {
                self.entries = Entries::reports(body.get(4..)?, count);
                self.entries.next()
            }
            (kind::GOODBYE, count) => {
                self.entries = Entries::Goodbyes(&body[..body.len().min(4 * usize::from(count))]);
                self.entries.next()
            }
            (kind::TRANSPORT_FEEDBACK, NACK) => self.nack(body),
            (kind::TRANSPORT_FEEDBACK, TRANSPORT_CC) => self.transport_cc(packet),
            (kind::PAYLOAD_FEEDBACK, PICTURE_LOSS) => {
                Some(Feedback::KeyframeRequest { ssrc: u32_at(body, 4)? })
            }
            (kind::PAYLOAD_FEEDBACK, FULL_INTRA) => {
                self.entries = Entries::Intra(body.get(8..)?);
                self.entries.next()
            }
            (kind::PAYLOAD_FEEDBACK, APPLICATION) => remb(body).map(Feedback::Remb),
            _ => None,
        }
    }

    fn nack(&mut self, body: &[u8]) -> Option<Feedback> {
        let ssrc = u32_at(body, 4)?;
        let room = MAX_LOST - self.lost;
        let pairs = body.get(8..)?.as_chunks::<4>().0;
        let numbers = pairs.iter().flat_map(|&[n0, n1, m0, m1]| {
            let (first, mask) = (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([m0, m1]));
            let more = (0..16).filter(move |bit| mask >> bit & 1 == 1);
            std::iter::once(first).chain(more.map(move |bit| first.wrapping_add(bit + 1)))
        });
        let lost: Vec<u16> = numbers.take(room).collect();
        self.lost += lost.len();
        (!lost.is_empty()).then_some(Feedback::Nack { ssrc, lost })
    }

    fn transport_cc(&mut self, packet: &Packet<'_>) -> Option<Feedback> {
        // Behind the first sequence number.
        let claimed = (u32_at(packet.body, 8)? & 0xffff) as usize;
        // Before it is read, as every claimed status is memory.
        if self.statuses + claimed > MAX_STATUSES {
            return None;
        }
        self.statuses += claimed;
        TransportLayerCc::unmarshal(&mut Bytes::copy_from_slice(packet.whole)).ok().map(Feedback::Twcc)
    }
}

impl<'a> Entries<'a> {
    /// Report blocks; what follows them is an extension of a profile.
    fn reports(blocks: &'a [u8], count: u8) -> Self {
        Self::Reports(&blocks[..blocks.len().min(24 * usize::from(count))])
    }

    fn next(&mut self) -> Option<Feedback> {
        match self {
            Self::None => None,
            Self::Reports(rest) => report(&split::<24>(rest)?),
            Self::Intra(rest) => Some(Feedback::KeyframeRequest { ssrc: u32_at(&split::<8>(rest)?, 0)? }),
            Self::Goodbyes(rest) => Some(Feedback::Bye { ssrc: u32_at(&split::<4>(rest)?, 0)? }),
        }
    }
}

fn report(block: &[u8; 24]) -> Option<Feedback> {
    let losses = u32_at(block, 4)?;
    Some(Feedback::Report {
        ssrc: u32_at(block, 0)?,
        fraction_lost: block[4],
        // 24 bits with a sign.
        lost: ((losses << 8) as i32) >> 8,
        highest: u32_at(block, 8)?,
        jitter: u32_at(block, 12)?,
        lsr: u32_at(block, 16)?,
        dlsr: u32_at(block, 20)?,
    })
}

/// draft-alvestrand-rmcat-remb-03 section 2.2: 18 bits of mantissa, 6 of exponent.
fn remb(body: &[u8]) -> Option<u64> {
    if body.get(8..12)? != REMB_ID {
        return None;
    }
    let word = u32_at(body, 12)?;
    let (exponent, mantissa) = (word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
    Some(if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Takes the first bytes off.
fn split<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, more) = rest.split_first_chunk::<N>()?;
    *rest = more;
    Some(*first)
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
