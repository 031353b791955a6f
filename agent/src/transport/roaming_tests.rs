//! Addresses, routers and NATs that change under living sessions, in a network of the test's own.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::stun::{
    message::{BINDING_SUCCESS, Message, TransactionId},
    xoraddr::XorMappedAddress,
};
use tokio::{net::UdpSocket, time::timeout};

use super::{
    own_network::{entered, ip},
    *,
};

/// No step takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A STUN server that says what a NAT would make it see.
struct Seeing {
    port: u16,
    sees: Arc<Mutex<SocketAddr>>,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Seeing {
    async fn start(at: &str, sees: &str) -> Self {
        let socket = UdpSocket::bind((at, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let sees = Arc::new(Mutex::new(sees.parse().unwrap()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (seen, count) = (sees.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = Message::new();
                request.unmarshal_binary(&buffer[..length]).unwrap();
                let seen: SocketAddr = *seen.lock().unwrap();
                let mapped = XorMappedAddress { ip: seen.ip(), port: seen.port() };
                let mut answer = Message::new();
                let id = TransactionId(request.transaction_id.0);
                answer.build(&[Box::new(id), Box::new(BINDING_SUCCESS), Box::new(mapped)]).unwrap();
                socket.send_to(&answer.raw, from).await.unwrap();
            }
        });
        Self { port, sees, asked, _task: AbortOnDropHandle::new(task) }
    }

    fn sees(&self, address: &str) {
        *self.sees.lock().unwrap() = address.parse().unwrap();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// What the session is told next, in short: `+` or `-`, kind and address.
async fn told(endpoint: &mut Endpoint) -> String {
    let words = |sign: &str, c: &LocalCandidate| {
        let over = if c.protocol == Protocol::Tcp { "tcp " } else { "" };
        format!("{sign}{over}{} {}", c.kind.as_str(), c.address.ip())
    };
    match timeout(DEADLINE, endpoint.next()).await.expect("the session is told something") {
        EndpointEvent::Candidate(candidate) => words("+", &candidate),
        EndpointEvent::CandidateGone(candidate) => words("-", &candidate),
        EndpointEvent::GatheringDone => "done".into(),
        EndpointEvent::Datagram { .. } => "datagram".into(),
    }
}

async fn transport() -> Transport {
    let config = IceConfig { tcp: false, port_mapping: false, ..IceConfig::default() };
    Transport::bind(&config, &Metrics::new()).await.unwrap()
}

/// The camera's cable `cam0`, whose other end is plugged in.
fn plug_in() {
    ip("link add cam0 type veth peer name far0");
    ip("link set far0 up");
    ip("link set cam0 up");
}

/// One loopback address less to reckon with.
fn ipv4_only() {
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
}

#[tokio::test]
async fn candidates_come_and_go_with_addresses() {
    if !entered("transport::roaming_tests::candidates_come_and_go_with_addresses") {
        return;
    }
    ipv4_only();
    // Without any network at first.
    let transport = transport().await;
    plug_in();
    ip("address add 198.51.100.1/24 dev far0");
    let server = Seeing::start("198.51.100.1", "203.0.113.1:7000").await;
    let mut servers = Servers::new();
    servers.add_stun("198.51.100.1", server.port);
    let mut endpoint = transport.open(&servers, IcePolicy::All);
    endpoint.answer_to("aaaa");
    let mut first = Vec::new();
    loop {
        match told(&mut endpoint).await {
            done if done == "done" => break,
            other => first.push(other),
        }
    }
    // The far end is this device's too; its address is one more.
    let far = ["+host 127.0.0.1", "+host 198.51.100.1", "+srflx 203.0.113.1"];
    assert!(first.iter().all(|told| far.contains(&told.as_str())), "{first:?}");
    while first.len() < far.len() {
        first.push(told(&mut endpoint).await);
    }

    ip("address add 192.0.2.7/24 dev cam0");
    assert_eq!(told(&mut endpoint).await, "+host 192.0.2.7");
    assert_eq!(told(&mut endpoint).await, "+srflx 203.0.113.1");
    let local = SocketAddr::new("192.0.2.7".parse().unwrap(), transport.port());
    assert!(transport.local_addresses().contains(&local));
    let viewer = UdpSocket::bind("192.0.2.7:0").await.unwrap();
    endpoint.send(Path::udp(local, viewer.local_addr().unwrap()), b"hello");
    let (length, from) = timeout(DEADLINE, viewer.recv_from(&mut [0; 9])).await.unwrap().unwrap();
    assert_eq!((length, from), (5, local));

    ip("address del 192.0.2.7/24 dev cam0");
    assert_eq!(told(&mut endpoint).await, "-host 192.0.2.7");
    assert_eq!(told(&mut endpoint).await, "-srflx 203.0.113.1");
    endpoint.send(Path::udp(local, viewer.local_addr().unwrap()), b"hello");
    assert_eq!(transport.metrics().dropped(DropReason::NoSuchLocal), 1);
    ip("address add 192.0.2.7/24 dev cam0");
    assert_eq!(told(&mut endpoint).await, "+host 192.0.2.7");
}

#[tokio::test]
async fn a_nat_that_changed_its_address_is_seen_at_a_refresh_and_at_a_change_of_routers() {
    if !entered(
        "transport::roaming_tests::a_nat_that_changed_its_address_is_seen_at_a_refresh_and_at_a_change_of_routers",
    ) {
        return;
    }
    plug_in();
    ip("address add 192.0.2.7/24 dev cam0");
    let server = Seeing::start("192.0.2.7", "203.0.113.1:7000").await;
    let transport = transport().await;
    let mut servers = Servers::new();
    servers.add_stun("192.0.2.7", server.port);
    let mut endpoint = transport.open(&servers, IcePolicy::All);
    for expected in ["+host 192.0.2.7", "+srflx 203.0.113.1", "done"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }

    server.sees("203.0.113.2:7000");
    let start = Instant::now();
    endpoint.refresh();
    for expected in ["+srflx 203.0.113.2", "-srflx 203.0.113.1"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
    // However often it is wanted within the pause, there is one more round, after it.
    let asked = server.asked();
    for _ in 0..10 {
        endpoint.refresh();
    }
    server.sees("203.0.113.3:7000");
    for expected in ["+srflx 203.0.113.3", "-srflx 203.0.113.2"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(server.asked(), asked + 1);

    server.sees("203.0.113.4:7000");
    ip("route add default via 192.0.2.1 dev cam0");
    for expected in ["+srflx 203.0.113.4", "-srflx 203.0.113.3"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
}

#[tokio::test]
async fn a_temporary_address_replaces_the_lasting_one_for_new_sessions_only() {
    if !entered(
        "transport::roaming_tests::a_temporary_address_replaces_the_lasting_one_for_new_sessions_only",
    ) {
        return;
    }
    plug_in();
    ip("address add 2001:db8::1/64 dev cam0 nodad");
    let transport = transport().await;
    let mut before = transport.open(&Servers::new(), IcePolicy::All);
    before.answer_to("aaaa");
    assert_eq!(told(&mut before).await, "+host 2001:db8::1");
    assert_eq!(told(&mut before).await, "done");

    std::fs::write("/proc/sys/net/ipv6/conf/cam0/use_tempaddr", "2").unwrap();
    ip("address change 2001:db8::1/64 dev cam0 mngtmpaddr preferred_lft 3000 valid_lft 4000 nodad");
    let temporary = told(&mut before).await;
    assert!(temporary.starts_with("+host 2001:db8:") && temporary != "+host 2001:db8::1", "{temporary}");
    let mut after = transport.open(&Servers::new(), IcePolicy::All);
    assert_eq!(told(&mut after).await, temporary);
    assert_eq!(told(&mut after).await, "done");

    // Who was told the lasting address still reaches it.
    let viewer = UdpSocket::bind("[2001:db8::1]:0").await.unwrap();
    let local = SocketAddr::new("2001:db8::1".parse().unwrap(), transport.port());
    before.send(Path::udp(local, viewer.local_addr().unwrap()), b"hello");
    let (_, from) = timeout(DEADLINE, viewer.recv_from(&mut [0; 9])).await.unwrap().unwrap();
    assert_eq!(from, local);
    ip("address del 2001:db8::1/64 dev cam0");
    assert_eq!(told(&mut before).await, "-host 2001:db8::1");
}

#[tokio::test]
async fn a_port_that_is_taken_on_a_new_address_costs_that_address_only() {
    if !entered("transport::roaming_tests::a_port_that_is_taken_on_a_new_address_costs_that_address_only") {
        return;
    }
    ipv4_only();
    plug_in();
    let transport = transport().await;
    std::fs::write("/proc/sys/net/ipv4/ip_nonlocal_bind", "1").unwrap();
    let taken = UdpSocket::bind(("192.0.2.7", transport.port())).await.unwrap();
    let mut endpoint = transport.open(&Servers::new(), IcePolicy::All);
    assert_eq!(told(&mut endpoint).await, "+host 127.0.0.1");
    assert_eq!(told(&mut endpoint).await, "done");
    ip("address add 192.0.2.7/24 dev cam0");
    ip("address add 192.0.2.8/24 dev cam0");
    assert_eq!(told(&mut endpoint).await, "+host 192.0.2.8");
    drop(taken);
    assert_eq!(told(&mut endpoint).await, "+host 192.0.2.7");
}

#[tokio::test]
async fn viewers_may_connect_over_tcp_wherever_the_port_is_open() {
    if !entered("transport::roaming_tests::viewers_may_connect_over_tcp_wherever_the_port_is_open") {
        return;
    }
    ipv4_only();
    plug_in();
    let config = IceConfig { port_mapping: false, ..IceConfig::default() };
    let transport = Transport::bind(&config, &Metrics::new()).await.unwrap();
    let mut endpoint = transport.open(&Servers::new(), IcePolicy::All);
    for expected in ["+host 127.0.0.1", "+tcp host 127.0.0.1", "done"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
    ip("address add 192.0.2.7/24 dev cam0");
    for expected in ["+host 192.0.2.7", "+tcp host 192.0.2.7"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
    let port = transport.port();
    drop(timeout(DEADLINE, tokio::net::TcpStream::connect(("192.0.2.7", port))).await.unwrap().unwrap());
    ip("address del 192.0.2.7/24 dev cam0");
    for expected in ["-host 192.0.2.7", "-tcp host 192.0.2.7"] {
        assert_eq!(told(&mut endpoint).await, expected);
    }
}
