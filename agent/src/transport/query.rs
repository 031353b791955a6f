//! One STUN binding transaction over UDP (RFC 8489 section 6.2.1), without socket or clock.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rtc::stun::{
    error_code::ErrorCodeAttribute,
    fingerprint::FINGERPRINT,
    message::{BINDING_REQUEST, BINDING_SUCCESS, CLASS_ERROR_RESPONSE, Getter, Message, TransactionId},
    xoraddr::XorMappedAddress,
};

/// Time to the first repetition; doubled each time. RFC 8489 asks for 500 ms where nothing is known of the path, but
/// a lost packet would then cost a viewer half a second of waiting; six small packets in all hurt nobody.
pub const FIRST_RTO: Duration = Duration::from_millis(100);
/// Time after which a server counts as dead.
pub const GIVE_UP: Duration = Duration::from_secs(5);

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Send this to the server, then ask again.
    Send(&'a [u8]),
    /// Nothing until then.
    Wait(Instant),
    /// The server did not answer.
    GiveUp,
}

/// One question to one STUN server from one socket.
#[derive(Debug)]
pub struct BindingQuery {
    id: [u8; 12],
    request: Vec<u8>,
    due: Instant,
    rto: Duration,
    end: Instant,
}

impl BindingQuery {
    /// A question to be sent now. `id` is random.
    pub fn new(now: Instant, id: [u8; 12]) -> Self {
        let mut message = Message::new();
        // Setters of fixed size fail only on an overflow of the message.
        let _ =
            message.build(&[Box::new(TransactionId(id)), Box::new(BINDING_REQUEST), Box::new(FINGERPRINT)]);
        Self { id, request: message.raw, due: now, rto: FIRST_RTO, end: now + GIVE_UP }
    }

    /// Its transaction id.
    pub fn id(&self) -> [u8; 12] {
        self.id
    }

    /// What is to be done at `now`.
    pub fn poll(&mut self, now: Instant) -> Step<'_> {
        if now >= self.end {
            return Step::GiveUp;
        }
        if now < self.due {
            return Step::Wait(self.due.min(self.end));
        }
        self.due = now + self.rto;
        self.rto *= 2;
        Step::Send(&self.request)
    }

    /// Reads a datagram from the server: the address that it sees, or its refusal in words. `None`: no answer to this.
    pub fn handle(&self, datagram: &[u8]) -> Option<Result<SocketAddr, String>> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        if message.transaction_id.0 != self.id {
            return None;
        }
        if message.typ == BINDING_SUCCESS {
            let mut mapped = XorMappedAddress::default();
            return Some(match mapped.get_from(&message) {
                Ok(()) => Ok(SocketAddr::new(mapped.ip, mapped.port)),
                Err(_) => {
                    Err("its answer holds no XOR-MAPPED-ADDRESS: it is no STUN server of RFC 8489".into())
                }
            });
        }
        (message.typ.class == CLASS_ERROR_RESPONSE).then(|| {
            let mut code = ErrorCodeAttribute::default();
            Err(match code.get_from(&message) {
                Ok(()) => format!("it refused with {code}"),
                Err(_) => "it refused without a reason".into(),
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rtc::stun::message::BINDING_ERROR;

    use super::*;

    #[test]
    fn a_dead_server_is_asked_ever_more_slowly_and_given_up_after_five_seconds() {
        let start = Instant::now();
        let mut query = BindingQuery::new(start, [1; 12]);
        let (mut now, mut sent) = (start, Vec::new());
        loop {
            match query.poll(now) {
                Step::Send(_) => sent.push((now - start).as_millis()),
                Step::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Step::GiveUp => break,
            }
        }
        assert_eq!(sent, [0, 100, 300, 700, 1500, 3100]);
        assert_eq!(now - start, GIVE_UP);
    }

    #[test]
    fn the_answer_tells_the_address_that_the_server_sees() {
        let query = BindingQuery::new(Instant::now(), [1; 12]);
        let mut answer = Message::new();
        let seen = XorMappedAddress { ip: "2001:db8::7".parse().unwrap(), port: 4711 };
        answer.build(&[Box::new(TransactionId([1; 12])), Box::new(BINDING_SUCCESS), Box::new(seen)]).unwrap();
        assert_eq!(query.handle(&answer.raw), Some(Ok("[2001:db8::7]:4711".parse().unwrap())));
        assert_eq!(BindingQuery::new(Instant::now(), [2; 12]).handle(&answer.raw), None);
    }

    #[test]
    fn a_refusal_is_told_in_words() {
        let query = BindingQuery::new(Instant::now(), [1; 12]);
        let mut answer = Message::new();
        let code =
            ErrorCodeAttribute { code: rtc::stun::error_code::CODE_FORBIDDEN, reason: b"go away".to_vec() };
        answer.build(&[Box::new(TransactionId([1; 12])), Box::new(BINDING_ERROR), Box::new(code)]).unwrap();
        assert_eq!(query.handle(&answer.raw), Some(Err("it refused with 403: go away".into())));
    }
}
