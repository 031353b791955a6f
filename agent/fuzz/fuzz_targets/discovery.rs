//! Any datagram as an answer in behaviour discovery: read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::discovery::message::read;

fuzz_target!(|datagram: &[u8]| {
    let _ = read(datagram);
});
