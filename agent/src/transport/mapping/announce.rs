//! What routers tell all hosts of their link when they lost their mappings (RFC 6886 section 3.2.1, RFC 6887 section 14.1).

use std::{io, net::Ipv4Addr};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use tokio::net::UdpSocket;

use super::{nat_pmp, pcp};

/// All hosts of the link, which every interface belongs to by itself (RFC 1112 section 7.2), and the clients' port.
const GROUP: std::net::SocketAddrV4 = std::net::SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 5350);
/// Longer messages are none of these (RFC 6887 section 7); what is cut off does not matter.
const BUFFER: usize = 1100;

/// Listens for them, beside other programs of the device that do.
pub(super) struct Announcements(UdpSocket);

impl Announcements {
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &GROUP)?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    /// The router of the next one. Only a hint: anybody on the link can forge it.
    pub async fn next(&self) -> io::Result<Ipv4Addr> {
        let mut buffer = [0; BUFFER];
        loop {
            let (length, from) = self.0.recv_from(&mut buffer).await?;
            let data = &buffer[..length];
            if let std::net::SocketAddr::V4(from) = from
                && from.port() == pcp::PORT
                && (pcp::is_announcement(data) || nat_pmp::is_announcement(data))
            {
                return Ok(*from.ip());
            }
        }
    }
}
