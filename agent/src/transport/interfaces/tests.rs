//! What is made of the kernel's answers, and what the kernel really answers.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use rtnetlink::{
    packet_core::Emitable,
    packet_route::{
        address::{AddressAttribute, AddressFlags, AddressMessage},
        link::{LinkAttribute, LinkFlags, LinkMessage},
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteType},
    },
};
use tokio::time::timeout;

use super::{
    message::{Address, Link, Route},
    *,
};
use crate::transport::own_network::{entered, ip};

/// No step takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn link(index: u32, name: &str, flags: LinkFlags) -> LinkMessage {
    let mut link = LinkMessage::default();
    (link.header.index, link.header.flags) = (index, flags);
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link
}

fn address(index: u32, ip: &str, flags: AddressFlags) -> AddressMessage {
    let mut address = AddressMessage::default();
    address.header.index = index;
    address.attributes = vec![AddressAttribute::Address(ip.parse().unwrap()), AddressAttribute::Flags(flags)];
    address
}

fn default_route(gateway: &str, index: u32, metric: u32) -> RouteMessage {
    let mut route = RouteMessage::default();
    (route.header.table, route.header.kind) = (RouteHeader::RT_TABLE_MAIN, RouteType::Unicast);
    let gateway = gateway.parse::<IpAddr>().unwrap().into();
    route.attributes =
        vec![RouteAttribute::Gateway(gateway), RouteAttribute::Oif(index), RouteAttribute::Priority(metric)];
    route
}

/// The same as the kernel would tell it.
pub(super) fn body(message: &impl Emitable) -> Vec<u8> {
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    body
}

/// What is made of such answers.
fn digest(links: &[LinkMessage], addresses: &[AddressMessage], routes: &[RouteMessage]) -> Interfaces {
    let links: Vec<_> = links.iter().map(|link| Link::read(&body(link)).unwrap()).collect();
    let addresses: Vec<_> = addresses.iter().map(|a| Address::read(&body(a)).unwrap()).collect();
    let routes: Vec<_> = routes.iter().map(|route| Route::read(&body(route)).unwrap()).collect();
    read::digest(&links, &addresses, &routes)
}

const UP: LinkFlags = LinkFlags::Up.union(LinkFlags::LowerUp);

#[test]
fn addresses_count_while_their_link_is_up_with_a_carrier_and_no_key_is_missing() {
    let links = [
        link(1, "eth0", UP),
        link(2, "eth1", LinkFlags::Up),
        link(3, "wlan0", UP | LinkFlags::Dormant),
        link(4, "eth2", LinkFlags::LowerUp),
    ];
    let addresses: Vec<_> =
        (1..=5).map(|n| address(n, &format!("192.0.2.{n}"), AddressFlags::Permanent)).collect();
    let found = digest(&links, &addresses, &[]);
    let found: Vec<_> = found.addresses.iter().map(|a| (a.ip.to_string(), a.interface.as_str())).collect();
    // 5 is of a link that could not be read.
    assert_eq!(found, [("192.0.2.1".into(), "eth0"), ("192.0.2.5".into(), "5")]);
}

#[test]
fn ipv6_addresses_count_after_duplicate_detection_with_what_is_special_of_them() {
    let links = [link(1, "eth0", UP)];
    let addresses = [
        address(1, "2001:db8::1", AddressFlags::Tentative),
        address(1, "2001:db8::2", AddressFlags::Dadfailed),
        address(1, "2001:db8::3", AddressFlags::Permanent),
        // IFA_F_TEMPORARY is 1, as IPv4's IFA_F_SECONDARY.
        address(1, "2001:db8::4", AddressFlags::Secondary),
        address(1, "2001:db8::5", AddressFlags::Secondary | AddressFlags::Deprecated),
        address(1, "192.0.2.1", AddressFlags::Secondary),
    ];
    let found = digest(&links, &addresses, &[]);
    let found: Vec<_> =
        found.addresses.iter().map(|a| (a.ip.to_string(), a.temporary, a.deprecated)).collect();
    let expected = [
        ("2001:db8::3", false, false),
        ("2001:db8::4", true, false),
        ("2001:db8::5", true, true),
        ("192.0.2.1", false, false),
    ];
    assert_eq!(found, expected.map(|(ip, t, d)| (ip.to_owned(), t, d)));
}

#[test]
fn on_a_point_to_point_link_the_own_end_counts() {
    let mut tunnel = address(1, "198.51.100.1", AddressFlags::Permanent);
    tunnel.attributes.push(AddressAttribute::Local("192.0.2.1".parse().unwrap()));
    let found = digest(&[link(1, "ppp0", UP)], &[tunnel], &[]);
    assert_eq!(found.addresses[0].ip.to_string(), "192.0.2.1");
}

