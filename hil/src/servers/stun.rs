//! Messages of STUN and TURN (RFC 8489, RFC 8656), as far as the rig asks its own server: what address it sees, and
//! whether it gives a relayed one. On the `rtc` crate's codec, not the agent's: a fault there must not hide here.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rtc::{
    crypto::HmacAlgorithm,
    stun::{
        attributes::{ATTR_ERROR_CODE, ATTR_NONCE, ATTR_REALM, ATTR_USERNAME},
        error_code::ErrorCodeAttribute,
        integrity::MessageIntegrity,
        message::{
            BINDING_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, Message, MessageType, Setter, TransactionId,
        },
        textattrs::TextAttribute,
        xoraddr::XorMappedAddress,
    },
    turn::proto::{
        PROTO_UDP, allocate_request, lifetime::Lifetime, refresh_request, relayaddr::RelayedAddress,
        reqtrans::RequestedTransport,
    },
};

/// Credentials of the rig's own questions are good for as long.
const LIFE: Duration = Duration::from_secs(600);
/// An HMAC-SHA1 in bytes.
const SHA1: usize = 20;

/// A time-limited user and its password.
#[derive(Clone)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// After coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00 section 2.2).
    pub(super) fn new(secret: &str, now: SystemTime) -> Result<Self, String> {
        let expiry = (now + LIFE).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let user = format!("{expiry}:rig");
        let mut tag = [0; SHA1];
        let provider = rtc::crypto::default_provider().map_err(|error| error.to_string())?;
        let mac = provider.crypto().new_hmac(HmacAlgorithm::Sha1, secret.as_bytes());
        mac.and_then(|mut mac| mac.sign(&[user.as_bytes()], &mut tag)).map_err(|error| error.to_string())?;
        Ok(Self { user, password: BASE64_STANDARD.encode(tag) })
    }
}

/// What a server asks credentials for (RFC 8489 section 9.2.3).
pub(super) struct Challenge {
    realm: String,
    nonce: String,
}

impl Challenge {
    /// Out of the refusal of a request without credentials.
    pub(super) fn of(refusal: &Message) -> Result<Self, String> {
        let text = |attribute| TextAttribute::get_from_as(refusal, attribute).map(|found| found.text);
        match (text(ATTR_REALM), text(ATTR_NONCE)) {
            (Ok(realm), Ok(nonce)) => Ok(Self { realm, nonce }),
            _ => Err(refusal_in_words(refusal)),
        }
    }
}

/// "What address do you see?"
pub(super) fn binding() -> Result<Message, String> {
    build(vec![part(BINDING_REQUEST)])
}

/// "Give me a relayed address for UDP", with credentials once they were asked for.
pub(super) fn allocate(signed: Option<(&Credentials, &Challenge)>) -> Result<Message, String> {
    request(allocate_request(), vec![part(RequestedTransport { protocol: PROTO_UDP })], signed)
}

/// "Take it back."
pub(super) fn release(credentials: &Credentials, challenge: &Challenge) -> Result<Message, String> {
    request(refresh_request(), vec![part(Lifetime(Duration::ZERO))], Some((credentials, challenge)))
}

fn request<'a>(
    kind: MessageType,
    attributes: Vec<Box<dyn Setter + 'a>>,
    signed: Option<(&'a Credentials, &'a Challenge)>,
) -> Result<Message, String> {
    let provider = rtc::crypto::default_provider().map_err(|error| error.to_string())?;
    let mut parts = vec![part(kind)];
    parts.extend(attributes);
    if let Some((credentials, challenge)) = signed {
        let integrity = MessageIntegrity::new_long_term_integrity_with_provider(
            credentials.user.clone(),
            challenge.realm.clone(),
            credentials.password.clone(),
            provider.crypto(),
        );
        parts.push(part(TextAttribute::new(ATTR_USERNAME, credentials.user.clone())));
        parts.push(part(TextAttribute::new(ATTR_REALM, challenge.realm.clone())));
        parts.push(part(TextAttribute::new(ATTR_NONCE, challenge.nonce.clone())));
        // Last: it covers all before it.
        parts.push(part(integrity.map_err(|error| error.to_string())?));
        return build(parts);
    }
    build(parts)
}

fn part<'a>(setter: impl Setter + 'a) -> Box<dyn Setter + 'a> {
    Box::new(setter)
}

fn build(mut parts: Vec<Box<dyn Setter + '_>>) -> Result<Message, String> {
    parts.insert(0, part(TransactionId::new()));
    let mut message = Message::new();
    message.build(&parts).map_err(|error| error.to_string())?;
    Ok(message)
}

