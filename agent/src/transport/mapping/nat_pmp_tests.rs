//! NAT-PMP's messages, byte by byte.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);

fn wanted(protocol: Protocol) -> Wanted {
    Wanted {
        protocol,
        internal_port: 5000,
        external: "0.0.0.0:5001".parse().unwrap(),
        lifetime: Duration::from_secs(3600),
    }
}

#[test]
fn requests_have_the_form_of_the_rfc() {
    assert_eq!(ADDRESS_REQUEST, [0, 0]);
    let udp = [0, 1, 0, 0, 0x13, 0x88, 0x13, 0x89, 0, 0, 0x0e, 0x10];
    assert_eq!(map_request(&wanted(Protocol::Udp)), udp);
    let end = Wanted { lifetime: Duration::ZERO, ..wanted(Protocol::Tcp) };
    assert_eq!(map_request(&end), [0, 2, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn the_routers_address_and_port_make_the_mapping() {
    let address = address_answer(&[0, 128, 0, 0, 0, 0, 0, 9, 198, 51, 100, 3]).unwrap();
    assert_eq!(address, Answer { result: Ok(OUTSIDE), epoch: Some(9) });
    let bytes = [0, 129, 0, 0, 0, 0, 0, 9, 0x13, 0x88, 0x17, 0x70, 0, 0, 0, 60];
    let granted = Granted { external: SocketAddrV4::new(OUTSIDE, 6000), lifetime: Duration::from_secs(60) };
    let answer = map_answer(&bytes, &wanted(Protocol::Udp), OUTSIDE).unwrap();
    assert_eq!(answer, Answer { result: Ok(granted), epoch: Some(9) });
    assert_eq!(map_answer(&bytes, &wanted(Protocol::Tcp), OUTSIDE), None);
}

#[test]
fn refusals_and_other_versions_are_told_apart() {
    let result = |bytes: &[u8]| address_answer(bytes).unwrap().result;
    assert_eq!(result(&[0, 128, 0, 1, 0, 0, 0, 9]), Err(Problem::OtherVersion));
    // A router with PCP alone answers with its own version.
    assert_eq!(result(&[2, 128, 0, 1, 0, 0, 0, 9]), Err(Problem::OtherVersion));
    let refused = result(&[0, 128, 0, 2, 0, 0, 0, 9]).unwrap_err().to_string();
    assert!(refused.contains("its settings forbid mappings"), "{refused}");
}

#[test]
fn only_an_address_that_was_not_asked_for_is_an_announcement() {
    assert!(is_announcement(&[0, 128, 0, 0, 0, 0, 0, 0, 198, 51, 100, 3]));
    assert!(!is_announcement(&[0, 128, 0, 3, 0, 0, 0, 0, 198, 51, 100, 3]));
    assert!(!is_announcement(&[0, 0]));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = address_answer(&bytes);
        let _ = is_announcement(&bytes);
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            if let Some(Answer { result: Ok(granted), .. }) = map_answer(&bytes, &wanted(protocol), OUTSIDE) {
                prop_assert_eq!(bytes.len(), 16);
                prop_assert!(granted.external.port() != 0 || granted.lifetime.is_zero());
            }
        }
    }
}
