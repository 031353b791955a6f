//! Whether a check was signed by somebody who has seen the answer: looked at before the stack does.
//!
//! The stack (rtc-ice 0.21) answers a role conflict (RFC 8445 section 7.3.1.1), and changes its own role, before it has
//! verified who asks: whoever knows a session's ufrag could turn its roles round, and have answers sent to its viewer that
//! are longer than the requests. RFC 8489 section 9.1.3 has the signature first.

use rtc::{
    crypto::default_provider,
    stun::{
        attributes::{ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY},
        integrity::MessageIntegrity,
        message::Message,
    },
};

use crate::transport::demux::{Packet, classify};

/// Whether the stack may see `datagram`: `false` for a binding request without a MESSAGE-INTEGRITY made with `password`,
/// and for what is nothing that ICE carries: a relay passes on anything, and the stack reads a request with bytes behind
/// it all the same. Answers, DTLS and media are the stack's to verify.
pub(super) fn is_authentic(datagram: &[u8], password: &str) -> bool {
    match classify(datagram) {
        Packet::Unknown => return false,
        Packet::StunRequest { .. } => {}
        _ => return true,
    }
    let Ok(crypto) = default_provider() else { return false };
    let mut message = Message { raw: datagram.to_vec(), ..Message::default() };
    message.decode().is_ok()
        && ends_with_signature(&message)
        && MessageIntegrity::check(&mut message, password.as_bytes(), crypto.crypto()).is_ok()
}

/// What follows the signature is not signed, and must be ignored (RFC 8489 section 14.5), which the stack does not do.
fn ends_with_signature(message: &Message) -> bool {
    let mut rest =
        message.attributes.0.iter().skip_while(|attribute| attribute.typ != ATTR_MESSAGE_INTEGRITY);
    rest.next().is_some() && rest.all(|attribute| attribute.typ == ATTR_FINGERPRINT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_requests_need_a_signature() {
        assert!(is_authentic(&[22, 254, 253, 0], "secret"));
        assert!(is_authentic(&[0x80, 96], "secret"));
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        request.extend([7; 12]);
        assert!(!is_authentic(&request, "secret"));
    }

    proptest! {
        #[test]
        fn no_unsigned_request_passes_whatever_its_attributes(
            mut attributes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            attributes.truncate(attributes.len() & !3);
            let length = u16::try_from(attributes.len()).unwrap_or(0).to_be_bytes();
            let mut request = vec![0, 1, length[0], length[1], 0x21, 0x12, 0xA4, 0x42];
            request.extend([7; 12]);
            request.extend(attributes);
            prop_assert!(!is_authentic(&request, "secret"));
        }
    }
}
