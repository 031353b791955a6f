//! Any datagram on the port of multicast DNS, and any text as a name that hides an address: read without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::transport::mdns::{
    HiddenName,
    message::{Message, Wanted, answer, parse},
};

fuzz_target!(|data: &[u8]| {
    if let Some(Message::Response(records)) = parse(data) {
        for record in records {
            // What was read of others can be told by us, and is then read again.
            let told = answer(record.name, record.address, Wanted::Any);
            assert!(matches!(parse(&told), Some(Message::Response(read)) if read.len() == 1));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<HiddenName>();
    }
});
