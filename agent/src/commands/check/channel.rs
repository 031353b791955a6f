//! A way to a server: UDP with repetitions, TCP or TLS with framing by the STUN messages' own length.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use rtc::stun::message::{MESSAGE_HEADER_SIZE, Message};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    finding::Trouble,
    server::{Server, Transport},
    tls,
};

/// First repetition over UDP, doubled each time; RFC 8489 section 6.2.1 has 500 ms, which would leave two tries
/// before the deadline of a check.
const FIRST_REPETITION: Duration = Duration::from_millis(250);

/// Largest answer over UDP that is read: an Ethernet frame.
const MAX_DATAGRAM: usize = 1500;

/// A connected way to a server.
pub enum Channel {
    Udp(UdpSocket),
    Stream(Box<dyn Stream>),
}

/// TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Channel {
    /// Resolves the name and connects.
    pub async fn open(server: &Server) -> Result<Self, Trouble> {
        match server.transport {
            Transport::Udp => udp(server).await.map(Self::Udp),
            Transport::Tcp => Ok(Self::Stream(Box::new(tcp(&server.host, server.port).await?))),
            Transport::Tls => {
                Ok(Self::Stream(Box::new(secure(&server.host, server.port, server.ca.as_deref()).await?)))
            }
        }
    }

    /// Asks until the answer to this request comes; the caller sets the deadline.
    pub async fn ask(&mut self, request: &Message) -> Result<Message, Trouble> {
        let answer = match self {
            Self::Udp(socket) => ask_datagram(socket, request).await,
            Self::Stream(stream) => ask_stream(stream, request).await,
        };
        answer.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => {
                Trouble::new("nothing listens there", "check the port, and that the server runs")
            }
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => Trouble::new(
                "it closed the connection at a STUN message",
                "check that it is a STUN or TURN server, and that the port is right",
            ),
            _ => Trouble::new(error.to_string(), "check the network"),
        })
    }
}

/// TCP to a name or address.
pub async fn tcp(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let addresses = resolve(host, port).await?;
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => {
            Trouble::new("nothing listens there", "check the port, and that the server runs")
        }
        _ => unreachable(&error),
    })
}

/// TLS to a name or address.
pub async fn secure(host: &str, port: u16, ca: Option<&Path>) -> Result<impl Stream + use<>, Trouble> {
    tls::handshake(tcp(host, port).await?, host, ca).await
}

async fn udp(server: &Server) -> Result<UdpSocket, Trouble> {
    let mut last = None;
    for address in resolve(&server.host, server.port).await? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // A machine without IPv6 learns here that it has no route, and goes on to the next address.
        let connected = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            io::Result::Ok(socket)
        };
        match connected.await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || Trouble::new("its name has no address", "check the name"),
        |error| unreachable(&error),
    ))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) => Err(Trouble::new(
            format!("the name {host} cannot be resolved"),
            format!("check the spelling, and this machine's DNS: getent hosts {host}"),
        )),
    }
}

fn unreachable(error: &io::Error) -> Trouble {
    Trouble::new(
        format!("it cannot be reached: {error}"),
        "check this machine's network: cable or Wi-Fi, address (ip address), default route (ip route)",
    )
}

async fn ask_datagram(socket: &UdpSocket, request: &Message) -> io::Result<Message> {
    let mut wait = FIRST_REPETITION;
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
            Err(_) => wait *= 2,
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
            if let Some(answer) = answer_to(&request, &bytes) {
                let _ = super::super::stun::mapped(&answer);
                let _ = super::super::stun::refusal(&answer);
            }
            let _ = answer_to(&request, &tail);
        }
    }
}
