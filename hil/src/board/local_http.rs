//! `GET` from a program in a namespace of the lab: HTTP/1.0 (RFC 1945), so that an answer ends with its connection.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::lab::namespace::Namespace;

/// The agent's metrics are some 40 KiB.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The body that is answered with status 200, within `patience`.
///
/// # Errors
///
/// Nobody listens, the time is over, or something else is answered.
pub async fn get(
    namespace: &Namespace,
    address: SocketAddr,
    path: &str,
    patience: Duration,
) -> io::Result<String> {
    let fetch = async {
        // A socket belongs to the namespace that it was made in, whoever uses it.
        let socket = namespace.run(|| {
            let socket = std::net::TcpStream::connect_timeout(&address, patience)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let mut socket = TcpStream::from_std(socket)?;
        socket.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        socket.take(LONGEST).read_to_end(&mut answer).await?;
        body(&answer).map_err(|why| io::Error::other(format!("http://{address}{path} answered {why}")))
    };
    timeout(patience, fetch).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The body of a whole answer with status 200.
fn body(answer: &[u8]) -> Result<String, String> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no whole HTTP header")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(status.to_owned());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    });
    match length {
        Some(length) if length != body.len() => Err(format!("{} of {length} bytes", body.len())),
        _ => Ok(body.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_whole_answer_is_taken_and_others_are_named() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nup\n").unwrap(), "up\n");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nup").unwrap(), "up");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\nup").unwrap_err(), "2 of 9 bytes");
        assert_eq!(body(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap_err(), "HTTP/1.0 404 Not Found");
        assert_eq!(body(b"SSH-2.0-OpenSSH").unwrap_err(), "no whole HTTP header");
    }

    proptest! {
        #[test]
        fn no_answer_can_upset_it(answer in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = body(&answer);
            let mut headed = b"HTTP/1.0 200 OK\r\n".to_vec();
            headed.extend(answer);
            let _ = body(&headed);
        }
    }
}
