//! Messages of rtnetlink(7), as far as addresses and default routers go. Pure; fuzzed as `netlink`.
//!
//! Forms and numbers are those of netlink(7), rtnetlink(7) and the kernel's headers linux/netlink.h,
//! linux/rtnetlink.h, linux/if_link.h and linux/if_addr.h, in the machine's own byte order. Kinds and attributes that are
//! not needed are passed over, and what is cut off or says an impossible length ends where it does. Own code: a library
//! that knows every message of netlink makes the program longer by all of them.

use std::{io, iter::from_fn, net::IpAddr};

/// Every entry begins at a multiple of it (NLMSG_ALIGNTO, RTA_ALIGNTO, RTNH_ALIGNTO).
const ALIGN: usize = 4;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct rtattr`.
const ATTRIBUTE: usize = 4;
/// `struct rtnexthop`.
const HOP: usize = 8;
/// `struct ifinfomsg`.
const LINK: usize = 16;
/// `struct ifaddrmsg`.
const ADDRESS: usize = 8;
/// `struct rtmsg`.
const ROUTE: usize = 12;

/// The router's address with a family of its own, for IPv4 by way of IPv6 (`enum rtattr_type_t`; not in libc for musl).
const RTA_VIA: u16 = 18;
/// Of `rtm_flags` and `rtnh_flags`: the link is down (linux/rtnetlink.h; not in libc).
pub(super) const RTNH_F_DEAD: u8 = 1;
/// The same: the link has no carrier.
pub(super) const RTNH_F_LINKDOWN: u8 = 16;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLM_F_DUMP_INTR: u16 = libc::NLM_F_DUMP_INTR as u16;
const NLA_TYPE_MASK: u16 = libc::NLA_TYPE_MASK as u16;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is: `RTM_NEWLINK`, `NLMSG_DONE`.
    pub kind: u16,
    /// `NLM_F_...`.
    pub flags: u16,
    /// That of the question.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// The messages of a datagram.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    from_fn(move || {
        let length = usize::try_from(word(datagram, 0)?).ok()?;
        let message = entry(&mut datagram, length, HEADER)?;
        Some(Message {
            kind: half(message, 4)?,
            flags: half(message, 6)?,
            sequence: word(message, 8)?,
            body: message.get(HEADER..)?,
        })
    })
}

impl Message<'_> {
    /// Nothing follows it.
    pub(super) fn is_last(&self) -> bool {
        matches!(self.kind, NLMSG_ERROR | NLMSG_DONE)
    }

    /// What was told before it may have changed meanwhile.
    pub(super) fn is_interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }

    /// What the kernel refuses or could not go on with: both last messages begin with a number that is negative then
    /// (`struct nlmsgerr`).
    pub fn failure(&self) -> Option<io::Error> {
        if !self.is_last() {
            return None;
        }
        let code = word(self.body, 0).map_or(0, u32::cast_signed);
        (code < 0).then(|| io::Error::from_raw_os_error(code.saturating_neg()))
    }
}

/// A network interface (`RTM_NEWLINK`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// `IFF_...` (netdevice(7)).
    pub flags: u32,
    /// `eth0`.
    pub name: Option<String>,
}

impl Link {
    /// Reads a message's body; None if it is too short.
    pub fn read(body: &[u8]) -> Option<Self> {
        let (index, flags) = (word(body, 4)?, word(body, 8)?);
        let name = attributes(body.get(LINK..)?).find(|(kind, _)| *kind == libc::IFLA_IFNAME);
        let name = name.map(|(_, name)| {
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
            String::from_utf8_lossy(&name[..end]).into_owned()
        });
        Some(Self { index, flags, name })
    }
}

/// An address of an interface (`RTM_NEWADDR`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub index: u32,
    /// `IFA_F_...`, all 32 bits; the header has room for eight.
    pub flags: u32,
    /// The own one, where the other is told too.
    pub local: Option<IpAddr>,
    /// The own one; on a point-to-point link that of the other end.
    pub address: Option<IpAddr>,
}

impl Address {
    /// Reads a message's body; None if it is too short.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut found =
            Self { index: word(body, 4)?, flags: (*body.get(2)?).into(), local: None, address: None };
        for (kind, value) in attributes(body.get(ADDRESS..)?) {
            match kind {
                libc::IFA_LOCAL => found.local = ip(value),
                libc::IFA_ADDRESS => found.address = ip(value),
                libc::IFA_FLAGS => found.flags = word(value, 0).unwrap_or(found.flags),
                _ => {}
            }
        }
        Some(found)
    }
}

/// A route (`RTM_NEWROUTE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Bits of the destination's prefix; none in a default route.
    pub prefix: u8,
    /// The number of its table.
    pub table: u32,
    /// What is done: `RTN_UNICAST`.
    pub kind: u8,
    /// `RTM_F_...`, and `RTNH_F_...` of its only hop.
    pub flags: u32,
    /// The kernel's preference: less is better.
    pub metric: u32,
    /// Where it leads, as far as routers go.
    pub hops: Vec<Hop>,
}

