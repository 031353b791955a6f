//! Datagrams in a byte stream, each behind its length (RFC 4571 section 2), as RFC 6544 section 3 wants it.

use bytes::{Buf as _, BytesMut};
use thiserror::Error;

/// Bytes of the length before each datagram.
pub const HEADER: usize = 2;
/// Longest datagram taken from a viewer: more than any path to a browser carries over UDP (1500 bytes).
pub const MAX_FRAME: usize = 2048;

/// The stream announces a datagram that no viewer sends; nothing after it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a frame of {length} bytes is announced, {MAX_FRAME} are taken")]
pub struct FrameError {
    /// What was announced.
    pub length: usize,
}

/// Collects bytes and gives whole datagrams.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes that came and are not yet taken. The reader bounds what it adds at once.
    pub buffer: BytesMut,
}

impl Frames {
    /// The next whole datagram; `None` until more bytes come. Empty ones, which RFC 4571 allows, are passed over.
    ///
    /// # Errors
    ///
    /// A datagram of more than [`MAX_FRAME`] bytes is announced; the stream cannot be read further.
    pub fn take(&mut self) -> Result<Option<BytesMut>, FrameError> {
        loop {
            let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes(*header));
            if length > MAX_FRAME {
                return Err(FrameError { length });
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER);
            if length > 0 {
                return Ok(Some(self.buffer.split_to(length)));
            }
        }
    }
}

/// The length that goes before `datagram`; `None` if it does not fit any frame.
pub fn header(datagram: &[u8]) -> Option<[u8; HEADER]> {
    u16::try_from(datagram.len()).ok().map(u16::to_be_bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let framed = |d: &Vec<u8>| [&header(d).unwrap()[..], &d[..]].concat();
        datagrams.iter().flat_map(framed).collect()
    }

    #[test]
    fn a_frame_that_no_viewer_sends_is_refused_before_it_has_come() {
        let mut stream = Frames::default();
        stream.buffer.extend_from_slice(&frames(&[vec![7; MAX_FRAME]]));
        assert_eq!(stream.take().unwrap().unwrap().len(), MAX_FRAME);
        stream.buffer.extend_from_slice(b"GET / HTTP/1.1");
        assert_eq!(stream.take(), Err(FrameError { length: 0x4745 }));
    }

    #[test]
    fn what_is_too_long_for_a_frame_gets_no_header() {
        assert_eq!(header(&[0; 0xffff]), Some([0xff, 0xff]));
        assert_eq!(header(&[0; 0x1_0000]), None);
    }

    proptest! {
        #[test]
        fn datagrams_come_out_whole_however_the_stream_is_cut(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1..64_usize,
        ) {
            let mut stream = Frames::default();
            let mut came = Vec::new();
            for piece in frames(&sent).chunks(cut) {
                stream.buffer.extend_from_slice(piece);
                while let Some(datagram) = stream.take().unwrap() {
                    came.push(datagram.to_vec());
                }
            }
            let sent: Vec<_> = sent.into_iter().filter(|d| !d.is_empty()).collect();
            prop_assert_eq!(came, sent);
            prop_assert!(stream.buffer.is_empty());
        }

        #[test]
        fn no_stream_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let mut stream = Frames::default();
            stream.buffer.extend_from_slice(&bytes);
            while let Ok(Some(datagram)) = stream.take() {
                prop_assert!((1..=MAX_FRAME).contains(&datagram.len()));
            }
        }
    }
}
