//! Whether a STUN server answers, what it sees, and how fast (RFC 8489 section 2: a binding transaction).

use std::{net::SocketAddr, time::Instant};

use rtc::stun::{
    attributes::{ATTR_ERROR_CODE, ATTR_SOFTWARE},
    error_code::ErrorCodeAttribute,
    message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, Setter, TransactionId},
    textattrs::TextAttribute,
    xoraddr::XorMappedAddress,
};
use tokio::time::timeout;

use super::{
    DEADLINE,
    channel::Channel,
    finding::{Finding, Trouble},
    server::Server,
};

/// Asks one server for this machine's address as seen from there.
pub async fn binding(server: &Server, what: &str) -> Finding {
    let started = Instant::now();
    match timeout(DEADLINE, ask(server)).await {
        Ok(Ok((address, rtt_ms))) => {
            Finding::ok(what, format!("answered in {rtt_ms} ms, sees this machine as {address}"))
        }
        Ok(Err(trouble)) => trouble.finding(what),
        Err(_) => silent(started).finding(what),
    }
}

async fn ask(server: &Server) -> Result<(SocketAddr, u128), Trouble> {
    let mut channel = Channel::open(server).await?;
    let request = request(vec![Box::new(BINDING_REQUEST)])?;
    let sent = Instant::now();
    let answer = channel.ask(&request).await?;
    let rtt_ms = sent.elapsed().as_millis();
    if answer.typ == BINDING_SUCCESS {
        Ok((mapped(&answer)?, rtt_ms))
    } else {
        let advice = "check that the server allows STUN without credentials, or use another";
        Err(Trouble::new(format!("it refuses: {}", refusal(&answer).1), advice))
    }
}

/// A request with a random transaction id and the given type and attributes.
pub fn request(parts: Vec<Box<dyn Setter + '_>>) -> Result<Message, Trouble> {
    let mut all: Vec<Box<dyn Setter + '_>> = vec![Box::new(TransactionId::new())];
    all.push(Box::new(TextAttribute::new(ATTR_SOFTWARE, "p2pcam-agent check".into())));
    // The type goes first, MESSAGE-INTEGRITY last: it covers all before it.
    let mut parts = parts.into_iter();
    all.splice(0..0, parts.next());
    all.extend(parts);
    let mut message = Message::new();
    message.build(&all).map_err(|error| {
        Trouble::new(format!("the request cannot be written: {error}"), "check user and password")
    })?;
    Ok(message)
}

/// The address in a binding success.
pub fn mapped(answer: &Message) -> Result<SocketAddr, Trouble> {
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(answer).map_err(|_| {
        Trouble::new("its answer holds no XOR-MAPPED-ADDRESS", "it is no server of RFC 8489: use another")
    })?;
    Ok(SocketAddr::new(mapped.ip, mapped.port))
}

/// Code and words of a refusal; code 0 if it has none.
pub fn refusal(answer: &Message) -> (u16, String) {
    let mut error = ErrorCodeAttribute::default();
    if !answer.contains(ATTR_ERROR_CODE) || error.get_from(answer).is_err() {
        return (0, "without an error code".into());
    }
    (error.code.0, format!("{} {}", error.code.0, String::from_utf8_lossy(&error.reason)))
}

/// No answer within the deadline.
pub fn silent(started: Instant) -> Trouble {
    Trouble::new(
        format!("no answer within {} s", started.elapsed().as_secs().max(1)),
        "check address and port; a firewall on the way may block it (UDP to this port must pass both ways)",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::transport::channel::answer_to;

    use super::*;

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_readers_panic(tail in proptest::collection::vec(0u8.., 0..64)) {
            let asked = request(vec![Box::new(BINDING_REQUEST)]).unwrap();
            let mut answer = Message::new();
            answer.build(&[Box::new(asked.transaction_id), Box::new(BINDING_SUCCESS)]).unwrap();
            let mut bytes = answer.raw;
            bytes[3] = tail.len() as u8;
            bytes.extend(&tail);
            if let Some(answer) = answer_to(&asked, &bytes) {
                let _ = (mapped(&answer), refusal(&answer));
            }
        }
    }
}
