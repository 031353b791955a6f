//! What a real kernel answers, read by us and by a library that knows all of rtnetlink.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::{TryStream, TryStreamExt as _};
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressMessage},
        link::{LinkAttribute, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
    },
};
use tokio::time::sleep;

use super::{
    dump::{Dump, MAX_MESSAGES},
    message::{Address, Hop, Link, Question, Route},
    read::Reader,
    socket::Socket,
    *,
};
use crate::transport::own_network::{entered, ip};

type Seen = (Vec<Link>, Vec<Address>, Vec<Route>);

async fn by_us() -> Seen {
    let mut reader = Reader::open().unwrap();
    let links = reader.all(Question::Links, Link::read).await.unwrap();
    let addresses = reader.all(Question::Addresses, Address::read).await.unwrap();
    let mut routes = reader.all(Question::Ipv4Routes, Route::read).await.unwrap();
    routes.extend(reader.all(Question::Ipv6Routes, Route::read).await.unwrap());
    (links, addresses, routes)
}

async fn by_the_library() -> Seen {
    async fn all<T, U>(
        answers: impl TryStream<Ok = T, Error = rtnetlink::Error>,
        same: fn(T) -> U,
    ) -> Vec<U> {
        answers.map_ok(same).try_collect().await.unwrap()
    }
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
    let links = all(handle.link().get().execute(), link).await;
    let addresses = all(handle.address().get().execute(), address).await;
    let mut routes = all(handle.route().get(v4).execute(), route).await;
    routes.extend(all(handle.route().get(v6).execute(), route).await);
    (links, addresses, routes)
}

fn link(link: LinkMessage) -> Link {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    Link { index: link.header.index, flags: link.header.flags.bits(), name }
}

fn address(message: AddressMessage) -> Address {
    let mut same = Address { index: message.header.index, flags: 0, local: None, address: None };
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => same.local = Some(ip),
            AddressAttribute::Address(ip) => same.address = Some(ip),
            AddressAttribute::Flags(flags) => same.flags = flags.bits(),
            _ => {}
        }
    }
    same
}

fn route(route: RouteMessage) -> Route {
    let mut same = Route {
        prefix: route.header.destination_prefix_length,
        table: route.header.table.into(),
        kind: route.header.kind.into(),
        flags: route.header.flags.bits(),
        metric: 0,
        hops: Vec::new(),
    };
    let (mut index, mut shared) = (None, Vec::new());
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Table(table) => same.table = *table,
            RouteAttribute::Priority(metric) => same.metric = *metric,
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::MultiPath(hops) => shared.clone_from(hops),
            _ => {}
        }
    }
    if let (Some(index), Some(router)) = (index, router(&route.attributes)) {
        same.hops.push(Hop { index, flags: same.flags as u8, router });
    }
    same.hops.extend(shared.iter().filter_map(|hop| {
        let router = router(&hop.attributes)?;
        Some(Hop { index: hop.interface_index, flags: hop.flags.bits(), router })
    }));
    same
}

fn router(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => {
            Some((*ip).into())
        }
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
            Some((*ip).into())
        }
        _ => None,
    })
}

#[tokio::test]
async fn we_see_what_a_library_sees() {
    if !entered("transport::interfaces::kernel_tests::we_see_what_a_library_sees") {
        return;
    }
    ip("link add cam0 type veth peer name far0");
    ip("link add bridge0 type bridge");
    ip("tuntap add tun0 mode tun");
    // The kernel makes a temporary address beside one that says so (RFC 8981).
    std::fs::write("/proc/sys/net/ipv6/conf/cam0/use_tempaddr", "2").unwrap();
    for name in ["cam0", "far0", "bridge0"] {
        ip(&format!("link set {name} up"));
    }
    ip("address add 192.0.2.2/24 dev cam0");
    ip("address add 192.0.2.3/24 dev cam0");
    ip("address add 198.51.100.1 peer 198.51.100.2 dev far0");
    ip("address add 2001:db8::2/64 dev cam0 mngtmpaddr nodad");
    ip("address add 2001:db8::3/64 dev cam0 nodad preferred_lft 0 valid_lft 600");
    ip("route add default metric 7 nexthop via 192.0.2.1 dev cam0 nexthop via 198.51.100.2 dev far0");
    ip("route add default metric 8 via inet6 fe80::1 dev cam0");
    ip("route add default table 1000 via 192.0.2.1");
    ip("route add blackhole 203.0.113.0/24");
    ip("-6 route add default metric 9 nexthop via fe80::1 dev cam0 nexthop via fe80::2 dev far0");
    // Duplicate detection changes flags for some seconds.
    let mut seen = (by_us().await, by_the_library().await);
    for _ in 0..100 {
        let settled = !seen.0.1.iter().any(|a| a.flags & libc::IFA_F_TENTATIVE != 0);
        if settled && seen.0 == seen.1 {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        seen = (by_us().await, by_the_library().await);
    }
    assert_eq!(seen.0, seen.1);

    let (links, addresses, routes) = seen.0;
    let names: Vec<_> = links.iter().filter_map(|link| link.name.as_deref()).collect();
    assert!(["lo", "cam0", "far0", "bridge0", "tun0"].iter().all(|name| names.contains(name)), "{names:?}");
    for flag in [libc::IFA_F_TEMPORARY, libc::IFA_F_DEPRECATED] {
        let found = |a: &&Address| a.flags & flag != 0 && a.address.is_some_and(|ip| ip.is_ipv6());
        assert_eq!(addresses.iter().filter(found).count(), 1, "{addresses:?}");
    }
    let defaults = routes.iter().filter(|r| r.prefix == 0 && r.table == u32::from(libc::RT_TABLE_MAIN));
    let mut hops: Vec<_> = defaults.map(|r| (r.metric, r.hops.len())).filter(|(_, hops)| *hops > 0).collect();
    hops.sort_unstable();
    assert_eq!(hops, [(7, 2), (8, 1), (9, 2)]);
}

#[tokio::test]
async fn after_more_than_is_looked_at_the_next_question_is_answered() {
    const TEST: &str = "after_more_than_is_looked_at_the_next_question_is_answered";
    if !entered(&format!("transport::interfaces::kernel_tests::{TEST}")) {
        return;
    }
    let addresses =
        (0..2 * MAX_MESSAGES).map(|n| format!("address add 127.1.{}.{}/32 dev lo\n", n / 250, n % 250));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), addresses.collect::<String>()).unwrap();
    ip(&format!("-batch {}", file.path().display()));
    let mut reader = Reader::open().unwrap();
    assert_eq!(reader.all(Question::Addresses, Address::read).await.unwrap().len(), MAX_MESSAGES);
    assert_eq!(reader.all(Question::Links, Link::read).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_kernels_refusal_is_an_error_with_its_number() {
    let mut question = Question::Links.message(1);
    // A kind that no kernel knows.
    question[4..6].copy_from_slice(&4094u16.to_ne_bytes());
    let socket = Socket::open(0).unwrap();
    socket.send(&question).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.receive(&mut buffer).await.unwrap();
    let error = Dump::new(Question::Links, 1, Link::read).take(&buffer[..length]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
}
