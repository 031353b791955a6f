//! What a datagram on the shared port is, by its first bytes (RFC 7983) and its STUN header (RFC 8489 section 5).

/// A STUN transaction id.
pub type TransactionId = [u8; 12];

const STUN_HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
const BINDING: u16 = 0x0001;
const CLASS_MASK: u16 = 0x0110;
const ATTR_USERNAME: u16 = 0x0006;
const ATTR_MESSAGE_INTEGRITY: u16 = 0x0008;
/// The same bound that RFC 8839 section 5.4 sets to an ICE ufrag.
const MAX_UFRAG: usize = 256;

/// What a datagram is, as far as its delivery depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A STUN binding request; `ufrag` is the receiver's half of its USERNAME.
    StunRequest {
        /// Its transaction.
        id: TransactionId,
        /// The local ufrag that it is addressed to.
        ufrag: Option<&'a str>,
    },
    /// A STUN success or error response.
    StunResponse {
        /// The transaction that it answers.
        id: TransactionId,
    },
    /// Another well-formed STUN message: an indication, or a method that is not Binding.
    StunOther,
    /// A DTLS record.
    Dtls,
    /// RTP, RTCP, or their encrypted forms.
    Media,
    /// None of these.
    Unknown,
}

/// Tells what `datagram` is. Never fails: what is malformed is [`Packet::Unknown`].
pub fn classify(datagram: &[u8]) -> Packet<'_> {
    match datagram.first() {
        Some(0..=3) => classify_stun(datagram),
        Some(20..=63) => Packet::Dtls,
        Some(128..=191) => Packet::Media,
        _ => Packet::Unknown,
    }
}

fn classify_stun(datagram: &[u8]) -> Packet<'_> {
    let Some((kind, id)) = stun_header(datagram) else { return Packet::Unknown };
    match (kind & CLASS_MASK, kind & !CLASS_MASK) {
        (0x0000, BINDING) => {
            let ufrag = stun_username(datagram).and_then(local_ufrag);
            Packet::StunRequest { id, ufrag }
        }
        (0x0100 | 0x0110, BINDING) => Packet::StunResponse { id },
        _ => Packet::StunOther,
    }
}

/// Type and transaction id, if the header is sound and the length fits the datagram.
fn stun_header(datagram: &[u8]) -> Option<(u16, TransactionId)> {
    let header: &[u8; STUN_HEADER] = datagram.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let sound = header[0] & 0xC0 == 0
        && header[4..8] == MAGIC_COOKIE
        && length % 4 == 0
        && STUN_HEADER + length == datagram.len();
    let id = header[8..].first_chunk()?;
    sound.then_some((u16::from_be_bytes([header[0], header[1]]), *id))
}

/// The USERNAME attribute of a STUN message (RFC 8489 section 14.3); `None` if there is none or the message is broken
/// before it.
pub fn stun_username(datagram: &[u8]) -> Option<&[u8]> {
    stun_attribute(datagram, ATTR_USERNAME)
}

/// The value of the first attribute of type `wanted` in a STUN message; `None` if there is none or the message is broken
/// before it. What stands behind MESSAGE-INTEGRITY is not looked at: anybody may have put it there (RFC 8489
/// section 14.5).
pub fn stun_attribute(datagram: &[u8], wanted: u16) -> Option<&[u8]> {
    stun_header(datagram)?;
    let mut rest = &datagram[STUN_HEADER..];
    loop {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..length)?;
        if kind == wanted {
            return Some(value);
        }
        if kind == ATTR_MESSAGE_INTEGRITY {
            return None;
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
}

/// The receiver's half of an ICE user name, `LOCAL:REMOTE` (RFC 8445 section 7.2.2).
pub fn local_ufrag(username: &[u8]) -> Option<&str> {
    let (ufrag, _) = std::str::from_utf8(username).ok()?.split_once(':')?;
    (!ufrag.is_empty() && ufrag.len() <= MAX_UFRAG).then_some(ufrag)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A STUN message of `kind` with a USERNAME.
    pub(crate) fn stun(kind: u16, id: TransactionId, username: Option<&str>) -> Vec<u8> {
        let mut attributes = Vec::new();
        if let Some(name) = username {
            attributes.extend_from_slice(&ATTR_USERNAME.to_be_bytes());
            attributes.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
            attributes.extend_from_slice(name.as_bytes());
            attributes.resize(attributes.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_be_bytes().to_vec();
        message.extend_from_slice(&u16::try_from(attributes.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(&id);
        message.extend_from_slice(&attributes);
        message
    }

    #[test]
    fn a_check_names_the_ufrag_that_it_is_for() {
        let request = stun(0x0001, [7; 12], Some("ours:theirs"));
        assert_eq!(classify(&request), Packet::StunRequest { id: [7; 12], ufrag: Some("ours") });
        assert_eq!(stun_username(&request), Some(&b"ours:theirs"[..]));
    }

    #[test]
    fn a_check_without_a_user_name_names_nobody() {
        for username in [None, Some("noseparator"), Some(":theirs")] {
            let request = stun(0x0001, [7; 12], username);
            assert_eq!(classify(&request), Packet::StunRequest { id: [7; 12], ufrag: None });
        }
    }

    #[test]
    fn responses_are_told_by_their_class() {
        assert_eq!(classify(&stun(0x0101, [1; 12], None)), Packet::StunResponse { id: [1; 12] });
        assert_eq!(classify(&stun(0x0111, [1; 12], None)), Packet::StunResponse { id: [1; 12] });
        assert_eq!(classify(&stun(0x0011, [1; 12], None)), Packet::StunOther);
        assert_eq!(classify(&stun(0x0003, [1; 12], None)), Packet::StunOther);
    }

    #[test]
    fn dtls_and_media_are_told_by_their_first_byte() {
        assert_eq!(classify(&[22, 254, 253]), Packet::Dtls);
        assert_eq!(classify(&[0x80, 96]), Packet::Media);
        for other in [&[][..], &[4], &[64, 0, 0, 0], &[255]] {
            assert_eq!(classify(other), Packet::Unknown);
        }
    }

    #[test]
    fn a_stun_message_whose_length_does_not_fit_is_unknown() {
        let mut request = stun(0x0001, [7; 12], Some("ours:theirs"));
        request.pop();
        assert_eq!(classify(&request), Packet::Unknown);
        assert_eq!(stun_username(&request), None);
    }

    #[test]
    fn what_stands_behind_the_integrity_is_not_looked_at() {
        let mut request = stun(0x0001, [7; 12], Some("ours:theirs"));
        request.extend_from_slice(&[0, 8, 0, 4, 1, 2, 3, 4, 0, 0x25, 0, 0]);
        let length = u16::try_from(request.len() - STUN_HEADER).unwrap();
        request[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(stun_attribute(&request, 0x0008), Some(&[1, 2, 3, 4][..]));
        assert_eq!(stun_attribute(&request, 0x0025), None);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), stunlike: bool) {
            if stunlike && bytes.len() >= STUN_HEADER {
                let length = u16::try_from((bytes.len() - STUN_HEADER) & !3).unwrap();
                bytes.truncate(STUN_HEADER + usize::from(length));
                bytes[..2].copy_from_slice(&[0, 1]);
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE);
                let is_request = matches!(classify(&bytes), Packet::StunRequest { .. });
                prop_assert!(is_request);
            }
            let _ = (classify(&bytes), stun_username(&bytes), stun_attribute(&bytes, 0x0025));
        }
    }
}
