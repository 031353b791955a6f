//! Any text as an ICE candidate: parsed without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::signaling::candidate::parse;

fuzz_target!(|text: &str| {
    if let Ok(line) = parse(text) {
        let _ = line.address.is_mdns();
    }
});
