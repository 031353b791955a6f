//! PCP's messages, byte by byte.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const NONCE: Nonce = *b"twelve bytes";

fn wanted() -> Wanted {
    Wanted {
        protocol: Protocol::Udp,
        internal_port: 5000,
        external: "0.0.0.0:5000".parse().unwrap(),
        lifetime: Duration::from_secs(3600),
    }
}

/// A router's answer with a result code.
fn response(code: u8, lifetime: u32, external: &str, port: u16) -> Vec<u8> {
    let mut answer = vec![2, 0x81, 0, code];
    answer.extend(lifetime.to_be_bytes());
    answer.extend(77u32.to_be_bytes());
    answer.extend([0; 12]);
    answer.extend(NONCE);
    answer.extend([17, 0, 0, 0]);
    answer.extend(5000u16.to_be_bytes());
    answer.extend(port.to_be_bytes());
    answer.extend(external.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped().octets());
    answer
}

#[test]
fn a_request_has_the_form_of_the_rfc() {
    let request = map_request(&wanted(), "192.168.1.2".parse().unwrap(), &NONCE);
    let mut expected = vec![2, 1, 0, 0, 0, 0, 0x0e, 0x10];
    expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2]);
    expected.extend(NONCE);
    expected.extend([17, 0, 0, 0, 0x13, 0x88, 0x13, 0x88]);
    // Any address: the IPv4-mapped unspecified one (section 5).
    expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(request.to_vec(), expected);
}

#[test]
fn what_the_router_grants_counts_not_what_was_asked_for() {
    let answer = answer(&response(0, 120, "198.51.100.3", 6000), &wanted(), &NONCE).unwrap();
    let granted =
        Granted { external: "198.51.100.3:6000".parse().unwrap(), lifetime: Duration::from_secs(120) };
    assert_eq!(answer, Answer { result: Ok(granted), epoch: Some(77) });
}

#[test]
fn a_refusal_is_told_in_words_with_how_long_it_holds() {
    let Err(Problem::Refused { words, wait }) =
        answer(&response(8, 30, "0.0.0.0", 0), &wanted(), &NONCE).unwrap().result
    else {
        panic!("not refused");
    };
    assert!(words.contains("no room"), "{words}");
    assert_eq!(wait, Some(Duration::from_secs(30)));
    // So short an answer that it does not repeat the request.
    let short = &response(3, 30, "0.0.0.0", 0)[..24];
    assert!(matches!(answer(short, &wanted(), &NONCE).unwrap().result, Err(Problem::Refused { .. })));
}

#[test]
fn another_version_is_told_from_a_refusal() {
    let other = |bytes: &[u8]| answer(bytes, &wanted(), &NONCE).map(|answer| answer.result);
    // A router with NAT-PMP alone (RFC 6886 section 3.5), and a PCP server of the future.
    assert_eq!(other(&[0, 0x81, 0, 1, 0, 0, 0, 5]), Some(Err(Problem::OtherVersion)));
    assert_eq!(other(&response(1, 0, "0.0.0.0", 0)), Some(Err(Problem::OtherVersion)));
}

#[test]
fn answers_to_others_are_left_alone() {
    let ours = response(0, 120, "198.51.100.3", 6000);
    let changed = |at: usize| {
        let mut other = ours.clone();
        other[at] ^= 1;
        answer(&other, &wanted(), &NONCE)
    };
    for (at, what) in [(1, "opcode"), (24, "nonce"), (36, "protocol"), (41, "internal port")] {
        assert_eq!(changed(at), None, "{what}");
    }
    let request = map_request(&wanted(), Ipv4Addr::LOCALHOST, &NONCE);
    assert_eq!(answer(&request, &wanted(), &NONCE), None);
}

#[test]
fn an_outside_port_of_zero_is_no_mapping() {
    let result = answer(&response(0, 120, "198.51.100.3", 0), &wanted(), &NONCE).unwrap().result;
    assert!(matches!(result, Err(Problem::Refused { .. })));
}

#[test]
fn announcements_are_told_from_answers() {
    assert!(!is_announcement(&response(0, 120, "198.51.100.3", 6000)));
    let mut announcement = response(0, 0, "0.0.0.0", 0)[..24].to_vec();
    announcement[1] = 0x80;
    assert!(is_announcement(&announcement));
    assert!(!is_announcement(&announcement[..23]));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..1200)) {
        let _ = answer(&bytes, &wanted(), &NONCE);
        let _ = is_announcement(&bytes);
    }

    #[test]
    fn a_broken_answer_grants_only_what_can_be_used(at in 0usize..60, with: u8, cut in 0usize..=60) {
        let mut bytes = response(0, 120, "198.51.100.3", 6000);
        bytes[at] = with;
        if let Some(Answer { result: Ok(granted), .. }) = answer(&bytes[..cut], &wanted(), &NONCE) {
            prop_assert!(granted.external.port() != 0 || granted.lifetime.is_zero());
            prop_assert_eq!(cut, 60);
        }
    }
}
