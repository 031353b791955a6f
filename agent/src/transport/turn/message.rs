//! The TURN messages that the client writes and reads (RFC 8656), over the STUN codec of the `rtc` stack.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use rtc::{
    crypto::RTCCrypto,
    stun::{
        addr::AlternateServer,
        attributes::{
            ATTR_ALTERNATE_DOMAIN, ATTR_ALTERNATE_SERVER, ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_LIFETIME,
            ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
            ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS, AttrType,
        },
        error_code::ErrorCodeAttribute,
        fingerprint::FINGERPRINT,
        integrity::MessageIntegrity,
        message::{
            CLASS_ERROR_RESPONSE, CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter,
            METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_DATA,
            METHOD_REFRESH, METHOD_SEND, Message, MessageType, Setter, TransactionId,
        },
        textattrs::TextAttribute,
        xoraddr::XorMappedAddress,
    },
};

use super::types::Alternate;

/// Protocol number of UDP in REQUESTED-TRANSPORT (RFC 8656 section 18.7).
const UDP: u8 = 17;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A relayed address.
    Allocate,
    /// That the allocation lives on for so many seconds; 0 gives it back.
    Refresh(u32),
    /// That packets to and from this address be relayed.
    Permit(IpAddr),
    /// A channel to this peer.
    Bind(SocketAddr, u16),
}

/// The long-term credential with what the server added to it (RFC 8489 section 9.2).
#[derive(Clone)]
pub(super) struct Auth {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub key: Vec<u8>,
}

/// What came from the server.
#[derive(Debug)]
pub(super) enum Incoming {
    /// From a peer, not over a channel.
    Data(SocketAddr, BytesMut),
    /// The answer to the request with this id.
    Success(Box<Message>),
    /// The refusal of a request.
    Refusal(Refusal),
}

/// An error response.
#[derive(Debug)]
pub(super) struct Refusal {
    /// That of the request.
    pub id: [u8; 12],
    /// ERROR-CODE.
    pub code: u16,
    /// Its reason phrase.
    pub text: String,
    pub realm: Option<String>,
    pub nonce: Option<String>,
    pub alternate: Option<Alternate>,
}

/// A request, signed if `auth` is known.
pub(super) fn request(crypto: &dyn RTCCrypto, id: [u8; 12], what: &Request, auth: Option<&Auth>) -> Vec<u8> {
    let method = match what {
        Request::Allocate => METHOD_ALLOCATE,
        Request::Refresh(_) => METHOD_REFRESH,
        Request::Permit(_) => METHOD_CREATE_PERMISSION,
        Request::Bind(..) => METHOD_CHANNEL_BIND,
    };
    let mut m = start(id, MessageType::new(method, CLASS_REQUEST));
    match *what {
        Request::Allocate => m.add(ATTR_REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]),
        Request::Refresh(seconds) => m.add(ATTR_LIFETIME, &seconds.to_be_bytes()),
        Request::Permit(ip) => add_peer(&mut m, SocketAddr::new(ip, 0)),
        Request::Bind(peer, number) => {
            let [high, low] = number.to_be_bytes();
            m.add(ATTR_CHANNEL_NUMBER, &[high, low, 0, 0]);
            add_peer(&mut m, peer);
        }
    }
    if let Some(auth) = auth {
        m.add(ATTR_USERNAME, auth.username.as_bytes());
        m.add(ATTR_REALM, auth.realm.as_bytes());
        m.add(ATTR_NONCE, auth.nonce.as_bytes());
        let _ = MessageIntegrity::new_raw_integrity_with_provider(auth.key.clone(), crypto).add_to(&mut m);
    }
    let _ = FINGERPRINT.add_to(&mut m);
    m.raw
}

/// Data to a peer without a channel (RFC 8656 section 11.1).
pub(super) fn send_indication(id: [u8; 12], peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut m = start(id, MessageType::new(METHOD_SEND, CLASS_INDICATION));
    add_peer(&mut m, peer);
    m.add(ATTR_DATA, data);
    m.raw
}

/// What keeps a NAT's mapping to the server alive (RFC 8489 section 5: a binding indication asks nothing).
pub(super) fn keepalive(id: [u8; 12]) -> Vec<u8> {
    start(id, MessageType::new(METHOD_BINDING, CLASS_INDICATION)).raw
}

/// Data to a peer over a channel (RFC 8656 section 12.4), padded to four bytes as streams need it.
pub(super) fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let size = (4 + data.len()).next_multiple_of(4);
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&number.to_be_bytes());
    // What a UDP datagram holds fits 16 bits; the caller bounds it.
    out.extend_from_slice(&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(data);
    out.resize(size, 0);
    out
}

/// Reads ChannelData: the number, and the length of the data after the four bytes of header.
pub(super) fn channel_header(frame: &[u8]) -> Option<(u16, usize)> {
    let header: &[u8; 4] = frame.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let valid = (0x40..=0x4F).contains(&header[0]) && frame.len() >= 4 + length;
    valid.then_some((u16::from_be_bytes([header[0], header[1]]), length))
}

