//! Any bytes as an MP4 file: opened and read for a few pictures without a panic, a hang or a flood of memory.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::{config::VideoConfig, media::video::source::open_file};

fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = tempfile::Builder::new().suffix(".mp4").tempfile() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    if let Ok(mut source) = open_file(file.path(), &VideoConfig::default()) {
        for _ in 0..2 {
            let _ = source.next();
        }
    }
});