#[test]
fn routers_are_those_of_live_default_routes_of_the_main_table_best_first() {
    let links = [link(1, "eth0", UP), link(2, "wlan0", UP), link(3, "eth1", LinkFlags::Up)];
    let mut narrow = default_route("192.0.2.9", 1, 0);
    narrow.header.destination_prefix_length = 8;
    let mut other_table = default_route("192.0.2.8", 1, 0);
    other_table.attributes.push(RouteAttribute::Table(1000));
    let mut refusing = default_route("192.0.2.7", 1, 0);
    refusing.header.kind = RouteType::Unreachable;
    let mut shared = default_route("192.0.2.3", 1, 50);
    let mut hop = RouteNextHop::default();
    hop.interface_index = 2;
    hop.attributes = vec![RouteAttribute::Gateway("192.0.2.4".parse::<IpAddr>().unwrap().into())];
    shared.attributes.push(RouteAttribute::MultiPath(vec![hop]));
    let routes = [
        default_route("fe80::1", 2, 1024),
        default_route("192.0.2.1", 1, 100),
        default_route("192.0.2.2", 3, 10),
        narrow,
        other_table,
        refusing,
        shared,
    ];
    let found = digest(&links, &[], &routes);
    let found: Vec<_> = found.gateways.iter().map(|g| (g.address.to_string(), g.index, g.metric)).collect();
    let expected = [("192.0.2.3", 1, 50), ("192.0.2.4", 2, 50), ("192.0.2.1", 1, 100), ("fe80::1", 2, 1024)];
    assert_eq!(found, expected.map(|(ip, index, metric)| (ip.to_owned(), index, metric)));
}

#[tokio::test]
async fn this_machines_loopback_is_listed() {
    let now = Interfaces::now().await.unwrap();
    let lo = now.addresses.iter().find(|a| a.ip.to_string() == "127.0.0.1").unwrap();
    assert_eq!((lo.interface.as_str(), lo.temporary, lo.deprecated), ("lo", false, false));
}

/// Waits until the state is as wanted.
async fn until(
    changes: &mut InterfaceChanges,
    what: &str,
    wanted: impl Fn(&Interfaces) -> bool,
) -> Arc<Interfaces> {
    let reached = timeout(DEADLINE, changes.wait_for(|now| wanted(now))).await;
    reached.unwrap_or_else(|_| panic!("waited in vain: {what}")).unwrap().clone()
}

fn has(now: &Interfaces, address: &str) -> bool {
    now.addresses.iter().any(|a| a.ip.to_string() == address)
}

#[tokio::test]
async fn the_kernel_tells_of_every_change() {
    if !entered("transport::interfaces::tests::the_kernel_tells_of_every_change") {
        return;
    }
    let (mut changes, follower) = follow().await;
    assert!(follower.is_some());
    ip("link add cam0 type veth peer name far0");
    ip("address add 192.0.2.2/24 dev cam0");
    ip("link set far0 up");
    ip("link set cam0 up");
    until(&mut changes, "an address comes", |now| has(now, "192.0.2.2")).await;

    ip("address add 2001:db8::2/64 dev cam0");
    until(&mut changes, "duplicate detection is done", |now| has(now, "2001:db8::2")).await;
    ip("address change 2001:db8::2/64 dev cam0 preferred_lft 0 valid_lft 600");
    let deprecated = |now: &Interfaces| now.addresses.iter().any(|a| a.ip.is_ipv6() && a.deprecated);
    until(&mut changes, "it is deprecated", deprecated).await;

    ip("route add default via 192.0.2.1 dev cam0 metric 7");
    let now = until(&mut changes, "a router comes", |now| !now.gateways.is_empty()).await;
    let index = now.addresses.iter().find(|a| a.interface == "cam0").unwrap().index;
    let router = Gateway { address: "192.0.2.1".parse().unwrap(), index, metric: 7 };
    assert_eq!(now.gateways, [router]);
    assert_eq!(Interfaces::by_routes().addresses[0].ip.to_string(), "192.0.2.2");

    ip("link set far0 down");
    let now = until(&mut changes, "without carrier the address is gone", |now| !has(now, "192.0.2.2")).await;
    assert_eq!(now.gateways, []);
    ip("link set far0 up");
    until(&mut changes, "it is back", |now| has(now, "192.0.2.2") && !now.gateways.is_empty()).await;
    ip("link delete cam0");
    until(&mut changes, "only loopback is left", |now| now.addresses.iter().all(|a| a.ip.is_loopback()))
        .await;
}

#[tokio::test]
async fn a_burst_that_overruns_the_socket_leaves_the_right_state() {
    if !entered("transport::interfaces::tests::a_burst_that_overruns_the_socket_leaves_the_right_state") {
        return;
    }
    let (mut changes, _follower) = follow().await;
    let mut batch = String::from("link set lo up\n");
    for n in 0..4000 {
        batch += &format!("address add 127.1.{}.{}/32 dev lo\n", n / 250, n % 250);
        batch += &format!("address del 127.1.{}.{}/32 dev lo\n", n / 250, n % 250);
    }
    batch += "address add 127.2.0.1/32 dev lo\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    // Blocks the only thread, so that nobody reads from the socket meanwhile.
    ip(&format!("-batch {}", file.path().display()));
    until(&mut changes, "the last address is seen", |now| has(now, "127.2.0.1")).await;
    let now = Interfaces::now().await.unwrap();
    assert_eq!(now.addresses.len(), changes.borrow().addresses.len());
}
