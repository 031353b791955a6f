//! One look at links, addresses and routes, and what of it matters.

use std::{collections::HashMap, io, time::Duration};

use tokio::time::timeout;

use super::{
    Gateway, InterfaceAddress, Interfaces,
    dump::{Dump, Progress},
    message::{Address, Link, Question, RTNH_F_DEAD, RTNH_F_LINKDOWN, Route},
    socket::Socket,
};

/// A look is done within milliseconds. Without an end, one answer that never comes would be the last look.
const DEADLINE: Duration = Duration::from_secs(5);
/// The kernel's datagrams are no longer for a reader with so much room (netlink(7)).
const DATAGRAM: usize = 32 * 1024;
/// Answers during which something changed are asked for again; where changes never end, the last has to do.
const ATTEMPTS: u32 = 3;

/// Asks the kernel once. The socket lives no longer than the questions.
pub(super) async fn read() -> io::Result<Interfaces> {
    timeout(DEADLINE, look()).await?
}

async fn look() -> io::Result<Interfaces> {
    let mut reader = Reader::open()?;
    let links = reader.all(Question::Links, Link::read).await?;
    let addresses = reader.all(Question::Addresses, Address::read).await?;
    let mut routes = reader.all(Question::Ipv4Routes, Route::read).await?;
    // A kernel without IPv6 may refuse this one; it has no such routers.
    routes.extend(reader.all(Question::Ipv6Routes, Route::read).await.unwrap_or_default());
    Ok(digest(&links, &addresses, &routes))
}

/// Asks one question after the other.
pub(super) struct Reader {
    socket: Socket,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Reader {
    /// Opens the socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(0)?, sequence: 0, datagram: vec![0; DATAGRAM] })
    }

    /// All that there is of a kind, up to [`super::dump::MAX_MESSAGES`].
    pub async fn all<T>(&mut self, question: Question, read: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
        let mut answer = self.ask(question, read).await?;
        for _ in 1..ATTEMPTS {
            if !answer.interrupted() {
                break;
            }
            answer = self.ask(question, read).await?;
        }
        Ok(answer.found())
    }

    async fn ask<T>(&mut self, question: Question, read: fn(&[u8]) -> Option<T>) -> io::Result<Dump<T>> {
        self.sequence += 1;
        self.socket.send(&question.message(self.sequence))?;
        let mut answer = Dump::new(question, self.sequence, read);
        loop {
            let length = self.socket.receive(&mut self.datagram).await?;
            let datagram = self.datagram.get(..length).ok_or_else(|| {
                io::Error::other(format!(
                    "netlink: a datagram of {length} bytes, and there is room for {DATAGRAM}"
                ))
            })?;
            match answer.take(datagram)? {
                Progress::Going => {}
                Progress::Done => return Ok(answer),
                Progress::Full => {
                    // The old one refuses questions (EBUSY) until all is read.
                    self.socket = Socket::open(0)?;
                    return Ok(answer);
                }
            }
        }
    }
}

/// What matters to sessions in the kernel's answers.
pub(super) fn digest(links: &[Link], addresses: &[Address], routes: &[Route]) -> Interfaces {
    let links: HashMap<u32, &Link> = links.iter().map(|link| (link.index, link)).collect();
    // A link that could not be read, as one of a newer kernel, counts as usable: its address will show.
    let usable = |index: u32| links.get(&index).is_none_or(|link| is_usable(link.flags));
    let name = |index: u32| links.get(&index).and_then(|link| link.name.clone());
    let addresses = addresses.iter().filter(|a| usable(a.index)).filter_map(|a| {
        let name = name(a.index).unwrap_or_else(|| a.index.to_string());
        address(a, name)
    });
    let mut gateways: Vec<_> = routes.iter().flat_map(gateways).filter(|g| usable(g.index)).collect();
    gateways.sort_by_key(|gateway| gateway.metric);
    Interfaces { addresses: addresses.collect(), gateways }
}

/// Up, with a carrier, and not waiting for a key (802.1X, WPA; RFC 2863 `dormant`).
fn is_usable(flags: u32) -> bool {
    let needed = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
    flags & (needed | libc::IFF_DORMANT as u32) == needed
}

/// `None`: not one that can be used now.
fn address(found: &Address, interface: String) -> Option<InterfaceAddress> {
    // On a point-to-point link IFA_ADDRESS is the other end.
    let ip = found.local.or(found.address)?;
    let ready = found.flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) == 0;
    ready.then(|| InterfaceAddress {
        ip,
        interface,
        index: found.index,
        // The bit has another name where IPv4 uses it (IFA_F_SECONDARY).
        temporary: ip.is_ipv6() && found.flags & libc::IFA_F_TEMPORARY != 0,
        deprecated: found.flags & libc::IFA_F_DEPRECATED != 0,
    })
}

/// The routers of a default route of the main table; several if it shares the load.
fn gateways(route: &Route) -> impl Iterator<Item = Gateway> {
    let dead = RTNH_F_DEAD | RTNH_F_LINKDOWN;
    let wanted = route.prefix == 0
        && route.table == u32::from(libc::RT_TABLE_MAIN)
        && route.kind == libc::RTN_UNICAST
        && route.flags & (u32::from(dead) | libc::RTM_F_CLONED) == 0;
    let hops = if wanted { route.hops.as_slice() } else { &[] };
    let live = hops.iter().filter(move |hop| hop.flags & dead == 0);
    live.map(|hop| Gateway { address: hop.router, index: hop.index, metric: route.metric })
}
