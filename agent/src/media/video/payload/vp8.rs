//! The RTP payload format of VP8 (RFC 7741).
//!
//! The descriptor is the one mandatory byte. No picture id: Chromium takes a picture that has one (and no TL0PICIDX) to
//! build on the picture with the id before (`rtp_frame_id_only_ref_finder.cc`), so that a viewer for whom pictures are
//! left out on purpose would stand still up to the next key frame. Without one, receivers go by the sequence numbers,
//! which have no gap but for lost packets, as they do for H.264.

use bytes::Bytes;

use super::{Payload, even_pieces};

/// S bit, partition 0: the picture begins here (section 4.2).
const START: u8 = 0x10;

/// Payloads of at most `max` bytes for a frame.
pub(super) fn payloads(frame: &Bytes, max: usize) -> Vec<Payload> {
    let prefix = |number| if number == 0 { [START] } else { [0] };
    even_pieces(frame, max - 1)
        .enumerate()
        .map(|(number, piece)| Payload::new(&prefix(number), piece))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rtc::rtp::{codec::vp8::Vp8Packet, packetizer::Depacketizer};

    use super::{super::testing::written, *};

    #[test]
    fn an_empty_frame_gives_no_packet() {
        assert!(payloads(&Bytes::new(), 100).is_empty());
    }

    proptest! {
        #[test]
        fn a_receiver_has_every_byte_and_knows_where_a_picture_begins(
            frame in prop::collection::vec(any::<u8>(), 3..5000),
            max in 200usize..1200,
        ) {
            let out = written(&payloads(&frame.clone().into(), max));
            let mut got = Vec::new();
            for (number, payload) in out.iter().enumerate() {
                prop_assert!(payload.len() <= max);
                prop_assert!(payload.len() == out[0].len() || number + 1 == out.len());
                let mut receiver = Vp8Packet::default();
                got.extend_from_slice(&receiver.depacketize(&payload.clone().into()).unwrap());
                prop_assert_eq!((receiver.s == 1, receiver.pid, receiver.x), (number == 0, 0, 0));
            }
            prop_assert_eq!(got, frame);
        }
    }
}
