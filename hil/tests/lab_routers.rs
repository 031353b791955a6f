//! The lab's routers for real: IPv6 through a firewall, a NAT64, a Linux router. Takes root; without it, says so and
//! runs nothing.
#![allow(clippy::expect_used)]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use ipnet::{IpNet, Ipv4Net};
use p2pcam_hil::lab::{
    driver::{Device, Port, Running},
    fabric::{Direction, EndpointId, Fabric, Policy, RouterId, SegmentId},
    link::{self, Attachment, attach, set_addresses},
    linux_router::{Forward, LinuxRouter, LinuxRouterError, Settings, Translation},
    namespace::{Namespace, NamespaceError},
    nat::{Behaviour, Filtering, Kind, Mapping, Protocol},
    nat64::{Nat64, embed},
    probe::{Places, probe},
    wire::Faults,
};

const PUBLIC: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const PUBLIC6: &str = "2001:db8::1";
const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const DEVICE6: &str = "2001:db8:1::2";
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SPARE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const PATIENCE: Duration = Duration::from_secs(5);

/// The internet, a device, and nothing between them yet.
struct Lab {
    fabric: Fabric,
    ports: Vec<Port>,
    outside: SegmentId,
    inside: SegmentId,
    server: EndpointId,
    internet: Namespace,
    device: Namespace,
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn host(address: impl Into<IpAddr>) -> IpNet {
    IpNet::from(address.into())
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().expect("an address with a prefix")).collect()
}

impl Lab {
    /// `None`, and a word, where namespaces cannot be made.
    fn build(name: &str, device_addresses: &[&str]) -> Option<Self> {
        let internet = match Namespace::create(&format!("fabric-{name}-net")) {
            Err(NamespaceError::NotRoot) => {
                println!("not run: namespaces take root");
                return None;
            }
            made => made.expect("a namespace"),
        };
        let device = Namespace::create(&format!("fabric-{name}-dev")).expect("a namespace");
        let mut fabric = Fabric::default();
        let (outside, inside) = (fabric.segment(), fabric.segment());
        let mut ports = Vec::new();
        let mut plug = |namespace, segment, addresses: Vec<IpNet>| {
            let tun = attach(namespace, &Attachment::new(addresses.clone())).expect("a TUN device");
            let endpoint = fabric.endpoint(segment, addresses.iter().map(|net| host(net.addr())).collect());
            ports.push(Port { endpoint, device: Device(tun) });
            endpoint
        };
        let server = plug(&internet, outside, nets(&["192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"]));
        plug(&device, inside, nets(device_addresses));
        Some(Self { fabric, ports, outside, inside, server, internet, device })
    }

    fn run(self) -> (Running, Namespace, Namespace) {
        (Running::start(self.fabric, self.ports).expect("a thread"), self.internet, self.device)
    }
}

fn socket(namespace: &Namespace, address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let address = SocketAddr::new(address.into(), port);
    let socket = namespace.run(|| UdpSocket::bind(address)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    socket
}

/// What arrives, and where it seems to come from.
fn get(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 2048];
    socket.recv_from(&mut buffer).ok().map(|(length, from)| (buffer[..length].to_vec(), from))
}

/// Sends until it arrives; where it seems to come from.
fn arrives(from: &UdpSocket, to: SocketAddr, at: &UdpSocket) -> Option<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        from.send_to(b"hello", to).expect("sent");
        if let Some((_, source)) = get(at) {
            return Some(source);
        }
    }
    None
}

/// A connection over which the device sends more than fits one packet, and all of it arrives.
fn upload(device: &Namespace, internet: &Namespace, to: SocketAddr) {
    const BYTES: usize = 50_000;
    let listener = internet.run(|| TcpListener::bind(to)).expect("a socket");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut got = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut got).map(|_| got.len())
    });
    let mut client = device.run(|| TcpStream::connect_timeout(&to, PATIENCE)).expect("a connection");
    std::io::Write::write_all(&mut client, &[7; BYTES]).expect("written");
    drop(client);
    assert_eq!(server.join().expect("no panic").expect("it comes"), BYTES);
}

