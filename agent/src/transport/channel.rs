//! A connected way to a STUN or TURN server, for one question after the other: UDP with repetitions, a stream with
//! messages framed by their own length. For checks of servers; sessions have ways of their own.

use std::{io, time::Duration};

use rtc::stun::message::{MESSAGE_HEADER_SIZE, Message};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UdpSocket,
    time::timeout,
};

/// Largest answer over UDP that is read: an Ethernet frame.
const MAX_DATAGRAM: usize = 1500;

/// A connected way to a server.
pub enum Channel {
    /// Connected to it.
    Udp(UdpSocket),
    /// TCP or TLS.
    Stream(Box<dyn Stream>),
}

/// TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Channel {
    /// Asks until the answer to this request comes; the caller sets the deadline. Over UDP it is repeated after
    /// `first_repetition`, which is doubled each time (RFC 8489 section 6.2.1).
    ///
    /// # Errors
    ///
    /// The socket's: refused, reset, or at its end.
    pub async fn ask(&mut self, request: &Message, first_repetition: Duration) -> io::Result<Message> {
        match self {
            Self::Udp(socket) => ask_datagram(socket, request, first_repetition).await,
            Self::Stream(stream) => ask_stream(stream, request).await,
        }
    }
}

async fn ask_datagram(
    socket: &UdpSocket,
    request: &Message,
    first_repetition: Duration,
) -> io::Result<Message> {
    let mut wait = first_repetition;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        socket.send(&request.raw).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if let Some(answer) = answer_to(request, &buffer[..length]) {
                    return io::Result::Ok(answer);
                }
            }
        };
        match timeout(wait, answer).await {
            Ok(answer) => return answer,
            Err(_) => wait = wait.saturating_mul(2),
        }
    }
}

async fn ask_stream(stream: &mut Box<dyn Stream>, request: &Message) -> io::Result<Message> {
    stream.write_all(&request.raw).await?;
    stream.flush().await?;
    loop {
        // RFC 8489 section 6.2.2: the header's length frames the message.
        let mut message = vec![0; MESSAGE_HEADER_SIZE];
        stream.read_exact(&mut message).await?;
        let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
        message.resize(MESSAGE_HEADER_SIZE + length, 0);
        stream.read_exact(&mut message[MESSAGE_HEADER_SIZE..]).await?;
        if let Some(answer) = answer_to(request, &message) {
            return Ok(answer);
        }
    }
}

/// The message in `bytes` if it is one and answers `request`.
pub fn answer_to(request: &Message, bytes: &[u8]) -> Option<Message> {
    let mut answer = Message::new();
    answer.unmarshal_binary(bytes).ok()?;
    (answer.transaction_id == request.transaction_id && answer.typ.method == request.typ.method)
        .then_some(answer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, TransactionId};

    use super::*;

    fn message(kind: rtc::stun::message::MessageType, id: u8) -> Message {
        let mut message = Message::new();
        message.build(&[Box::new(kind), Box::new(TransactionId([id; 12]))]).unwrap();
        message
    }

    #[test]
    fn an_answer_is_known_by_its_transaction() {
        let request = message(BINDING_REQUEST, 1);
        assert!(answer_to(&request, &message(BINDING_SUCCESS, 1).raw).is_some());
        assert!(answer_to(&request, &message(BINDING_SUCCESS, 2).raw).is_none());
        assert!(answer_to(&request, b"HTTP/1.1 400 Bad Request\r\n\r\n").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(tail in proptest::collection::vec(0u8.., 0..64)) {
            let request = message(BINDING_REQUEST, 1);
            let mut bytes = message(BINDING_SUCCESS, 1).raw;
            bytes[3] = tail.len() as u8;
            bytes.extend(&tail);
            let _ = answer_to(&request, &bytes);
            let _ = answer_to(&request, &tail);
        }
    }
}
