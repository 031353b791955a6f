//! Discovery against a simulated NAT of each kind, with a server of two addresses, of one, and with none.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
};

use rtc::stun::{
    addr::MappedAddress,
    attributes::{ATTR_CHANGE_REQUEST, ATTR_OTHER_ADDRESS},
    message::{BINDING_SUCCESS, Message, Setter},
    xoraddr::XorMappedAddress,
};

use super::*;

const SERVER: &str = "192.0.2.1:3478";
const SECOND: &str = "192.0.2.2:3478";
const OUTSIDE: &str = "203.0.113.1";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn place(socket: Socket) -> SocketAddr {
    address(["10.0.0.2:5001", "10.0.0.2:5002", "10.0.0.2:5003"][socket as usize])
}

/// A NAT with its servers outside.
struct Nat {
    mapping: Mapping,
    filtering: Filtering,
    hairpin: bool,
    preserve: bool,
    /// Addresses of one server of RFC 5780, or of servers on their own.
    two_addresses: bool,
    ports: HashMap<(SocketAddr, Option<IpAddr>, Option<u16>), u16>,
    sent: HashMap<u16, BTreeSet<SocketAddr>>,
}

impl Nat {
    fn new(mapping: Mapping, filtering: Filtering) -> Self {
        let (hairpin, preserve, two_addresses) = (false, true, true);
        let (ports, sent) = (HashMap::new(), HashMap::new());
        Self { mapping, filtering, hairpin, preserve, two_addresses, ports, sent }
    }

    fn out(&mut self, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        let key = match self.mapping {
            Mapping::EndpointIndependent => (from, None, None),
            Mapping::AddressDependent => (from, Some(to.ip()), None),
            _ => (from, Some(to.ip()), Some(to.port())),
        };
        let taken = self.ports.len() as u16;
        let free = self.preserve && !self.ports.values().any(|port| *port == from.port());
        let port = *self.ports.entry(key).or_insert(if free { from.port() } else { 40_000 + taken });
        self.sent.entry(port).or_default().insert(to);
        SocketAddr::new(OUTSIDE.parse().expect("an address"), port)
    }

    /// The socket behind an external port, if it lets `from` in.
    fn inside(&self, port: u16, from: SocketAddr) -> Option<SocketAddr> {
        let sent = self.sent.get(&port)?;
        let open = match self.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => sent.iter().any(|to| to.ip() == from.ip()),
            Filtering::AddressAndPortDependent => sent.contains(&from),
        };
        self.ports.iter().find(|(_, p)| open && **p == port).map(|((inside, ..), _)| *inside)
    }

    /// What a packet leads to: where something arrives, from whom, and what.
    fn carry(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
    ) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let external = self.out(from, to);
        if to.ip().to_string() == OUTSIDE {
            let inside = self.inside(to.port(), external).filter(|_| self.hairpin)?;
            return Some((inside, external, data.to_vec()));
        }
        if ![SERVER, SECOND].map(|server| address(server).ip()).contains(&to.ip()) {
            return None;
        }
        let mut request = Message::new();
        request.unmarshal_binary(data).expect("a request");
        let flags = request.get(ATTR_CHANGE_REQUEST).map_or(0, |value| value[3]);
        let turn = |ip: IpAddr| {
            let (one, two) = (address(SERVER).ip(), address(SECOND).ip());
            if ip == one { two } else { one }
        };
        let other_port = |port: u16| if port == 3478 { 3479 } else { 3478 };
        let mut source = to;
        if self.two_addresses && flags & 4 != 0 {
            source.set_ip(turn(source.ip()));
        }
        if self.two_addresses && flags & 2 != 0 {
            source.set_port(other_port(source.port()));
        }
        let inside = self.inside(external.port(), source)?;
        let mut answer = Message::new();
        let mapped = XorMappedAddress { ip: external.ip(), port: external.port() };
        let parts: [Box<dyn Setter>; 3] =
            [Box::new(request.transaction_id), Box::new(BINDING_SUCCESS), Box::new(mapped)];
        answer.build(&parts).expect("an answer");
        if self.two_addresses {
            let other = MappedAddress { ip: turn(to.ip()), port: other_port(to.port()) };
            other.add_to_as(&mut answer, ATTR_OTHER_ADDRESS).expect("room");
            answer.write_header();
        }
        Some((inside, source, answer.raw))
    }
}