#[test]
fn ipv6_passes_the_firewall_for_those_who_began_it() {
    let Some(mut lab) = Lab::build("v6", &["2001:db8:1::2/64"]) else { return };
    let prefixes = nets(&["2001:db8:1::/64"]);
    let router = lab.fabric.plain_router(lab.inside, lab.outside, prefixes, true, 1);
    let server_id = lab.server;
    let (running, internet, device) = lab.run();
    running.with(|fabric| fabric.set_capture(server_id, 100_000));
    let server = socket(&internet, ip(PUBLIC6), 3478);
    let client = socket(&device, ip(DEVICE6), 5000);
    let (there, here) = (server.local_addr().expect("bound"), client.local_addr().expect("bound"));
    server.send_to(b"unasked", here).expect("sent");
    assert_eq!(get(&client), None);
    assert_eq!(arrives(&client, there, &server), Some(here), "no NAT");
    assert_eq!(arrives(&server, here, &client), Some(there));
    let packets = running.with(|fabric| fabric.captured(server_id));
    let ways: Vec<_> = packets.iter().map(|(_, way, _)| *way).collect();
    // A kernel that keeps quiet: nothing but what was sent here.
    assert_eq!(ways, [Direction::Sent, Direction::Received, Direction::Sent]);
    assert_eq!(running.with(|fabric| (fabric.count(router).refused, fabric.dropped())), (1, 0));
}

#[test]
fn a_sender_learns_the_mtu_of_the_line() {
    let Some(mut lab) = Lab::build("mtu", &["2001:db8:1::2/64"]) else { return };
    let prefixes = nets(&["2001:db8:1::/64"]);
    let router = lab.fabric.plain_router(lab.inside, lab.outside, prefixes, true, 1);
    let narrow = Faults { mtu: 1300, ..Faults::default() };
    lab.fabric.set_faults(router, narrow, Faults::default());
    let (running, internet, device) = lab.run();
    upload(&device, &internet, SocketAddr::new(ip(PUBLIC6), 8080));
    assert!(running.with(|fabric| fabric.count(router).up.too_long) > 0);
}

#[test]
fn an_ipv6_only_host_reaches_ipv4_through_the_nat64() {
    let Some(mut lab) = Lab::build("nat64", &["2001:db8:1::2/64"]) else { return };
    let kind = Kind(Mapping::EndpointIndependent, Filtering::AddressDependent);
    let nat = Nat64::new(Behaviour::of(kind), HOME, 1);
    lab.fabric.nat64_router(lab.inside, lab.outside, nat, 2);
    let (_running, internet, device) = lab.run();
    let server = socket(&internet, PUBLIC[0], 3478);
    let client = socket(&device, ip(DEVICE6), 5000);
    let there = SocketAddr::new(embed(PUBLIC[0]).into(), 3478);
    assert_eq!(arrives(&client, there, &server), Some(SocketAddr::from((HOME, 5000))));
    assert_eq!(arrives(&server, (HOME, 5000).into(), &client), Some(there));
    // 1500 bytes of IPv4 are 1520 of IPv6; the device takes them.
    server.send_to(&[7; 1472], (HOME, 5000)).expect("sent");
    assert_eq!(get(&client).map(|(bytes, _)| bytes.len()), Some(1472));

    let listener = internet.run(|| TcpListener::bind((PUBLIC[1], 8080))).expect("a socket");
    let to = SocketAddr::new(embed(PUBLIC[1]).into(), 8080);
    let mut client = device.run(|| TcpStream::connect_timeout(&to, PATIENCE)).expect("a connection");
    let (mut stream, from) = listener.accept().expect("a connection");
    assert_eq!(from.ip(), IpAddr::V4(HOME));
    std::io::Write::write_all(&mut stream, &[7; 20_000]).expect("written");
    drop(stream);
    client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut got = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut got).expect("all of it comes");
    assert_eq!(got.len(), 20_000);
    // An IPv4 kernel's "port unreachable" is an IPv6 kernel's error at the socket that sent.
    let refused = socket(&device, ip(DEVICE6), 5002);
    refused.connect((embed(PUBLIC[0]), 9)).expect("connected");
    refused.send(b"anybody there?").expect("sent");
    let error = refused.recv(&mut [0; 16]).expect_err("nobody is");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    // Nothing of IPv4 goes anywhere.
    let no_way = device.run(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", (PUBLIC[0], 3478)));
    assert_eq!(no_way.expect_err("no route").kind(), std::io::ErrorKind::NetworkUnreachable);
}

/// A Linux router between the device and the internet, and its plain router on the line.
struct Linux {
    running: Running,
    router: LinuxRouter,
    plain: RouterId,
    wan: EndpointId,
    line: SegmentId,
    internet: Namespace,
    device: Namespace,
}

