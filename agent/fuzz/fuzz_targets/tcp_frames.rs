//! Any bytes from a viewer's TCP connection, cut anywhere: framed without a panic, and no datagram over the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::tcp::frame::{Frames, MAX_FRAME};

fuzz_target!(|data: (usize, &[u8])| {
    let (cut, stream) = data;
    let mut frames = Frames::default();
    for piece in stream.chunks(cut.max(1)) {
        frames.buffer.extend_from_slice(piece);
        loop {
            match frames.take() {
                Ok(Some(datagram)) => assert!((1..=MAX_FRAME).contains(&datagram.len())),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
