//! Messages: what is written is read, and any bytes are.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn name() -> HiddenName {
    "1f4712db-ea17-4bcf-a596-105139dfd8bf.local".parse().unwrap()
}

fn addresses() -> [IpAddr; 2] {
    ["192.168.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]
}

#[test]
fn a_question_is_read_as_it_was_asked() {
    for wanted in [Wanted::A, Wanted::Aaaa, Wanted::Any] {
        let question = Question { name: name(), wanted, unicast: false };
        let read = parse(&query(name(), wanted));
        assert_eq!(read, Some(Message::Query { id: 0, questions: vec![question], known: vec![] }));
    }
}

#[test]
fn an_answer_has_the_address_whatever_was_asked() {
    for address in addresses() {
        for wanted in [Wanted::A, Wanted::Aaaa, Wanted::Any] {
            let read = parse(&answer(name(), address, wanted));
            assert_eq!(read, Some(Message::Response(vec![Record { name: name(), address, ttl: 120 }])));
        }
        let read = parse(&goodbye(name(), address));
        assert_eq!(read, Some(Message::Response(vec![Record { name: name(), address, ttl: 0 }])));
    }
}

#[test]
fn an_answer_says_that_there_is_no_address_of_the_other_version() {
    // As Wireshark reads it: NSEC, next domain the name itself, one window with type A.
    let bytes = answer(name(), addresses()[0], Wanted::Aaaa);
    let nsec = [0xc0, 12, 0, 1, 0x40];
    assert!(bytes.windows(nsec.len()).any(|window| window == nsec), "{bytes:02x?}");
    assert_eq!(&bytes[6..8], [0, 1], "one answer: the NSEC");
    assert_eq!(&bytes[56..58], TYPE_NSEC.to_be_bytes());
}

#[test]
fn an_answer_as_of_ordinary_dns_repeats_id_and_question() {
    let bytes = legacy_answer(4711, name(), addresses()[0], Wanted::A);
    assert_eq!(&bytes[..2], 4711u16.to_be_bytes());
    assert_eq!(
        parse(&bytes),
        Some(Message::Response(vec![Record { name: name(), address: addresses()[0], ttl: LEGACY_TTL }]))
    );
}

#[test]
fn other_names_and_types_are_passed_over() {
    // A response of avahi's form: PTR, SRV and an address of `camera.local`, then ours by a pointer to `local`.
    let mut bytes = header(0, ANSWER, [0, 2, 1]);
    bytes.extend(b"\x06camera\x05local\0");
    put_address(&mut bytes, addresses()[0], TTL, CLASS_IN | TOP_BIT);
    bytes.extend(FIRST_NAME);
    put(&mut bytes, &[33, CLASS_IN, 0, 120, 8, 0, 0, 80, 0xc00c]);
    bytes.push(36);
    bytes.extend(name().uuid().to_uppercase().as_bytes());
    bytes.extend([0xc0, 19]);
    put_address(&mut bytes, addresses()[1], TTL, CLASS_IN);
    let ours = Record { name: name(), address: addresses()[1], ttl: TTL };
    assert_eq!(parse(&bytes), Some(Message::Response(vec![ours])));
}

#[test]
fn of_a_message_with_too_much_in_it_the_beginning_counts() {
    let mut bytes = header(0, ANSWER, [0, 300, 0]);
    put_name(&mut bytes, name());
    put_address(&mut bytes, addresses()[0], TTL, CLASS_IN);
    for _ in 1..300 {
        bytes.extend(FIRST_NAME);
        put_address(&mut bytes, addresses()[0], TTL, CLASS_IN);
    }
    let Some(Message::Response(records)) = parse(&bytes) else { panic!("it can be read") };
    assert_eq!(records.len(), MAX_ENTRIES);
    assert_eq!(parse(&header(0, 0, [300, 0, 0])), None);
}

#[test]
fn what_is_broken_is_no_message() {
    let whole = answer(name(), addresses()[0], Wanted::A);
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length]), None, "{length} bytes");
    }
    // Names that point to themselves, forwards, or in a circle.
    for pointer in [[0xc0, 12], [0xc0, 200], [0xff, 0xff]] {
        let mut bytes = header(0, 0, [1, 0, 0]);
        bytes.extend(pointer);
        put(&mut bytes, &[TYPE_A, CLASS_IN]);
        assert_eq!(parse(&bytes), None);
    }
    assert_eq!(parse(&header(0, 0x0800, [0, 0, 0])), None, "another opcode");
    assert_eq!(parse(&vec![0; MAX_MESSAGE + 1]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_change_of_a_message_is_read(at in 0usize..100, to: u8, v6: bool) {
        let mut bytes = answer(name(), addresses()[usize::from(v6)], Wanted::A);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        let _ = parse(&bytes);
    }
}
