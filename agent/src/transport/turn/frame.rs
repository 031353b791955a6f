//! TURN messages cut out of a byte stream (RFC 8656 sections 3.1 and 12.5).

use bytes::{Buf, BytesMut};
use thiserror::Error;

const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;

/// The stream holds what is neither a STUN message nor ChannelData; nothing after it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the server sent a message that begins with {first:#04x}: is it a TURN server?")]
pub struct FrameError {
    /// First byte of the alleged message.
    pub first: u8,
}

/// Collects bytes and gives whole messages. Holds at most one message, 64 KiB, and what was pushed after it.
#[derive(Debug, Default)]
pub struct Deframer {
    /// Bytes that came and are not yet taken.
    pub buffer: BytesMut,
}

impl Deframer {
    /// The next whole message, ChannelData without its padding; `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// The stream is not TURN; it cannot be read further.
    pub fn take(&mut self) -> Result<Option<BytesMut>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<CHANNEL_HEADER>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (size, padded) = match header[0] {
            0..=3 => (STUN_HEADER + length, STUN_HEADER + length),
            0x40..=0x4F => (CHANNEL_HEADER + length, (CHANNEL_HEADER + length).next_multiple_of(4)),
            first => return Err(FrameError { first }),
        };
        if self.buffer.len() < padded {
            return Ok(None);
        }
        let message = self.buffer.split_to(size);
        self.buffer.advance(padded - size);
        Ok(Some(message))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// ChannelData of `length` bytes with padding, and a STUN message with `length` rounded up as its body.
    fn two_messages(length: u16) -> Vec<u8> {
        let mut stream = vec![0x40, 0x01];
        stream.extend_from_slice(&length.to_be_bytes());
        stream.extend(std::iter::repeat_n(7, usize::from(length).next_multiple_of(4)));
        let body = length.next_multiple_of(4);
        stream.extend_from_slice(&[0x01, 0x01]);
        stream.extend_from_slice(&body.to_be_bytes());
        stream.extend(std::iter::repeat_n(9, 16 + usize::from(body)));
        stream
    }

    #[test]
    fn what_is_not_turn_ends_the_stream() {
        let mut deframer = Deframer::default();
        deframer.buffer.extend_from_slice(b"SSH-2.0-OpenSSH");
        assert_eq!(deframer.take(), Err(FrameError { first: b'S' }));
    }

    proptest! {
        #[test]
        fn messages_come_out_whole_however_the_stream_is_cut(length in 0..2000_u16, cut in 1..64_usize) {
            let mut deframer = Deframer::default();
            let mut sizes = Vec::new();
            for piece in two_messages(length).chunks(cut) {
                deframer.buffer.extend_from_slice(piece);
                while let Some(message) = deframer.take().unwrap() {
                    sizes.push(message.len());
                }
            }
            let body = usize::from(length).next_multiple_of(4);
            prop_assert_eq!(sizes, vec![4 + usize::from(length), 20 + body]);
            prop_assert!(deframer.buffer.is_empty());
        }

        #[test]
        fn no_stream_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut deframer = Deframer::default();
            deframer.buffer.extend_from_slice(&bytes);
            while let Ok(Some(message)) = deframer.take() {
                prop_assert!(message.len() >= 4);
            }
        }
    }
}
