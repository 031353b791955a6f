//! Gives [`Discovery`] its sockets and the time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use tokio::{net::UdpSocket, time::sleep_until};

use super::{Discovery, Report, Socket, Step};
use crate::transport::random_id;

/// A STUN message is never longer than what every path carries.
const MAX_DATAGRAM: usize = 1500;

/// Finds out what lies between a local address and the servers. Takes at most 7.5 s.
///
/// # Errors
///
/// The address is none of this machine's, or the sockets fail.
pub async fn discover(local: IpAddr, servers: &[SocketAddr]) -> io::Result<Report> {
    let open = || UdpSocket::bind((local, 0));
    let [first, second, third] = [open().await?, open().await?, open().await?];
    let mut discovery = Discovery::new(Instant::now(), first.local_addr()?, servers, random_id);
    let (mut a, mut b, mut c) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
    loop {
        let due = match discovery.poll(Instant::now()) {
            Step::Send(socket, to, data) => {
                let socket = match socket {
                    Socket::First => &first,
                    Socket::Second => &second,
                    Socket::Third => &third,
                };
                // No route to one server is as good as no answer from it.
                let _ = socket.send_to(&data, to).await;
                continue;
            }
            Step::Wait(due) => due,
            Step::Done => return Ok(discovery.report()),
        };
        // An error is one of an earlier packet that somebody refused (ICMP).
        tokio::select! {
            Ok((length, from)) = first.recv_from(&mut a) => {
                discovery.handle(Instant::now(), Socket::First, from, &a[..length]);
            }
            Ok((length, from)) = second.recv_from(&mut b) => {
                discovery.handle(Instant::now(), Socket::Second, from, &b[..length]);
            }
            Ok((length, from)) = third.recv_from(&mut c) => {
                discovery.handle(Instant::now(), Socket::Third, from, &c[..length]);
            }
            () = sleep_until(due.into()) => {}
        }
    }
}