/// Runs it to the end on a clock of its own, 20 ms each way; gives the report and the time that it took.
fn run(nat: &mut Nat, servers: &[&str]) -> (Report, Duration) {
    let servers: Vec<_> = servers.iter().map(|text| address(text)).collect();
    let start = Instant::now();
    let mut counter = 0u8;
    let random = || {
        counter += 1;
        [counter; 12]
    };
    let mut discovery = Discovery::new(start, place(Socket::First), &servers, random);
    let mut now = start;
    let mut flying: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)> = VecDeque::new();
    loop {
        match discovery.poll(now) {
            Step::Send(socket, to, data) => {
                if let Some((inside, from, data)) = nat.carry(place(socket), to, &data) {
                    flying.push_back((now + Duration::from_millis(40), inside, from, data));
                }
            }
            Step::Wait(due) => {
                assert!(due > now);
                let arrival = flying.front().map(|(at, ..)| *at).filter(|at| *at <= due);
                now = arrival.unwrap_or(due);
                if arrival.is_some() {
                    let (_, inside, from, data) = flying.pop_front().expect("an arrival");
                    let sockets = [Socket::First, Socket::Second, Socket::Third];
                    let socket = sockets.into_iter().find(|socket| place(*socket) == inside);
                    discovery.handle(now, socket.expect("one of ours"), from, &data);
                }
            }
            Step::Done => return (discovery.report(), now - start),
        }
    }
}

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] =
    [Filtering::EndpointIndependent, Filtering::AddressDependent, Filtering::AddressAndPortDependent];

#[test]
fn a_server_of_two_addresses_tells_every_kind_exactly() {
    for mapping in MAPPINGS {
        for filtering in FILTERINGS {
            for preserve in [true, false] {
                let mut nat = Nat { preserve, ..Nat::new(mapping, filtering) };
                let (report, took) = run(&mut nat, &[SERVER]);
                assert_eq!((report.mapping, report.filtering), (Some(mapping), Some(filtering)), "{report}");
                assert_eq!(
                    (report.translated, report.preserves_port),
                    (Some(true), Some(preserve)),
                    "{report}"
                );
                assert!(took < Duration::from_secs(6), "{took:?}");
            }
        }
    }
}

#[test]
fn hairpinning_is_seen_where_it_can_be() {
    for filtering in FILTERINGS {
        for hairpin in [true, false] {
            let mut nat = Nat { hairpin, ..Nat::new(Mapping::EndpointIndependent, filtering) };
            assert_eq!(run(&mut nat, &[SERVER]).0.hairpins, Some(hairpin), "{filtering:?}");
        }
    }
    let mut nat = Nat::new(Mapping::AddressDependent, Filtering::EndpointIndependent);
    assert_eq!(run(&mut nat, &[SERVER]).0.hairpins, None);
}

#[test]
fn servers_on_their_own_are_compared_with_each_other() {
    for (mapping, found) in
        MAPPINGS.into_iter().zip([Mapping::EndpointIndependent, Mapping::Dependent, Mapping::Dependent])
    {
        let nat = || Nat { two_addresses: false, ..Nat::new(mapping, Filtering::EndpointIndependent) };
        let (report, _) = run(&mut nat(), &[SERVER, SECOND]);
        assert_eq!((report.mapping, report.filtering), (Some(found), None), "{report}");
        let (report, _) = run(&mut nat(), &[SERVER]);
        assert_eq!((report.mapping, report.filtering), (None, None), "one server tells nothing: {report}");
    }
}

#[test]
fn the_filter_is_asked_by_a_socket_that_never_sent_to_the_other_address() {
    let mut nat = Nat::new(Mapping::EndpointIndependent, Filtering::AddressDependent);
    run(&mut nat, &[SERVER]);
    let port = nat.ports[&(place(Socket::Second), None, None)];
    assert_eq!(nat.sent[&port], BTreeSet::from([address(SERVER)]));
}

#[test]
fn where_nobody_answers_udp_is_blocked() {
    let mut nat = Nat::new(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    let (report, took) = run(&mut nat, &["198.51.100.9:3478"]);
    assert!(report.is_blocked(), "{report}");
    assert_eq!(took, PATIENCE);
    assert_eq!((report.mapping, report.filtering, report.hairpins), (None, None, None));
    let (report, took) = run(&mut nat, &[]);
    assert!(!report.is_blocked() && took == Duration::ZERO, "nobody was asked: {report}");
}

#[test]
fn a_stranger_s_answers_are_passed_over() {
    let start = Instant::now();
    let mut discovery = Discovery::new(start, place(Socket::First), &[address(SERVER)], || [7; 12]);
    assert!(matches!(discovery.poll(start), Step::Send(..)));
    let mut answer = Message::new();
    let mapped = XorMappedAddress { ip: OUTSIDE.parse().expect("an address"), port: 1 };
    let id = rtc::stun::message::TransactionId([7; 12]);
    answer.build(&[Box::new(id), Box::new(BINDING_SUCCESS), Box::new(mapped)]).expect("an answer");
    discovery.handle(start, Socket::First, address(SECOND), &answer.raw);
    discovery.handle(start, Socket::Second, address(SERVER), &answer.raw);
    assert_eq!(discovery.report().mapped, None);
    discovery.handle(start, Socket::First, address(SERVER), &answer.raw);
    assert_eq!(discovery.report().mapped, Some(address("203.0.113.1:1")));
}
