//! Any bytes as a message of the uevent socket, in the kernel's form or udev's: read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::board::hotplug::parse;

fuzz_target!(|message: &[u8]| {
    if let Some(event) = parse(message) {
        assert!(event.subsystem.len() + event.devname.map_or(0, |name| name.len()) <= message.len());
    }
});
