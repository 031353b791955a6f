//! The RTP payloads of an access unit: made once, sent to every viewer.
//!
//! A payload is a few bytes of payload header and a slice of the unit: nothing is copied before it is encrypted. What
//! differs between viewers (RTP header, extensions, encryption) is not made here.

mod h264;
mod vp8;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{AccessUnit, VideoCodec};

/// What every IPv6 path carries, in bytes (RFC 8200 section 5).
const PATH: usize = 1280;
/// IPv6 and UDP headers.
const IP_UDP: usize = 40 + 8;
/// The header of TURN's ChannelData (RFC 8656 section 12.4).
const CHANNEL_DATA: usize = 4;
/// The longest SRTP authentication tag: that of AES-GCM (RFC 7714 section 13.2).
const SRTP_TAG: usize = 16;
/// RTP header without extensions (RFC 3550 section 5.1).
const RTP_HEADER: usize = 12;
/// One-byte header extensions (RFC 8285): their own header and 16 bytes, of which transport-wide sequence number (3) and
/// playout delay (4) leave 9 for the MID, so 8 characters.
const EXTENSIONS: usize = 4 + 16;
/// What a packet that repairs others has more: FlexFEC (draft-ietf-payload-flexible-fec-scheme-03 section 4.2) carries all
/// that follows the RTP header of the packets that it protects, behind header extensions and up to 24 bytes of its own.
/// RTX (RFC 4588 section 4) has 2 more.
const REPAIR: usize = 16 + 24;

/// The longest payload in bytes with which no packet, be it a repair packet through a TURN server over IPv6, is longer
/// than every path carries.
pub const MAX_PAYLOAD: usize = PATH - IP_UDP - CHANNEL_DATA - SRTP_TAG - RTP_HEADER - EXTENSIONS - REPAIR;

/// Bytes of the longest payload header: FU-A's indicator and header.
const MAX_PREFIX: usize = 2;

/// One RTP payload.
#[derive(Clone, Debug)]
pub struct Payload {
    prefix: [u8; MAX_PREFIX],
    prefix_length: u8,
    body: Bytes,
}

impl Payload {
    fn new(prefix: &[u8], body: Bytes) -> Self {
        let mut bytes = [0; MAX_PREFIX];
        let length = prefix.len().min(MAX_PREFIX);
        bytes[..length].copy_from_slice(&prefix[..length]);
        Self { prefix: bytes, prefix_length: length as u8, body }
    }

    /// Its bytes, 1 to [`MAX_PAYLOAD`].
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        usize::from(self.prefix_length) + self.body.len()
    }

    /// Puts it behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.prefix[..usize::from(self.prefix_length)]);
        to.extend_from_slice(&self.body);
    }
}

/// The payloads of one unit, in the order in which they are sent; none if nothing in the unit can be sent.
#[derive(Clone, Debug, Default)]
pub struct Payloads {
    list: Box<[Payload]>,
    bytes: usize,
}

impl Payloads {
    /// Cuts a unit.
    pub fn of(codec: VideoCodec, data: &Bytes) -> Self {
        let list = match codec {
            VideoCodec::H264 => h264::payloads(data, MAX_PAYLOAD),
            VideoCodec::Vp8 => vp8::payloads(data, MAX_PAYLOAD),
        };
        Self { bytes: list.iter().map(Payload::len).sum(), list: list.into_boxed_slice() }
    }

    /// How many packets the unit needs.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Nothing in the unit can be sent.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of all together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One of them, from 0 on.
    pub fn get(&self, index: usize) -> Option<&Payload> {
        self.list.get(index)
    }
}

/// Room in an access unit for its payloads. Clones of the unit share it, so that a unit that is replayed with another
/// capture time is not cut again; who changes the data of a clone needs a new one.
#[derive(Clone, Debug, Default)]
pub struct Prepared(Arc<OnceLock<Payloads>>);

impl AccessUnit {
    /// The RTP payloads, cut when they are first asked for.
    pub fn payloads(&self) -> &Payloads {
        self.prepared.0.get_or_init(|| Payloads::of(self.codec, &self.data))
    }
}

/// Pieces of at most `max` bytes that are equal but for the last, which may be shorter: what the kernel can cut out of
/// one buffer (UDP_SEGMENT, udp(7)).
fn even_pieces(body: &Bytes, max: usize) -> impl ExactSizeIterator<Item = Bytes> {
    let size = body.len().div_ceil(body.len().div_ceil(max).max(1)).max(1);
    (0..body.len().div_ceil(size)).map(move |n| body.slice(n * size..((n + 1) * size).min(body.len())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod testing {
    use super::Payload;

    /// The bytes of each.
    pub fn written(list: &[Payload]) -> Vec<Vec<u8>> {
        list.iter()
            .map(|payload| {
                let mut bytes = Vec::new();
                payload.write(&mut bytes);
                assert_eq!(bytes.len(), payload.len());
                bytes
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_longest_packet_of_each_kind_fits_the_narrowest_path() {
        let below = IP_UDP + CHANNEL_DATA + SRTP_TAG + RTP_HEADER + EXTENSIONS + MAX_PAYLOAD;
        assert!(below + 2 <= PATH, "with RTX");
        assert_eq!(below + REPAIR, PATH);
        assert_eq!(MAX_PAYLOAD, 1140);
    }

    #[test]
    fn a_clone_with_another_capture_time_shares_the_payloads() {
        let now = Instant::now();
        let data = Bytes::from_static(&[0, 0, 1, 0x65, 1, 2, 3]);
        let unit = AccessUnit::passed(VideoCodec::H264, data, true, (2, 2), (now, now));
        let again = AccessUnit { captured: now, ..unit.clone() };
        assert_eq!((again.payloads().len(), again.payloads().bytes()), (1, 4));
        assert!(std::ptr::eq(unit.payloads(), again.payloads()));
    }

    #[test]
    fn pieces_are_equal_but_the_last() {
        let body = Bytes::from(vec![7; 10]);
        let lengths = |max| even_pieces(&body, max).map(|piece| piece.len()).collect::<Vec<_>>();
        assert_eq!(lengths(10), [10]);
        assert_eq!(lengths(9), [5, 5]);
        assert_eq!(lengths(4), [4, 4, 2]);
        assert_eq!(even_pieces(&Bytes::new(), 4).len(), 0);
    }
}
