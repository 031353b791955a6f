//! Messages as another's encoder writes them, cut off, and of any bytes.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroI32;

use proptest::prelude::*;
use rtnetlink::{
    packet_core::{DoneMessage, ErrorMessage, NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
        link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage},
        route::{RouteAttribute, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType, RouteVia},
    },
};

use super::{
    dump::{Dump, MAX_MESSAGES, Progress},
    message::{Address, Hop, Link, Question, RTNH_F_LINKDOWN, Route, messages},
    tests::body,
    *,
};

const SEQUENCE: u32 = 7;

/// As the kernel sends it.
fn datagram(messages: impl IntoIterator<Item = NetlinkPayload<RouteNetlinkMessage>>) -> Vec<u8> {
    let mut datagram = Vec::new();
    for payload in messages {
        let mut message = NetlinkMessage::new(Default::default(), payload);
        message.header.sequence_number = SEQUENCE;
        message.finalize();
        let start = datagram.len();
        datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
        message.serialize(&mut datagram[start..]);
    }
    datagram
}

fn link(index: u32) -> NetlinkPayload<RouteNetlinkMessage> {
    let mut link = LinkMessage::default();
    (link.header.index, link.header.flags) = (index, LinkFlags::Up);
    // Its length is no multiple of four.
    link.attributes = vec![LinkAttribute::Mtu(1500), LinkAttribute::IfName(format!("eth{index}"))];
    RouteNetlinkMessage::NewLink(link).into()
}

fn done(code: i32) -> NetlinkPayload<RouteNetlinkMessage> {
    let mut done = DoneMessage::default();
    done.code = code;
    NetlinkPayload::Done(done)
}

fn refusal(errno: i32) -> NetlinkPayload<RouteNetlinkMessage> {
    let mut error = ErrorMessage::default();
    error.code = NonZeroI32::new(-errno);
    // The question comes back.
    error.header = Question::Ipv6Routes.message(SEQUENCE);
    NetlinkPayload::Error(error)
}

fn route(family: AddressFamily) -> RouteMessage {
    let mut route = RouteMessage::default();
    (route.header.address_family, route.header.table) = (family, libc::RT_TABLE_MAIN);
    route.header.kind = RouteType::Unicast;
    route
}

fn shared_route() -> RouteMessage {
    let via = RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()));
    let gateway = RouteAttribute::Gateway("192.0.2.1".parse::<IpAddr>().unwrap().into());
    let hops = [(2, RouteNextHopFlags::empty(), vec![via]), (3, RouteNextHopFlags::Linkdown, vec![gateway])];
    // And one without a router, as on a point-to-point link.
    let hops = hops.into_iter().chain([(4, RouteNextHopFlags::empty(), vec![])]);
    let hops = hops.map(|(index, flags, attributes)| {
        let mut hop = RouteNextHop::default();
        (hop.interface_index, hop.flags, hop.attributes) = (index, flags, attributes);
        hop
    });
    let mut shared = route(AddressFamily::Inet);
    shared.attributes = vec![
        RouteAttribute::Table(1000),
        RouteAttribute::MultiPath(hops.collect()),
        RouteAttribute::Priority(50),
    ];
    shared
}

#[test]
fn questions_are_such_as_another_decoder_reads() {
    for (question, family) in [
        (Question::Links, AddressFamily::Unspec),
        (Question::Addresses, AddressFamily::Unspec),
        (Question::Ipv4Routes, AddressFamily::Inet),
        (Question::Ipv6Routes, AddressFamily::Inet6),
    ] {
        let bytes = question.message(SEQUENCE);
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
        assert_eq!(message.header.length as usize, bytes.len());
        assert_eq!(message.header.flags, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16);
        assert_eq!(message.header.sequence_number, SEQUENCE);
        let NetlinkPayload::InnerMessage(message) = message.payload else { panic!("{question:?}") };
        let asked = match message {
            RouteNetlinkMessage::GetLink(link) => {
                assert_eq!(link.attributes, [LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])]);
                link.header.interface_family
            }
            RouteNetlinkMessage::GetAddress(address) => address.header.family,
            RouteNetlinkMessage::GetRoute(route) => route.header.address_family,
            other => panic!("{question:?}: {other:?}"),
        };
        assert_eq!(asked, family, "{question:?}");
    }
}

#[test]
fn all_messages_of_a_datagram_are_read() {
    let mut dump = Dump::new(Question::Links, SEQUENCE, Link::read);
    assert_eq!(dump.take(&datagram([link(1), link(20)])).unwrap(), Progress::Going);
    assert_eq!(dump.take(&datagram([link(300), done(0)])).unwrap(), Progress::Done);
    assert!(!dump.interrupted());
    let named = |index, name: &str| Link { index, flags: libc::IFF_UP as u32, name: Some(name.into()) };
    assert_eq!(dump.found(), [named(1, "eth1"), named(20, "eth20"), named(300, "eth300")]);
}

#[test]
fn a_link_without_a_name_is_one_too() {
    let nameless = Link::read(&body(&LinkMessage::default()));
    assert_eq!(nameless, Some(Link { index: 0, flags: 0, name: None }));
}

#[test]
fn the_headers_flags_of_an_address_count_where_no_others_are_told() {
    let mut old = AddressMessage::default();
    old.header.flags = AddressHeaderFlags::Tentative;
    assert_eq!(Address::read(&body(&old)).unwrap().flags, libc::IFA_F_TENTATIVE);
    old.attributes.push(AddressAttribute::Flags(rtnetlink::packet_route::address::AddressFlags::empty()));
    assert_eq!(Address::read(&body(&old)).unwrap().flags, 0);
}

