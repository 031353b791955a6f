//! The transport against a real coturn: reflexive and relayed candidates over UDP, TCP and TLS, and what is said when
//! a server refuses or is dead.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use p2pcam_agent::{
    config::{IceConfig, IcePolicy},
    telemetry::metrics::Metrics,
    transport::{
        BindingQuery, CandidateKind, Endpoint, EndpointEvent, LocalCandidate, Path, Servers, Step, Transport,
    },
};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::{sleep, timeout},
};

/// No step of these tests takes a tenth of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A coturn on loopback, ended when dropped. The user `alice` may hold two allocations.
struct Coturn {
    child: Child,
    port: u16,
    tls_port: u16,
    ca_file: PathBuf,
    _dir: TempDir,
}

impl Coturn {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (ca_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        fs::write(&ca_file, key.cert.pem()).unwrap();
        fs::write(&key_file, key.signing_key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let child = Command::new("turnserver")
            .args([
                "-n",
                "--no-cli",
                "--log-file=stdout",
                "--allow-loopback-peers",
                "--no-dtls",
                "--fingerprint",
            ])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=p2pcam.test"])
            .args(["--lt-cred-mech", "--user=alice:wonderland", "--user-quota=2"])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", ca_file.display()))
            .arg(format!("--pkey={}", key_file.display()))
            .arg(format!("--pidfile={}", dir.path().join("pid").display()))
            .arg(format!("--userdb={}", dir.path().join("db").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed: apt-get install coturn");
        let this = Self { child, port, tls_port, ca_file, _dir: dir };
        for port in [port, tls_port] {
            until("coturn listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        }
        until("coturn answers over UDP", async || answers_stun(port).await).await;
        this
    }

    fn turn(&self, carrier: &str) -> Servers {
        match carrier {
            "tls" => servers(&format!("turns:localhost:{}?transport=tcp", self.tls_port), "wonderland"),
            _ => servers(&format!("turn:127.0.0.1:{}?transport={carrier}", self.port), "wonderland"),
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago for UDP and TCP, and that no other test got.
fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if !given.contains(&port) && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            given.push(port);
            return port;
        }
    }
}

/// Whether a STUN server answers on loopback now.
async fn answers_stun(port: u16) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(("127.0.0.1", port)).await.unwrap();
    let mut query = BindingQuery::new(Instant::now(), [1; 12]);
    let Step::Send(request) = query.poll(Instant::now()) else { panic!("a new query has something to send") };
    let mut answer = [0; 1000];
    // An error says that nobody listens yet.
    let Ok(_) = socket.send(request).await else { return false };
    match timeout(Duration::from_millis(200), socket.recv(&mut answer)).await {
        Ok(Ok(length)) => matches!(query.handle(&answer[..length]), Some(Ok(_))),
        _ => false,
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn servers(url: &str, password: &str) -> Servers {
    let mut servers = Servers::new();
    assert_eq!(servers.add(&[url.to_owned()], Some("alice"), Some(password)), Vec::<String>::new());
    servers
}

async fn transport(ca_file: Option<PathBuf>) -> Transport {
    let config = IceConfig { loopback: true, tcp: false, ca_file, ..IceConfig::default() };
    Transport::bind(&config, &Metrics::new()).await.unwrap()
}

/// All candidates, until gathering is done.
async fn gathered(endpoint: &mut Endpoint) -> Vec<LocalCandidate> {
    let mut candidates = Vec::new();
    loop {
        match timeout(DEADLINE, endpoint.next()).await.expect("gathering ends") {
            EndpointEvent::Candidate(candidate) => candidates.push(candidate),
            EndpointEvent::GatheringDone => return candidates,
            other => panic!("nothing changed and nobody sent anything: {other:?}"),
        }
    }
}

/// The relayed address of an endpoint that has nothing else.
async fn relayed(endpoint: &mut Endpoint) -> SocketAddr {
    let candidates = gathered(endpoint).await;
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert_eq!(candidates[0].kind, CandidateKind::Relayed);
    let line = candidates[0].to_line("ufrag");
    assert!(line.contains("typ relay raddr 0.0.0.0 rport 9"), "the device's address is hidden: {line}");
    candidates[0].address
}

async fn datagram(endpoint: &mut Endpoint) -> (SocketAddr, SocketAddr, Vec<u8>) {
    match timeout(DEADLINE, endpoint.next()).await.expect("a datagram comes") {
        EndpointEvent::Datagram { path, data, .. } => (path.local, path.remote, data.to_vec()),
        other => panic!("a datagram was expected, not {other:?}"),
    }
}

/// Lines that the agent logs, from `warn` up. Each test has one thread, so that it hears only its own.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A NAT between the agent and `server`, for one client: returns where the agent sends to, and what the server sees.
async fn nat(server: SocketAddr) -> (SocketAddr, SocketAddr) {
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    outside.connect(server).await.unwrap();
    let addresses = (inside.local_addr().unwrap(), outside.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut up, mut down) = ([0; 2048], [0; 2048]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((n, from)) = inside.recv_from(&mut up) => {
                    client = Some(from);
                    outside.send(&up[..n]).await.unwrap();
                }
                Ok(n) = outside.recv(&mut down) => {
                    inside.send_to(&down[..n], client.unwrap()).await.unwrap();
                }
            }
        }
    });
    addresses
}

#[tokio::test]
async fn behind_a_nat_the_reflexive_address_is_found() {
    let coturn = Coturn::start().await;
    let (inside, outside) = nat(SocketAddr::from(([127, 0, 0, 1], coturn.port))).await;
    let transport = transport(None).await;
    let mut servers = Servers::new();
    servers.add_stun(&inside.ip().to_string(), inside.port());
    let candidates = gathered(&mut transport.open(&servers, IcePolicy::All)).await;
    let reflexive: Vec<_> = candidates.iter().filter(|c| c.kind == CandidateKind::ServerReflexive).collect();
    assert_eq!(reflexive.len(), 1, "{candidates:?}");
    assert_eq!(reflexive[0].address, outside);
    assert_eq!(reflexive[0].related, Some(reflexive[0].base));
    assert_eq!(reflexive[0].base, SocketAddr::from(([127, 0, 0, 1], transport.port())));
}

#[tokio::test]
async fn without_a_nat_the_reflexive_address_is_not_told_twice() {
    let coturn = Coturn::start().await;
    let transport = transport(None).await;
    let candidates = gathered(&mut transport.open(&coturn.turn("udp"), IcePolicy::All)).await;
    let hosts = candidates.iter().filter(|c| c.kind == CandidateKind::Host).count();
    assert_eq!(hosts, transport.local_addresses().len());
    assert_eq!(candidates.len(), hosts + 1, "only the relayed one comes besides: {candidates:?}");
    let relayed = candidates.last().unwrap();
    assert_eq!((relayed.kind, relayed.base), (CandidateKind::Relayed, relayed.address));
    assert!(relayed.related.is_some());
}

#[tokio::test]
async fn where_own_addresses_are_hidden_what_a_server_sees_is_told_also_without_a_nat() {
    let coturn = Coturn::start().await;
    let config = IceConfig { loopback: true, tcp: false, hide_addresses: true, ..IceConfig::default() };
    let transport = Transport::bind(&config, &Metrics::new()).await.unwrap();
    let mut servers = Servers::new();
    servers.add_stun("127.0.0.1", coturn.port);
    let mut endpoint = transport.open(&servers, IcePolicy::All);
    let candidates = gathered(&mut endpoint).await;
    let seen = candidates.iter().find(|c| c.kind == CandidateKind::ServerReflexive).unwrap();
    let own = SocketAddr::from(([127, 0, 0, 1], transport.port()));
    assert_eq!((seen.address, seen.base, seen.is_for_checks()), (own, own, false));
    let told = |candidate| endpoint.told_line(candidate, "ufrag").unwrap();
    assert!(
        told(seen).contains(" 127.0.0.1 ") && told(seen).contains(" raddr 0.0.0.0 rport 9 "),
        "{}",
        told(seen)
    );
    for host in candidates.iter().filter(|c| c.kind == CandidateKind::Host) {
        assert!(host.is_for_checks());
        assert!(told(host).contains(".local ") && !told(host).contains(&host.address.ip().to_string()));
    }
}

async fn data_goes_both_ways_through(carrier: &str) {
    let coturn = Coturn::start().await;
    let transport = transport(Some(coturn.ca_file.clone())).await;
    let servers = coturn.turn(carrier);
    let mut a = transport.open(&servers, IcePolicy::Relay);
    let mut b = transport.open(&servers, IcePolicy::Relay);
    let (at_a, at_b) = (relayed(&mut a).await, relayed(&mut b).await);
    b.remote_candidate(at_a);
    // Until B's server permits A, it drops what A sends; ICE repeats its checks for this reason.
    let check = [0, 1, 0, 0];
    timeout(DEADLINE, async {
        loop {
            a.send(Path::udp(at_a, at_b), &check);
            if timeout(Duration::from_millis(100), b.next()).await.is_ok() {
                break;
            }
        }
    })
    .await
    .expect("a check arrives");
    // Media opens channels; sizes that need padding, and the largest that WebRTC sends.
    for size in [1, 2, 3, 4, 1199, 1200] {
        for round in 0..20_u8 {
            let mut packet = vec![round; size];
            packet[0] = 0x80;
            b.send(Path::udp(at_b, at_a), &packet);
            assert_eq!(datagram(&mut a).await, (at_a, at_b, packet.clone()));
            a.send(Path::udp(at_a, at_b), &packet);
            let mut got = datagram(&mut b).await;
            while got.2 == check {
                got = datagram(&mut b).await;
            }
            assert_eq!(got, (at_b, at_a, packet));
        }
    }
    let train: Vec<u8> = (0..2450).map(|n| 0x80 | (n / 1200) as u8).collect();
    a.send_media(Path::udp(at_a, at_b), &train, 1200);
    for packet in train.chunks(1200) {
        assert_eq!(datagram(&mut b).await, (at_b, at_a, packet.to_vec()));
    }
    assert_eq!(transport.metrics().allocations.get(), 2);

    // The user's quota is two: others get allocations only if these are given back.
    let mut late = transport.open(&servers, IcePolicy::Relay);
    assert!(gathered(&mut late).await.is_empty(), "the quota is used up");
    drop((a, b, late));
    transport.released().await;
    assert_eq!((transport.metrics().allocations.get(), transport.metrics().endpoints.get()), (0, 0));
    until("the server freed the quota", async || {
        let mut c = transport.open(&servers, IcePolicy::Relay);
        let mut d = transport.open(&servers, IcePolicy::Relay);
        let found = (gathered(&mut c).await.len(), gathered(&mut d).await.len());
        drop((c, d));
        transport.released().await;
        found == (1, 1)
    })
    .await;
}

#[tokio::test]
async fn data_goes_both_ways_through_turn_over_udp() {
    data_goes_both_ways_through("udp").await;
}

#[tokio::test]
async fn data_goes_both_ways_through_turn_over_tcp() {
    data_goes_both_ways_through("tcp").await;
}

#[tokio::test]
async fn data_goes_both_ways_through_turn_over_tls() {
    data_goes_both_ways_through("tls").await;
}

#[tokio::test]
async fn wrong_credentials_are_told_in_words() {
    let coturn = Coturn::start().await;
    let (log, _guard) = Log::listen();
    let transport = transport(None).await;
    let wrong = servers(&format!("turn:127.0.0.1:{}", coturn.port), "looking-glass");
    assert!(gathered(&mut transport.open(&wrong, IcePolicy::Relay)).await.is_empty());
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("401") && lines[0].contains("user name or password is wrong"), "{lines:?}");
    assert!(!lines[0].contains("looking-glass"), "secrets stay out of logs");
}

#[tokio::test]
async fn a_tls_server_that_nobody_vouches_for_is_refused_in_words() {
    let coturn = Coturn::start().await;
    let (log, _guard) = Log::listen();
    let transport = transport(None).await;
    assert!(gathered(&mut transport.open(&coturn.turn("tls"), IcePolicy::Relay)).await.is_empty());
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("certificate"), "{lines:?}");
}

#[tokio::test]
async fn a_session_keeps_at_most_two_allocations() {
    let (one, two, three) = (Coturn::start().await, Coturn::start().await, Coturn::start().await);
    let transport = transport(None).await;
    let mut servers = Servers::new();
    for coturn in [&one, &two, &three] {
        let url = format!("turn:127.0.0.1:{}", coturn.port);
        assert!(servers.add(&[url], Some("alice"), Some("wonderland")).is_empty());
    }
    let mut endpoint = transport.open(&servers, IcePolicy::Relay);
    assert_eq!(gathered(&mut endpoint).await.len(), 2);
    assert_eq!(transport.metrics().allocations.get(), 2);
}

#[tokio::test]
async fn a_dead_stun_server_delays_no_host_candidate_and_costs_one_line() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (log, _guard) = Log::listen();
    let transport = transport(None).await;
    let mut servers = Servers::new();
    servers.add_stun("127.0.0.1", silent.local_addr().unwrap().port());
    let mut endpoint = transport.open(&servers, IcePolicy::All);
    for _ in transport.local_addresses() {
        match timeout(DEADLINE, endpoint.next()).await.unwrap() {
            EndpointEvent::Candidate(candidate) => assert_eq!(candidate.kind, CandidateKind::Host),
            other => panic!("host candidates come first, not {other:?}"),
        }
        assert!(log.lines().is_empty(), "the server is not given up yet");
    }
    let mut question = [0; 100];
    timeout(DEADLINE, silent.recv_from(&mut question)).await.expect("the server was asked").unwrap();
    assert!(gathered(&mut endpoint).await.is_empty(), "nothing but the hosts was found");
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("does not answer on UDP port"), "{lines:?}");
}