fn linux(name: &str, translation: Translation) -> Option<Linux> {
    let mut lab = Lab::build(name, &["192.168.1.2/24"])?;
    let lan: Ipv4Net = "192.168.1.1/24".parse().expect("an address");
    let settings = Settings { lan, wan: HOME, translation, port_mapping: None };
    let (router, devices) = match LinuxRouter::create(&format!("fabric-{name}-router"), settings) {
        Err(LinuxRouterError::NoNft) => {
            println!("not run: {}", LinuxRouterError::NoNft);
            return None;
        }
        made => made.expect("a router"),
    };
    let line = lab.fabric.segment();
    let lan = lab.fabric.endpoint(lab.inside, vec![host(lan.addr())]);
    lab.fabric.gateway(lab.inside, lan);
    let wan = lab.fabric.endpoint(line, vec![host(HOME)]);
    let plain = lab.fabric.plain_router(line, lab.outside, vec![host(HOME)], false, 1);
    let (running, internet, device) = lab.run();
    running.add_port(Port { endpoint: lan, device: Device(devices.lan) });
    running.add_port(Port { endpoint: wan, device: Device(devices.wan) });
    Some(Linux { running, router, plain, wan, line, internet, device })
}

#[test]
fn linux_masquerades_as_it_does_in_the_field() {
    let forward = Forward {
        protocol: Protocol::Udp,
        port: 45_000,
        inside: "192.168.1.2:5001".parse().expect("an address"),
    };
    let forwarding = Translation { fully_random: false, forwards: vec![forward] };
    let Some(lab) = linux("linux", forwarding) else { return };
    let Linux { running, mut router, plain, wan, line, internet, device } = lab;
    let measure = |mapping, preserves_ports, external: Ipv4Addr| {
        let places = Places::new(DEVICE, PUBLIC);
        let measured = probe(&device, &internet, places).expect("a measurement");
        assert_eq!(measured.kind, Kind(mapping, Filtering::AddressAndPortDependent), "{measured}");
        assert_eq!(
            (measured.preserves_ports, measured.external),
            (preserves_ports, external.into()),
            "{measured}"
        );
    };
    measure(Mapping::EndpointIndependent, true, HOME);

    let client = socket(&device, DEVICE, 5000);
    let forwarded = socket(&device, DEVICE, 5001);
    let server = socket(&internet, PUBLIC[0], 3478);
    let there = server.local_addr().expect("bound");
    assert!(arrives(&server, (HOME, 45_000).into(), &forwarded).is_some(), "a forwarded port is open");
    let before = arrives(&client, there, &server).expect("it arrives");
    assert_eq!(before, SocketAddr::from((HOME, 5000)));
    router.reboot().expect("rebooted");
    server.send_to(b"stale", before).expect("sent");
    assert_eq!(get(&client), None, "the old mapping is gone");
    let after = arrives(&client, there, &server).expect("it arrives");
    assert!(after.ip() == before.ip() && after.port() != before.port(), "{after}");
    assert_eq!(arrives(&server, after, &client), Some(there));
    // Other ports, but still the same kind.
    measure(Mapping::EndpointIndependent, false, HOME);

    router.set_external(SPARE).expect("another address");
    running.with(|fabric| {
        fabric.move_endpoint(wan, line, vec![host(SPARE)]);
        fabric.set_external(plain, SPARE);
    });
    assert_eq!(arrives(&client, there, &server).map(|from| from.ip()), Some(SPARE.into()));

    router.set_translation(Translation { fully_random: true, forwards: Vec::new() }).expect("other rules");
    measure(Mapping::AddressAndPortDependent, false, SPARE);
    router.reboot().expect("rebooted");
    measure(Mapping::AddressAndPortDependent, false, SPARE);

    // Its line is that of the plain router before it.
    let narrow = Faults { mtu: 1300, ..Faults::default() };
    running.with(|fabric| fabric.set_faults(plain, narrow, narrow));
    upload(&device, &internet, (PUBLIC[0], 8080).into());
    let up = running.with(|fabric| fabric.count(plain)).up;
    assert!(up.passed > 0 && up.too_long > 0, "{up:?}");
    running.with(|fabric| fabric.set_policy(plain, Policy::NoUdp));
    client.send_to(b"hello", there).expect("sent");
    assert_eq!(get(&server), None);
    assert!(running.with(|fabric| fabric.count(plain)).forbidden > 0);
}