#[test]
fn routers_of_a_shared_route_are_read_with_their_links_and_states() {
    let found = Route::read(&body(&shared_route())).unwrap();
    let hops = vec![
        Hop { index: 2, flags: 0, router: "fe80::1".parse().unwrap() },
        Hop { index: 3, flags: RTNH_F_LINKDOWN, router: "192.0.2.1".parse().unwrap() },
    ];
    let kind = libc::RTN_UNICAST;
    assert_eq!(found, Route { prefix: 0, table: 1000, kind, flags: 0, metric: 50, hops });
}

#[test]
fn a_router_of_another_family_is_known_by_that_and_not_by_its_length() {
    for (via, router) in [
        (RouteVia::Inet("192.0.2.1".parse().unwrap()), Some("192.0.2.1")),
        (RouteVia::Inet6("fe80::1".parse().unwrap()), Some("fe80::1")),
        (RouteVia::Packet(vec![1; 4]), None),
        (RouteVia::Packet(vec![1; 6]), None),
    ] {
        let mut route = route(AddressFamily::Inet);
        route.attributes = vec![RouteAttribute::Via(via), RouteAttribute::Oif(2)];
        let found = Route::read(&body(&route)).unwrap();
        assert_eq!(found.hops.first().map(|hop| hop.router.to_string()), router.map(Into::into));
    }
}

#[test]
fn what_the_kernel_refuses_is_an_error_with_its_number() {
    for last in [refusal(libc::EOPNOTSUPP), done(-libc::EOPNOTSUPP)] {
        let mut dump = Dump::new(Question::Ipv6Routes, SEQUENCE, Route::read);
        let error = dump.take(&datagram([last])).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}

#[test]
fn answers_to_other_questions_are_passed_over() {
    let mut dump = Dump::new(Question::Links, SEQUENCE + 1, Link::read);
    assert_eq!(dump.take(&datagram([link(1), refusal(libc::EPERM), done(0)])).unwrap(), Progress::Going);
    assert!(dump.found().is_empty());
    let mut dump = Dump::new(Question::Addresses, SEQUENCE, Address::read);
    assert_eq!(dump.take(&datagram([link(1), done(0)])).unwrap(), Progress::Done);
    assert!(dump.found().is_empty());
}

#[test]
fn a_kernel_without_ipv6_that_tells_of_ipv4_again_tells_nothing_new() {
    let [v4, v6] = [AddressFamily::Inet, AddressFamily::Inet6]
        .map(|family| NetlinkPayload::from(RouteNetlinkMessage::NewRoute(route(family))));
    let mut dump = Dump::new(Question::Ipv6Routes, SEQUENCE, Route::read);
    assert_eq!(dump.take(&datagram([v4.clone(), v4, v6, done(0)])).unwrap(), Progress::Done);
    assert_eq!(dump.found().len(), 1);
}

#[test]
fn changes_meanwhile_are_noticed() {
    let mut bytes = datagram([link(1), done(0)]);
    // The flags of the first header.
    bytes[6] |= libc::NLM_F_DUMP_INTR as u8;
    if cfg!(target_endian = "big") {
        bytes.swap(6, 7);
    }
    let mut dump = Dump::new(Question::Links, SEQUENCE, Link::read);
    assert_eq!(dump.take(&bytes).unwrap(), Progress::Done);
    assert!(dump.interrupted());
}

#[test]
fn no_more_than_a_bound_is_kept() {
    let mut dump = Dump::new(Question::Links, SEQUENCE, Link::read);
    assert_eq!(dump.take(&datagram((1..MAX_MESSAGES as u32).map(link))).unwrap(), Progress::Going);
    assert_eq!(dump.take(&datagram([link(1), link(2)])).unwrap(), Progress::Full);
    assert_eq!(dump.found().len(), MAX_MESSAGES);
}

/// One of each kind.
fn samples() -> Vec<u8> {
    let mut address = AddressMessage::default();
    address.attributes.push(AddressAttribute::Local("192.0.2.1".parse().unwrap()));
    address.attributes.push(AddressAttribute::Address("2001:db8::1".parse().unwrap()));
    let (address, route) =
        (RouteNetlinkMessage::NewAddress(address), RouteNetlinkMessage::NewRoute(shared_route()));
    datagram([link(1), address.into(), route.into(), refusal(libc::EPERM), done(0)])
}

/// Reads all there is in every way.
fn read_all(bytes: &[u8]) {
    for message in messages(bytes) {
        let _ = (Link::read(message.body), Address::read(message.body), Route::read(message.body));
        let _ = message.failure();
    }
    let _ = (Link::read(bytes), Address::read(bytes), Route::read(bytes));
    let _ = Dump::new(Question::Links, SEQUENCE, Link::read).take(bytes);
}

#[test]
fn what_is_cut_off_anywhere_is_read_as_far_as_it_goes() {
    let samples = samples();
    assert_eq!(messages(&samples).count(), 5);
    for length in 0..=samples.len() {
        read_all(&samples[..length]);
    }
    assert_eq!(messages(&samples[..samples.len() - 1]).count(), 4);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        read_all(&bytes);
    }

    #[test]
    fn changed_bytes_are_read_without_a_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = samples();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(&bytes);
    }
}
