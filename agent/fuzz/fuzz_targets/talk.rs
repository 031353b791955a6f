//! Any packets of talk-back: through the jitter buffer and the decoders without a panic. Each packet is a byte for the
//! codec, two for the sequence number, four for the time, one for the pause before it, one for its length.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use p2pcam_agent::media::audio::{AudioCodec, BLOCK, TalkPacket, talk::JitterBuffer};

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut buffer = JitterBuffer::new();
    let mut rest = data;
    let mut out = [0i16; BLOCK];
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let [codec, s0, s1, t0, t1, t2, t3, pause, length] = *head;
        let (payload, next) = tail.split_at(usize::from(length).min(tail.len()));
        rest = next;
        now += Duration::from_millis(u64::from(pause));
        buffer.insert(&TalkPacket {
            codec: [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma][usize::from(codec % 3)],
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            payload: Bytes::copy_from_slice(payload),
            arrival: now,
        });
        let _ = buffer.pull(now, &mut out);
    }
});