#[test]
fn another_uplink_is_other_addresses_on_the_same_device() {
    let Some(lab) = Lab::build("uplink", &["192.168.1.2/24", "2001:db8:1::2/64"]) else { return };
    let (mut fabric, outside, home) = (lab.fabric, lab.outside, lab.inside);
    let mobile = fabric.segment();
    fabric.plain_router(home, outside, nets(&["192.168.1.0/24", "2001:db8:1::/64"]), true, 1);
    fabric.plain_router(mobile, outside, nets(&["198.51.100.2/32"]), false, 2);
    let (device, internet) = (lab.device, lab.internet);
    let endpoint = lab.ports[1].endpoint;
    let running = Running::start(fabric, lab.ports).expect("a thread");
    let server = socket(&internet, PUBLIC[0], 3478);
    let server6 = socket(&internet, ip(PUBLIC6), 3478);
    let [there, there6] = [&server, &server6].map(|socket| socket.local_addr().expect("bound"));
    let any = |address: &str| socket(&device, ip(address), 0);
    assert_eq!(arrives(&any("0.0.0.0"), there, &server).map(|from| from.ip()), Some(DEVICE.into()));
    assert_eq!(arrives(&any("::"), there6, &server6).map(|from| from.ip()), Some(ip(DEVICE6)));

    set_addresses(&device, &Attachment::new(vec![host(SPARE)])).expect("other addresses");
    running.with(|fabric| fabric.move_endpoint(endpoint, mobile, vec![host(SPARE)]));
    assert_eq!(arrives(&any("0.0.0.0"), there, &server).map(|from| from.ip()), Some(SPARE.into()));
    let no_way = any("::").send_to(b"x", there6).expect_err("no route");
    assert_eq!(no_way.kind(), std::io::ErrorKind::NetworkUnreachable);

    set_addresses(&device, &Attachment::new(nets(&["192.168.1.2/24", "2001:db8:1::2/64"])))
        .expect("as before");
    running.with(|fabric| fabric.move_endpoint(endpoint, home, vec![host(DEVICE), host(ip(DEVICE6))]));
    assert_eq!(arrives(&any("0.0.0.0"), there, &server).map(|from| from.ip()), Some(DEVICE.into()));
    assert_eq!(arrives(&any("::"), there6, &server6).map(|from| from.ip()), Some(ip(DEVICE6)));
}

#[test]
fn sixty_four_small_streams_pass_at_once_and_lose_nothing() {
    const STREAMS: usize = 64;
    const PACKETS: u32 = 50;
    let Some(mut lab) = Lab::build("streams", &["2001:db8:1::2/64"]) else { return };
    let router = lab.fabric.plain_router(lab.inside, lab.outside, nets(&["2001:db8:1::/64"]), true, 1);
    let delay = Faults { delay: Duration::from_millis(10), ..Faults::default() };
    lab.fabric.set_faults(router, delay, delay);
    let (running, internet, device) = lab.run();
    let server = socket(&internet, ip(PUBLIC6), 3478);
    server.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let there = server.local_addr().expect("bound");
    let clients: Vec<_> = (0..STREAMS).map(|_| socket(&device, ip(DEVICE6), 0)).collect();
    let counting = std::thread::spawn(move || {
        let all = STREAMS * PACKETS as usize;
        (0..all).take_while(|_| get(&server).is_some()).count()
    });
    let start = Instant::now();
    for turn in 0..PACKETS {
        for client in &clients {
            client.send_to(&[7; 1100], there).expect("sent");
        }
        // 50 packets a second each: half a megabit.
        std::thread::sleep(
            (start + Duration::from_millis(20) * (turn + 1)).saturating_duration_since(Instant::now()),
        );
    }
    assert_eq!(counting.join().expect("no panic"), STREAMS * PACKETS as usize);
    assert_eq!(running.with(|fabric| fabric.count(router).up.passed), STREAMS as u64 * u64::from(PACKETS));
}

#[test]
fn a_device_is_taken_away_and_given_back_while_the_network_runs() {
    let Some(lab) = Lab::build("port", &["192.168.1.2/24"]) else { return };
    let endpoint = lab.ports[1].endpoint;
    let (mut fabric, outside, inside) = (lab.fabric, lab.outside, lab.inside);
    fabric.plain_router(inside, outside, nets(&["192.168.1.0/24"]), false, 1);
    let running = Running::start(fabric, lab.ports).expect("a thread");
    let (internet, device) = (lab.internet, lab.device);
    let server = socket(&internet, PUBLIC[0], 3478);
    let there = server.local_addr().expect("bound");
    let client = socket(&device, DEVICE, 5000);
    assert!(arrives(&client, there, &server).is_some());
    running.remove_port(endpoint);
    let has_device = || {
        let devices = device.run(|| std::fs::read_to_string("/proc/thread-self/net/dev")).expect("a list");
        devices.contains(link::DEVICE)
    };
    let deadline = Instant::now() + PATIENCE;
    while has_device() {
        assert!(Instant::now() < deadline, "the device stays");
        std::thread::sleep(Duration::from_millis(1));
    }
    let tun = attach(&device, &Attachment::new(nets(&["192.168.1.2/24"]))).expect("a TUN device");
    running.add_port(Port { endpoint, device: Device(tun) });
    assert!(arrives(&client, there, &server).is_some());
}
