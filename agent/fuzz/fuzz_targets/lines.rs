//! Any bytes in any chunks as JSON lines: framed without a panic, and the chunks do not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::signaling::link::lines::{Frame, Framer};

fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut framer = Framer::new();
    let mut frames: Vec<Frame> = chunks.flat_map(|chunk| framer.push(chunk)).collect();
    frames.extend(framer.finish());
    frames
}

fuzz_target!(|input: &[u8]| {
    // The first byte chooses the size of the chunks.
    let Some((size, bytes)) = input.split_first() else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(frames(bytes.chunks(size)), frames(std::iter::once(bytes)));
});
