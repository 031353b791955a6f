//! Any datagram on the shared port, and any bytes from a TURN server: sorted, framed and named without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::{
    ServerUrl,
    demux::{classify, local_ufrag, stun_username},
    turn::{Deframer, expiry, redirection},
};

fuzz_target!(|data: &[u8]| {
    let _ = classify(data);
    let _ = stun_username(data).and_then(local_ufrag);
    let mut frames = Deframer::default();
    frames.buffer.extend_from_slice(data);
    while let Ok(Some(message)) = frames.take() {
        let _ = redirection(&message);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ServerUrl::parse(text);
        let _ = expiry(text);
    }
});
