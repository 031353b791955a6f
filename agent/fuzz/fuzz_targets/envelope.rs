//! Any bytes as a message: read without a panic, and what was read survives writing and reading again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::signaling::message::{MAX_MESSAGE, read, read_inner};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = read(bytes) {
        let json = envelope.to_json();
        // Escapes can make the written form longer than the limit of the reader.
        if json.len() <= MAX_MESSAGE {
            assert_eq!(read(json.as_bytes()), Ok(envelope));
        }
    }
    let _ = read_inner(bytes);
});
