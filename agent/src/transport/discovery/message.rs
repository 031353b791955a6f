//! STUN messages of behaviour discovery (RFC 5780 section 7): CHANGE-REQUEST asked, OTHER-ADDRESS read. Pure; fuzzed as
//! `discovery`.

use std::net::SocketAddr;

use rtc::stun::{
    addr::MappedAddress,
    attributes::{ATTR_CHANGE_REQUEST, ATTR_OTHER_ADDRESS},
    fingerprint::FINGERPRINT,
    message::{
        BINDING_REQUEST, BINDING_SUCCESS, CLASS_ERROR_RESPONSE, CLASS_REQUEST, Getter, METHOD_BINDING,
        Message, Setter, TransactionId,
    },
    xoraddr::XorMappedAddress,
};

/// Flag in CHANGE-REQUEST (RFC 5780 section 7.2).
const CHANGE_IP: u8 = 0x04;
/// Likewise.
const CHANGE_PORT: u8 = 0x02;

/// Where the answer is to come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// The address that was asked.
    #[default]
    Asked,
    /// Its other port.
    OtherPort,
    /// The server's other address and port.
    OtherAddress,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A binding request: one of this device's own, come back through its router.
    Request([u8; 12]),
    /// What the server sees.
    Answer {
        /// Whose answer it is.
        id: [u8; 12],
        /// XOR-MAPPED-ADDRESS.
        mapped: SocketAddr,
        /// OTHER-ADDRESS: the server has two addresses, and does what CHANGE-REQUEST says.
        other: Option<SocketAddr>,
    },
    /// The server refused, or does not know CHANGE-REQUEST.
    Refused([u8; 12]),
}

/// A binding request.
pub fn request(id: [u8; 12], from: From) -> Vec<u8> {
    let mut message = Message::new();
    let mut parts: Vec<Box<dyn Setter>> = vec![Box::new(TransactionId(id)), Box::new(BINDING_REQUEST)];
    match from {
        From::Asked => {}
        From::OtherPort => parts.push(Box::new(ChangeRequest(CHANGE_PORT))),
        From::OtherAddress => parts.push(Box::new(ChangeRequest(CHANGE_IP | CHANGE_PORT))),
    }
    parts.push(Box::new(FINGERPRINT));
    // Setters of fixed size fail only on an overflow of the message.
    let _ = message.build(&parts);
    message.raw
}

/// Reads a datagram; `None` if it is no binding message, or one without what it must hold.
pub fn read(datagram: &[u8]) -> Option<Heard> {
    let mut message = Message::new();
    message.unmarshal_binary(datagram).ok()?;
    let id = message.transaction_id.0;
    if message.typ.method != METHOD_BINDING {
        return None;
    }
    if message.typ.class == CLASS_REQUEST {
        return Some(Heard::Request(id));
    }
    if message.typ.class == CLASS_ERROR_RESPONSE {
        return Some(Heard::Refused(id));
    }
    if message.typ != BINDING_SUCCESS {
        return None;
    }
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&message).ok()?;
    let mut other = MappedAddress::default();
    let other = other.get_from_as(&message, ATTR_OTHER_ADDRESS).ok().map(|()| (other.ip, other.port).into());
    Some(Heard::Answer { id, mapped: SocketAddr::new(mapped.ip, mapped.port), other })
}

struct ChangeRequest(u8);

impl Setter for ChangeRequest {
    fn add_to(&self, message: &mut Message) -> rtc::shared::error::Result<()> {
        message.add(ATTR_CHANGE_REQUEST, &[0, 0, 0, self.0]);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn change_request_has_the_flags_of_rfc_5780() {
        let flags = |from| {
            let mut message = Message::new();
            message.unmarshal_binary(&request([1; 12], from)).unwrap();
            message.get(ATTR_CHANGE_REQUEST).ok()
        };
        assert_eq!(flags(From::Asked), None);
        assert_eq!(flags(From::OtherPort), Some(vec![0, 0, 0, 2]));
        assert_eq!(flags(From::OtherAddress), Some(vec![0, 0, 0, 6]));
    }

    #[test]
    fn an_answer_tells_the_mapped_and_the_other_address() {
        let mut answer = Message::new();
        let seen = XorMappedAddress { ip: "203.0.113.9".parse().unwrap(), port: 6000 };
        answer.build(&[Box::new(TransactionId([1; 12])), Box::new(BINDING_SUCCESS), Box::new(seen)]).unwrap();
        let mapped = "203.0.113.9:6000".parse().unwrap();
        assert_eq!(read(&answer.raw), Some(Heard::Answer { id: [1; 12], mapped, other: None }));
        let other = MappedAddress { ip: "192.0.2.2".parse().unwrap(), port: 3479 };
        other.add_to_as(&mut answer, ATTR_OTHER_ADDRESS).unwrap();
        answer.write_header();
        let other = Some("192.0.2.2:3479".parse().unwrap());
        assert_eq!(read(&answer.raw), Some(Heard::Answer { id: [1; 12], mapped, other }));
        assert_eq!(read(&request([2; 12], From::Asked)), Some(Heard::Request([2; 12])));
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_makes_it_panic(mut bytes in proptest::collection::vec(0u8.., 0..96), fix: bool) {
            if fix && bytes.len() > 20 {
                // So that the attributes are reached.
                let header = [1, 1, 0, (bytes.len() - 20) as u8, 0x21, 0x12, 0xa4, 0x42];
                bytes[..8].copy_from_slice(&header);
            }
            let _ = read(&bytes);
        }
    }
}