/// One router of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The number of the interface that leads to it.
    pub index: u32,
    /// `RTNH_F_...`.
    pub flags: u8,
    /// Its address.
    pub router: IpAddr,
}

impl Route {
    /// Reads a message's body; None if it is too short.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut found = Self {
            prefix: *body.get(1)?,
            table: (*body.get(4)?).into(),
            kind: *body.get(7)?,
            flags: word(body, 8)?,
            metric: 0,
            hops: Vec::new(),
        };
        let (mut index, mut shared) = (None, None);
        let all = body.get(ROUTE..)?;
        for (kind, value) in attributes(all) {
            match kind {
                libc::RTA_TABLE => found.table = word(value, 0).unwrap_or(found.table),
                libc::RTA_PRIORITY => found.metric = word(value, 0).unwrap_or(0),
                libc::RTA_OIF => index = word(value, 0),
                libc::RTA_MULTIPATH => shared = Some(value),
                _ => {}
            }
        }
        if let (Some(index), Some(router)) = (index, router(all)) {
            found.hops.push(Hop { index, flags: found.flags as u8, router });
        }
        found.hops.extend(hops(shared.unwrap_or_default()));
        Some(found)
    }
}

/// Those of RTA_MULTIPATH: each a `struct rtnexthop` with attributes.
fn hops(mut row: &[u8]) -> impl Iterator<Item = Hop> {
    let all = from_fn(move || {
        let length = half(row, 0)?;
        entry(&mut row, length.into(), HOP)
    });
    all.filter_map(|hop| {
        Some(Hop { index: word(hop, 4)?, flags: *hop.get(2)?, router: router(hop.get(HOP..)?)? })
    })
}

fn router(all: &[u8]) -> Option<IpAddr> {
    attributes(all).find_map(|(kind, value)| match kind {
        libc::RTA_GATEWAY => ip(value),
        RTA_VIA => via(value),
        _ => None,
    })
}

/// `struct rtvia`: family, address.
fn via(value: &[u8]) -> Option<IpAddr> {
    let address = ip(value.get(2..)?)?;
    // The address of a link can be as long.
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    (i32::from(half(value, 0)?) == family).then_some(address)
}

/// IPv4 and IPv6 are told apart by their length; other families are no matter here.
fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

/// Kind and value of each (`struct rtattr`).
fn attributes(mut row: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    from_fn(move || {
        let length = half(row, 0)?;
        let attribute = entry(&mut row, length.into(), ATTRIBUTE)?;
        // The two highest bits say how the value is written (linux/netlink.h).
        Some((half(attribute, 2)? & NLA_TYPE_MASK, attribute.get(ATTRIBUTE..)?))
    })
}

/// Takes the first entry of a row, of a length that counts its header in; None at the end, and for a length that cannot
/// be.
fn entry<'a>(row: &mut &'a [u8], length: usize, header: usize) -> Option<&'a [u8]> {
    let first = row.get(..length).filter(|first| first.len() >= header)?;
    *row = row.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
    Some(first)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What the kernel is asked for all of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Links,
    Addresses,
    Ipv4Routes,
    Ipv6Routes,
}

impl Question {
    /// The kind of its answers.
    pub fn answer(self) -> u16 {
        match self {
            Self::Links => libc::RTM_NEWLINK,
            Self::Addresses => libc::RTM_NEWADDR,
            Self::Ipv4Routes | Self::Ipv6Routes => libc::RTM_NEWROUTE,
        }
    }

    /// The family that alone is asked for.
    pub fn family(self) -> Option<u8> {
        match self {
            Self::Links | Self::Addresses => None,
            Self::Ipv4Routes => Some(libc::AF_INET as u8),
            Self::Ipv6Routes => Some(libc::AF_INET6 as u8),
        }
    }

    /// The message that asks it.
    pub fn message(self, sequence: u32) -> Vec<u8> {
        let (kind, header) = match self {
            Self::Links => (libc::RTM_GETLINK, LINK),
            Self::Addresses => (libc::RTM_GETADDR, ADDRESS),
            Self::Ipv4Routes | Self::Ipv6Routes => (libc::RTM_GETROUTE, ROUTE),
        };
        let mut body = vec![0; header];
        // Each of these headers begins with it (`struct rtgenmsg`).
        body[0] = self.family().unwrap_or(libc::AF_UNSPEC as u8);
        if matches!(self, Self::Links) {
            // Counters would be most of the answer.
            let value = (libc::RTEXT_FILTER_SKIP_STATS as u32).to_ne_bytes();
            body.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
            body.extend(libc::IFLA_EXT_MASK.to_ne_bytes());
            body.extend(value);
        }
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        // The sender: the kernel knows it.
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        message
    }
}