/// Reads a STUN message from the server. `None` if it is none, or none that a client gets.
pub(super) fn read(frame: &[u8]) -> Option<Incoming> {
    let mut m = Message::new();
    m.unmarshal_binary(frame).ok()?;
    if m.typ == MessageType::new(METHOD_DATA, CLASS_INDICATION) {
        let peer = address(&m, ATTR_XOR_PEER_ADDRESS)?;
        let data = m.get(ATTR_DATA).ok()?;
        return Some(Incoming::Data(peer, BytesMut::from(&data[..])));
    }
    if m.typ.class == CLASS_SUCCESS_RESPONSE {
        return Some(Incoming::Success(Box::new(m)));
    }
    (m.typ.class == CLASS_ERROR_RESPONSE).then(|| {
        let mut error = ErrorCodeAttribute::default();
        let _ = error.get_from(&m);
        let text = |attribute| TextAttribute::get_from_as(&m, attribute).ok().map(|a| a.text);
        Incoming::Refusal(Refusal {
            id: m.transaction_id.0,
            code: error.code.0,
            text: String::from_utf8_lossy(&error.reason).trim_end_matches('\0').to_owned(),
            realm: text(ATTR_REALM),
            nonce: text(ATTR_NONCE),
            alternate: alternate(&m),
        })
    })
}

/// The other server that an error response names (RFC 8489 section 10). `None`: it is no error response, or names none.
pub fn redirection(frame: &[u8]) -> Option<Alternate> {
    match read(frame)? {
        Incoming::Refusal(refusal) => refusal.alternate,
        _ => None,
    }
}

/// ALTERNATE-SERVER with ALTERNATE-DOMAIN (RFC 8489 sections 14.15 and 14.16), if it is an address of one machine.
fn alternate(m: &Message) -> Option<Alternate> {
    let mut address = AlternateServer::default();
    address.get_from_as(m, ATTR_ALTERNATE_SERVER).ok()?;
    let server = SocketAddr::new(address.ip, address.port);
    let is_one = server.port() != 0 && !server.ip().is_unspecified() && !server.ip().is_multicast();
    let domain = m.get(ATTR_ALTERNATE_DOMAIN).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    is_one.then_some(Alternate { server, domain: domain.filter(|d| !d.is_empty()) })
}

/// Whether the server signed `message` with the credential's key (RFC 8489 section 14.5).
pub(super) fn is_signed(crypto: &dyn RTCCrypto, message: &mut Message, key: &[u8]) -> bool {
    MessageIntegrity::check(message, key, crypto).is_ok()
}

/// XOR-RELAYED-ADDRESS of an Allocate answer.
pub(super) fn relayed_address(message: &Message) -> Option<SocketAddr> {
    address(message, ATTR_XOR_RELAYED_ADDRESS)
}

/// XOR-MAPPED-ADDRESS of an Allocate answer.
pub(super) fn mapped_address(message: &Message) -> Option<SocketAddr> {
    address(message, ATTR_XORMAPPED_ADDRESS)
}

/// LIFETIME in seconds.
pub(super) fn lifetime(message: &Message) -> Option<u32> {
    let value = message.get(ATTR_LIFETIME).ok()?;
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The key of the long-term credential: MD5 of `username:realm:password` (RFC 8489 section 9.2.2).
pub(super) fn key(crypto: &dyn RTCCrypto, username: &str, realm: &str, password: &str) -> Option<Vec<u8>> {
    MessageIntegrity::long_term_integrity_key(username.into(), realm.into(), password.into(), crypto).ok()
}

fn start(id: [u8; 12], kind: MessageType) -> Message {
    let mut m = Message::new();
    m.typ = kind;
    m.transaction_id = TransactionId(id);
    m.write_header();
    m
}

fn add_peer(m: &mut Message, peer: SocketAddr) {
    let address = XorMappedAddress { ip: peer.ip(), port: peer.port() };
    // Fails only for an address that is neither IPv4 nor IPv6.
    let _ = address.add_to_as(m, ATTR_XOR_PEER_ADDRESS);
}

fn address(m: &Message, attribute: AttrType) -> Option<SocketAddr> {
    let mut address = XorMappedAddress::default();
    address.get_from_as(m, attribute).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_a_redirection_to_nobody(
            mut frame in proptest::collection::vec(any::<u8>(), 0..80),
            is_refusal in any::<bool>(),
        ) {
            if is_refusal && frame.len() >= 24 {
                // The header of an Allocate error response, and ALTERNATE-SERVER as the first attribute.
                let length = (frame.len() - 20) as u16 & !3;
                frame.truncate(20 + usize::from(length));
                frame[..2].copy_from_slice(&[0x01, 0x13]);
                frame[2..4].copy_from_slice(&length.to_be_bytes());
                frame[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
                frame[20..22].copy_from_slice(&[0x80, 0x23]);
            }
            if let Some(alternate) = redirection(&frame) {
                prop_assert!(alternate.server.port() != 0 && !alternate.server.ip().is_unspecified());
            }
        }
    }
}
