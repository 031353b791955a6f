//! Any bytes as an access unit of a camera, a file or an encoder, cut into RTP payloads; the first byte chooses the codec.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::media::video::{
    VideoCodec,
    payload::{MAX_PAYLOAD, Payloads},
};

fuzz_target!(|data: &[u8]| {
    let Some((choice, unit)) = data.split_first() else { return };
    let codec = if choice & 1 == 0 { VideoCodec::H264 } else { VideoCodec::Vp8 };
    let payloads = Payloads::of(codec, &bytes::Bytes::copy_from_slice(unit));
    let mut out = Vec::new();
    for payload in (0..payloads.len()).filter_map(|number| payloads.get(number)) {
        assert!((1..=MAX_PAYLOAD).contains(&payload.len()));
        payload.write(&mut out);
    }
    assert_eq!(out.len(), payloads.bytes());
});
