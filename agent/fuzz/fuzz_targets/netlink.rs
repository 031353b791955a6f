//! Any bytes as a datagram of the kernel's about links, addresses and routes: read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::interfaces::message::{Address, Link, Route, messages};

fuzz_target!(|datagram: &[u8]| {
    let mut told = 0;
    for message in messages(datagram) {
        let body = message.body;
        // No byte is of two messages, and each has a header of 16.
        told += 16 + body.len();
        assert!(told <= datagram.len());
        if let Some(name) = Link::read(body).and_then(|link| link.name) {
            // A byte that is no UTF-8 becomes a character of three.
            assert!(name.len() <= 3 * body.len());
        }
        let _ = Address::read(body);
        if let Some(route) = Route::read(body) {
            assert!(route.hops.len() <= body.len() / 8);
        }
        let _ = message.failure();
    }
});
