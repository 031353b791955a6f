//! Sockets for multicast DNS: one for each link and IP version.
//!
//! They are bound to the group's address and not to any. So each gets what was sent to the group on its own link, which
//! no router passes on (RFC 6762 section 11), and no packet that is for another program on port 5353 alone, as avahi's.

use std::{
    collections::HashSet,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    task::Poll,
};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::{io::ReadBuf, net::UdpSocket};
use tracing::debug;

use super::{
    super::interfaces::{InterfaceAddress, Interfaces},
    responder::{Link, To},
};

/// The port of multicast DNS (RFC 6762 section 3), to send from too: who asks from another is not told of later changes.
const PORT: u16 = 5353;
/// The groups (RFC 6762 section 3).
const GROUP4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// RFC 6762 section 11: all packets have it, so that old receivers see that they came from the link.
const TTL: u32 = 255;
/// Links; a device has one or two interfaces.
const MAX_LINKS: usize = 16;

/// The sockets of all links.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    all: Vec<(Link, UdpSocket)>,
}

impl Sockets {
    /// Opens them on each interface that has an address of ours. What cannot be opened is left out; the error is the
    /// first reason if none can be.
    pub async fn open(interfaces: &Interfaces) -> io::Result<Self> {
        let (mut seen, mut all, mut problem) = (HashSet::new(), Vec::new(), None);
        for address in interfaces.addresses.iter().filter(|address| !address.ip.is_loopback()) {
            let link = Link { index: address.index, v6: address.ip.is_ipv6() };
            if seen.len() >= MAX_LINKS || !seen.insert(link) {
                continue;
            }
            match open(address).await {
                Ok(socket) => all.push((link, socket)),
                Err(error) => {
                    debug!("no mDNS on {} for {}: {error}", address.interface, address.ip);
                    problem.get_or_insert(error);
                }
            }
        }
        match problem {
            Some(problem) if all.is_empty() => Err(problem),
            _ => Ok(Self { all }),
        }
    }

    /// Sends to all on each link of an interface; `None`: of all interfaces.
    pub fn tell(&self, index: Option<u32>, message: &[u8]) {
        for link in
            self.all.iter().map(|(link, _)| *link).filter(|link| index.is_none_or(|i| i == link.index))
        {
            self.send(link, To::Group, message);
        }
    }

    /// Sends to whom it is for, on one link. What the kernel does not take is lost: it is asked for again.
    pub fn send(&self, link: Link, to: To, message: &[u8]) {
        for (_, socket) in self.all.iter().filter(|(l, _)| *l == link) {
            let to = match to {
                To::One(address) => address,
                To::Group => group(link),
            };
            if let Err(error) = socket.try_send_to(message, to) {
                debug!("mDNS message to {to} not sent: {error}");
            }
        }
    }

    /// The next datagram: its link, who sent it, and its length. Can be dropped at any time without loss. `turn` is where
    /// reading begins, so that a link with much to say does not silence the others.
    pub async fn receive(&self, turn: &mut usize, buffer: &mut [u8]) -> (Link, SocketAddr, usize) {
        poll_fn(|context| {
            for n in 0..self.all.len() {
                let n = (*turn + n) % self.all.len();
                let (link, socket) = &self.all[n];
                let mut buffer = ReadBuf::new(buffer);
                // An error says that some packet of before could not be delivered.
                while let Poll::Ready(result) = socket.poll_recv_from(context, &mut buffer) {
                    if let Ok(from) = result {
                        *turn = n + 1;
                        return Poll::Ready((*link, from, buffer.filled().len()));
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn group(link: Link) -> SocketAddr {
    match link.v6 {
        true => SocketAddrV6::new(GROUP6, PORT, 0, link.index).into(),
        false => (GROUP4, PORT).into(),
    }
}

async fn open(address: &InterfaceAddress) -> io::Result<UdpSocket> {
    let link = Link { index: address.index, v6: address.ip.is_ipv6() };
    let domain = if link.v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    // Both, as other stacks on the device may have set either (RFC 6762 section 15.1).
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    match address.ip {
        IpAddr::V4(ip) => {
            // Only what came in on the link that is joined below.
            socket.set_multicast_all_v4(false)?;
            socket.set_multicast_if_v4(&ip)?;
            socket.set_multicast_ttl_v4(TTL)?;
            socket.set_ttl_v4(TTL)?;
        }
        IpAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_multicast_if_v6(link.index)?;
            socket.set_multicast_hops_v6(TTL)?;
            socket.set_unicast_hops_v6(TTL)?;
        }
    }
    // With its scope, the IPv6 group's address binds to the link too.
    socket.bind(&group(link).into())?;
    match address.ip {
        IpAddr::V4(_) => {
            socket.join_multicast_v4_n(&GROUP4, &InterfaceIndexOrAddress::Index(link.index))?;
        }
        IpAddr::V6(_) => socket.join_multicast_v6(&GROUP6, link.index)?,
    }
    let socket = UdpSocket::from_std(socket.into())?;
    // Without this the first packet could find the socket "not writable" just because nobody asked yet.
    socket.writable().await?;
    Ok(socket)
}