/// Whether it is a success response.
pub(super) fn succeeded(answer: &Message) -> bool {
    answer.typ.class == CLASS_SUCCESS_RESPONSE
}

/// The address that the server sees.
pub(super) fn mapped(answer: &Message) -> Result<SocketAddr, String> {
    let mut mapped = XorMappedAddress::default();
    match mapped.get_from(answer) {
        Ok(()) if succeeded(answer) => Ok(SocketAddr::new(mapped.ip, mapped.port)),
        _ => Err(refusal_in_words(answer)),
    }
}

/// The address that the server relays from.
pub(super) fn relayed(answer: &Message) -> Result<SocketAddr, String> {
    let mut relayed = RelayedAddress::default();
    match relayed.get_from(answer) {
        Ok(()) if succeeded(answer) => Ok(SocketAddr::new(relayed.ip, relayed.port)),
        _ => Err(refusal_in_words(answer)),
    }
}

fn refusal_in_words(answer: &Message) -> String {
    let mut code = ErrorCodeAttribute::default();
    if answer.contains(ATTR_ERROR_CODE) && code.get_from(answer).is_ok() {
        return format!("refused: {} {}", code.code.0, String::from_utf8_lossy(&code.reason));
    }
    "an answer without what was asked for".into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::transport::channel::answer_to;
    use rtc::stun::{
        error_code::CODE_UNAUTHORIZED,
        message::{BINDING_SUCCESS, MESSAGE_HEADER_SIZE},
    };

    use super::*;

    fn answer(request: &Message, parts: Vec<Box<dyn Setter + '_>>) -> Message {
        let mut all = vec![part(request.transaction_id)];
        all.extend(parts);
        let mut message = Message::new();
        message.build(&all).unwrap();
        answer_to(request, &message.raw).unwrap()
    }

    #[test]
    fn credentials_are_those_that_coturn_computes() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000) - LIFE;
        let credentials = Credentials::new("north", now).unwrap();
        assert_eq!(credentials.user, "1700000000:rig");
        // printf %s 1700000000:rig | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credentials.password, "+xZshKhw033gvOOiifH+KuG1zfk=");
    }

    #[test]
    fn a_binding_answer_tells_the_address() {
        let request = binding().unwrap();
        let seen = XorMappedAddress { ip: "198.51.100.1".parse().unwrap(), port: 4711 };
        let told = answer(&request, vec![part(BINDING_SUCCESS), part(seen)]);
        assert_eq!(mapped(&told), Ok("198.51.100.1:4711".parse().unwrap()));
        let empty = answer(&request, vec![part(BINDING_SUCCESS)]);
        assert_eq!(mapped(&empty).unwrap_err(), "an answer without what was asked for");
        assert!(answer_to(&binding().unwrap(), &told.raw).is_none(), "another's answer");
    }

    #[test]
    fn a_refusal_is_told_or_taken_as_the_question_for_credentials() {
        let request = allocate(None).unwrap();
        let refused = MessageType { class: rtc::stun::message::CLASS_ERROR_RESPONSE, ..allocate_request() };
        let code = || part(ErrorCodeAttribute { code: CODE_UNAUTHORIZED, reason: b"who?".to_vec() });
        let bare = answer(&request, vec![part(refused), code()]);
        assert_eq!(Challenge::of(&bare).err().unwrap(), "refused: 401 who?");
        assert_eq!(relayed(&bare).unwrap_err(), "refused: 401 who?");
        let realm = part(TextAttribute::new(ATTR_REALM, "p2pcam.test".into()));
        let nonce = part(TextAttribute::new(ATTR_NONCE, "n".into()));
        let asking = answer(&request, vec![part(refused), code(), realm, nonce]);
        let challenge = Challenge::of(&asking).unwrap();
        let credentials = Credentials::new("north", SystemTime::now()).unwrap();
        let signed = allocate(Some((&credentials, &challenge))).unwrap();
        assert!(signed.contains(rtc::stun::attributes::ATTR_MESSAGE_INTEGRITY));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(mut bytes in proptest::collection::vec(0u8.., 0..96), fix: bool) {
            let request = allocate(None).unwrap();
            if fix && bytes.len() >= MESSAGE_HEADER_SIZE {
                // So that the attributes are reached.
                bytes[..MESSAGE_HEADER_SIZE].copy_from_slice(&request.raw[..MESSAGE_HEADER_SIZE]);
                bytes[3] = (bytes.len() - MESSAGE_HEADER_SIZE) as u8;
            }
            if let Some(answer) = answer_to(&request, &bytes) {
                let _ = (mapped(&answer), relayed(&answer), Challenge::of(&answer).is_ok());
            }
        }
    }
}
