//! Allocations in the course of a long session, against a real coturn: credentials that end, a server that is restarted
//! or sends elsewhere, and what is remembered from one session to the next.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use p2pcam_agent::{
    config::{IceConfig, IcePolicy},
    telemetry::metrics::Metrics,
    transport::{Endpoint, EndpointEvent, LocalCandidate, Path, Servers, Transport},
};
use serde_json::{Value, json};
use sha1::Sha1;
use support::agent::{Agent, Start};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UdpSocket},
    time::{sleep, timeout},
};

/// No step of these tests takes a third of it on an idle machine.
const DEADLINE: Duration = Duration::from_secs(40);
const SECRET: &str = "north";
/// Half of a round trip on the slow wire.
const ONE_WAY: Duration = Duration::from_millis(25);

/// A coturn on loopback with time-limited credentials, killed when dropped.
struct Coturn {
    child: Child,
    port: u16,
    options: Vec<String>,
    dir: TempDir,
}

impl Coturn {
    async fn start(options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let (port, options) = (support::free_port(), options.iter().map(|o| (*o).to_owned()).collect());
        let child = Self::spawn(port, &options, &dir);
        let this = Self { child, port, options, dir };
        this.answers().await;
        this
    }

    fn spawn(port: u16, options: &Vec<String>, dir: &TempDir) -> Child {
        Command::new("turnserver")
            .args(["-n", "--no-cli", "--log-file=stdout", "--allow-loopback-peers", "--no-tls", "--no-dtls"])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=p2pcam.test"])
            .args(["--use-auth-secret", &format!("--static-auth-secret={SECRET}")])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--pidfile={}", dir.path().join("pid").display()))
            .arg(format!("--userdb={}", dir.path().join("db").display()))
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed: apt-get install coturn")
    }

    async fn answers(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(start.elapsed() < DEADLINE, "coturn does not listen");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn revive(&mut self) {
        self.child = Self::spawn(self.port, &self.options, &self.dir);
        self.answers().await;
    }

    fn url(&self, transport: &str) -> String {
        format!("turn:127.0.0.1:{}?transport={transport}", self.port)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        self.kill();
    }
}

/// User name and password that end in `life` seconds, or ended so long ago.
fn credentials(life: i64) -> (String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let username = format!("{}:cam", now.saturating_add_signed(life));
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    let password = STANDARD.encode(mac.finalize().into_bytes());
    (username, password)
}

/// Servers with credentials that end in `life`, or ended so long ago.
fn servers(urls: &[String], life: i64) -> Servers {
    let (username, credential) = credentials(life);
    let mut servers = Servers::new();
    assert_eq!(servers.add(urls, Some(&username), Some(&credential)), Vec::<String>::new());
    servers
}

async fn transport() -> Transport {
    let config = IceConfig { loopback: true, ..IceConfig::default() };
    Transport::bind(&config, &Metrics::new()).await.unwrap()
}

/// The next relayed candidate; what else happens is passed over.
async fn candidate(endpoint: &mut Endpoint) -> LocalCandidate {
    let next = async {
        loop {
            if let EndpointEvent::Candidate(candidate) = endpoint.next().await {
                return candidate;
            }
        }
    };
    timeout(DEADLINE, next).await.expect("a relayed candidate comes")
}

/// A viewer that echoes what comes through the relay at `relayed`.
struct Viewer(UdpSocket, SocketAddr);

impl Viewer {
    async fn of(endpoint: &Endpoint, relayed: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        endpoint.remote_candidate(socket.local_addr().unwrap());
        Self(socket, relayed)
    }

    /// Whether media goes both ways within half a second.
    async fn is_reached(&self, endpoint: &mut Endpoint) -> bool {
        let (media, here) = ([0x80, 1, 2, 3], self.0.local_addr().unwrap());
        let mut buffer = [0; 100];
        endpoint.send(Path::udp(self.1, here), &media);
        let there = timeout(Duration::from_millis(250), self.0.recv_from(&mut buffer)).await;
        if !matches!(there, Ok(Ok((4, from))) if from == self.1) {
            return false;
        }
        self.0.send_to(&media, self.1).await.unwrap();
        let back = async {
            loop {
                match endpoint.next().await {
                    EndpointEvent::Datagram { path, .. } if path.local == self.1 => return,
                    EndpointEvent::Candidate(other) => panic!("another candidate: {other:?}"),
                    _ => {}
                }
            }
        };
        timeout(Duration::from_millis(250), back).await.is_ok()
    }

    async fn reaches(&self, endpoint: &mut Endpoint) {
        let start = Instant::now();
        while !self.is_reached(endpoint).await {
            assert!(start.elapsed() < DEADLINE, "nothing goes through the relay {}", self.1);
        }
    }
}

#[tokio::test]
async fn new_credentials_bring_a_new_allocation_before_the_old_one_is_given_back() {
    let coturn = Coturn::start(&[]).await;
    let (urls, transport) = ([coturn.url("udp")], transport().await);
    let start = Instant::now();
    let mut endpoint = transport.open(&servers(&urls, 10), IcePolicy::Relay);
    let old = candidate(&mut endpoint).await;
    let viewer = Viewer::of(&endpoint, old.address).await;
    viewer.reaches(&mut endpoint).await;
    endpoint.renew(&servers(&urls, 600));
    let new = candidate(&mut endpoint).await;
    let after = start.elapsed();
    assert!((Duration::from_secs(6)..Duration::from_secs(10)).contains(&after), "after {after:?}");
    assert!(new.priority() > old.priority(), "the viewer is to prefer it");
    viewer.reaches(&mut endpoint).await;
    assert_eq!(transport.metrics().allocations.get(), 2, "both are there");
    let second = Viewer::of(&endpoint, new.address).await;
    second.reaches(&mut endpoint).await;
    let start = Instant::now();
    while transport.metrics().allocations.get() > 1 {
        assert!(start.elapsed() < DEADLINE, "the old one is not given back");
        assert!(second.is_reached(&mut endpoint).await, "the new one serves");
        sleep(Duration::from_millis(100)).await;
    }
    drop(endpoint);
    transport.released().await;
    assert_eq!(transport.metrics().allocations.get(), 0);
}

#[tokio::test]
async fn an_allocation_outlives_its_credentials_its_nonces_and_its_lifetime() {
    let coturn =
        Coturn::start(&["--stale-nonce=4", "--max-allocate-lifetime=20", "--permission-lifetime=300"]).await;
    let transport = transport().await;
    let mut endpoint = transport.open(&servers(&[coturn.url("udp")], 3), IcePolicy::Relay);
    let relayed = candidate(&mut endpoint).await.address;
    let viewer = Viewer::of(&endpoint, relayed).await;
    let start = Instant::now();
    viewer.reaches(&mut endpoint).await;
    while start.elapsed() < Duration::from_secs(25) {
        assert!(viewer.is_reached(&mut endpoint).await, "after {:?}", start.elapsed());
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(transport.metrics().allocations.get(), 1);
}

#[tokio::test]
async fn credentials_that_ended_are_not_tried_again_until_there_are_new_ones() {
    let coturn = Coturn::start(&[]).await;
    let (urls, transport) = ([coturn.url("udp")], transport().await);
    let mut endpoint = transport.open(&servers(&urls, -10), IcePolicy::Relay);
    let done = timeout(DEADLINE, endpoint.next()).await.unwrap();
    assert!(matches!(done, EndpointEvent::GatheringDone), "{done:?}");
    assert!(timeout(Duration::from_secs(2), endpoint.next()).await.is_err());
    endpoint.renew(&servers(&urls, 600));
    candidate(&mut endpoint).await;
}

async fn comes_back_after_a_restart(carrier: &str) {
    let mut coturn = Coturn::start(&[]).await;
    let transport = transport().await;
    let mut endpoint = transport.open(&servers(&[coturn.url(carrier)], 600), IcePolicy::Relay);
    let relayed = candidate(&mut endpoint).await.address;
    Viewer::of(&endpoint, relayed).await.reaches(&mut endpoint).await;
    coturn.kill();
    // Packets that nobody takes: by them the loss is noticed.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let start = Instant::now();
    while transport.metrics().allocations.get() > 0 {
        assert!(start.elapsed() < DEADLINE, "the loss is not noticed");
        endpoint.send(Path::udp(relayed, nobody), &[0x80, 1]);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    sleep(Duration::from_secs(2)).await;
    coturn.revive().await;
    let start = Instant::now();
    let relayed = candidate(&mut endpoint).await.address;
    println!("{carrier}: a new relay {:?} after the server is back", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    Viewer::of(&endpoint, relayed).await.reaches(&mut endpoint).await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_there_is_a_new_allocation_over_udp() {
    comes_back_after_a_restart("udp").await;
}

#[tokio::test]
async fn after_a_restart_of_the_server_there_is_a_new_allocation_over_tcp() {
    comes_back_after_a_restart("tcp").await;
}

#[tokio::test]
async fn a_server_that_was_restarted_unnoticed_is_asked_and_has_forgotten() {
    let mut coturn = Coturn::start(&[]).await;
    let transport = transport().await;
    let mut endpoint = transport.open(&servers(&[coturn.url("udp")], 600), IcePolicy::Relay);
    let relayed = candidate(&mut endpoint).await.address;
    Viewer::of(&endpoint, relayed).await.reaches(&mut endpoint).await;
    // Nothing is sent meanwhile, so that no ICMP message tells of it.
    coturn.kill();
    coturn.revive().await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let start = Instant::now();
    while transport.metrics().allocations.get() > 0 {
        assert!(start.elapsed() < DEADLINE, "the loss is not noticed");
        endpoint.send(Path::udp(relayed, nobody), &[0x80, 1]);
        sleep(Duration::from_millis(20)).await;
    }
    let new = candidate(&mut endpoint).await.address;
    println!("a new relay {:?} after the first packet that vanished", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    Viewer::of(&endpoint, new).await.reaches(&mut endpoint).await;
}

#[tokio::test]
async fn a_redirection_is_followed() {
    let second = Coturn::start(&[]).await;
    let to = format!("--alternate-server=127.0.0.1:{}", second.port);
    let first = Coturn::start(&[&to]).await;
    for carrier in ["udp", "tcp"] {
        let transport = transport().await;
        let mut endpoint = transport.open(&servers(&[first.url(carrier)], 600), IcePolicy::Relay);
        let relayed = candidate(&mut endpoint).await.address;
        Viewer::of(&endpoint, relayed).await.reaches(&mut endpoint).await;
    }
    drop(second);
    let transport = transport().await;
    let mut endpoint = transport.open(&servers(&[first.url("udp")], 600), IcePolicy::Relay);
    let done = timeout(DEADLINE, endpoint.next()).await.unwrap();
    assert!(matches!(done, EndpointEvent::GatheringDone), "{done:?}");
}

#[tokio::test]
async fn servers_that_redirect_to_each_other_are_left_after_some_hops() {
    let (one, two) = (support::free_port(), support::free_port());
    let start = |port: u16, to: u16| async move {
        let dir = TempDir::new().unwrap();
        let options = vec![format!("--alternate-server=127.0.0.1:{to}")];
        let child = Coturn::spawn(port, &options, &dir);
        let this = Coturn { child, port, options, dir };
        this.answers().await;
        this
    };
    let (one, _two) = (start(one, two).await, start(two, one).await);
    let transport = transport().await;
    let mut endpoint = transport.open(&servers(&[one.url("udp")], 600), IcePolicy::Relay);
    let done = timeout(Duration::from_secs(3), endpoint.next()).await.expect("it ends at once");
    assert!(matches!(done, EndpointEvent::GatheringDone), "{done:?}");
}

#[tokio::test]
async fn a_session_that_ends_while_allocations_are_made_leaves_none() {
    let coturn = Coturn::start(&["--user-quota=1"]).await;
    let (urls, transport) = ([coturn.url("udp")], transport().await);
    for pause in [0, 1, 2, 3, 5, 8] {
        let endpoint = transport.open(&servers(&urls, 600), IcePolicy::Relay);
        sleep(Duration::from_millis(pause)).await;
        drop(endpoint);
    }
    timeout(Duration::from_secs(3), transport.released()).await.expect("all tasks end");
    assert_eq!((transport.metrics().allocations.get(), transport.metrics().endpoints.get()), (0, 0));
    // The quota of one tells whether the server holds anything.
    let mut endpoint = transport.open(&servers(&urls, 600), IcePolicy::Relay);
    candidate(&mut endpoint).await;
}

/// A wire to `server` that takes 25 ms each way, shows each client as another, and counts what they send.
async fn slow_wire(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (address, count) = (inside.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    tokio::spawn(async move {
        let (mut buffer, mut clients) = ([0; 2048], HashMap::new());
        while let Ok((n, client)) = inside.recv_from(&mut buffer).await {
            counted.fetch_add(1, Ordering::Relaxed);
            if let Entry::Vacant(unknown) = clients.entry(client) {
                let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                outside.connect(server).await.unwrap();
                unknown.insert(outside.clone());
                tokio::spawn(late(outside, inside.clone(), client));
            }
            let (outside, data) = (clients[&client].clone(), buffer[..n].to_vec());
            tokio::spawn(async move {
                sleep(ONE_WAY).await;
                let _ = outside.send(&data).await;
            });
        }
    });
    (address, count)
}

/// Carries what the server sends back to the client.
async fn late(outside: Arc<UdpSocket>, inside: Arc<UdpSocket>, client: SocketAddr) {
    let mut buffer = [0; 2048];
    while let Ok(n) = outside.recv(&mut buffer).await {
        let (inside, data) = (inside.clone(), buffer[..n].to_vec());
        tokio::spawn(async move {
            sleep(ONE_WAY).await;
            let _ = inside.send_to(&data, client).await;
        });
    }
}

#[tokio::test]
async fn a_relayed_candidate_is_there_after_two_round_trips() {
    let coturn = Coturn::start(&[]).await;
    let (wire, sent) = slow_wire(SocketAddr::from(([127, 0, 0, 1], coturn.port))).await;
    let (urls, transport) = ([format!("turn:{wire}")], transport().await);
    // The first session knows nothing of the server, the others offer the nonce of the one before: coturn makes one of its
    // own for each client and asks again, so they need as many packets. The best of some, lest a busy machine spoils it.
    let mut seen = Vec::new();
    for _ in 0..6 {
        let (start, before) = (Instant::now(), sent.load(Ordering::Relaxed));
        let mut endpoint = transport.open(&servers(&urls, 600), IcePolicy::Relay);
        candidate(&mut endpoint).await;
        seen.push((start.elapsed(), sent.load(Ordering::Relaxed) - before));
        drop(endpoint);
        // The packet that gives the allocation back is not one of the next session.
        transport.released().await;
    }
    println!("at a round trip of 50 ms, with so many requests: {seen:?}");
    for sessions in [&seen[..1], &seen[1..]] {
        assert!(sessions.iter().all(|(took, sent)| *took >= 4 * ONE_WAY && *sent >= 2), "{seen:?}");
    }
    let best = seen.iter().min().unwrap();
    assert!(best.0 < 6 * ONE_WAY && best.1 == 2, "{seen:?}");
}

#[tokio::test]
async fn udp_wins_over_tcp_and_what_failed_a_moment_ago_is_asked_late() {
    let coturn = Coturn::start(&[]).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("turn:{}?transport=udp", silent.local_addr().unwrap());
    let transport = transport().await;
    let urls = [coturn.url("tcp"), coturn.url("udp"), dead];
    let mut endpoint = transport.open(&servers(&urls, 600), IcePolicy::Relay);
    let (first, second) = (candidate(&mut endpoint).await, candidate(&mut endpoint).await);
    assert!(first.server.as_deref().unwrap().ends_with("udp"), "{first:?}");
    assert!(second.server.as_deref().unwrap().ends_with("tcp"), "{second:?}");
    assert!(first.priority() > second.priority());
    let mut question = [0; 200];
    silent.recv_from(&mut question).await.unwrap();
    drop(endpoint);

    let only_dead = transport.open(&servers(&urls[2..], 600), IcePolicy::Relay);
    let done = timeout(DEADLINE, {
        let mut e = only_dead;
        async move { e.next().await }
    })
    .await
    .unwrap();
    assert!(matches!(done, EndpointEvent::GatheringDone), "given up after 5 s: {done:?}");
    while silent.try_recv_from(&mut question).is_ok() {}
    let mut endpoint = transport.open(&servers(&urls, 600), IcePolicy::Relay);
    let _ = (candidate(&mut endpoint).await, candidate(&mut endpoint).await);
    assert!(silent.try_recv_from(&mut question).is_err(), "two that work were there before its turn");
}

#[tokio::test]
async fn a_second_connect_renews_the_credentials_of_a_running_agent() {
    const OFFER: &str = include_str!("fixtures/offer-vp8-vp9-only.json");
    let coturn = Coturn::start(&[]).await;
    let more = vec!["--signaling=stdio".to_owned()];
    let mut agent = Agent::start(Start { audio: "none", more, ..Default::default() });
    let connect = |life| {
        let (username, credential) = credentials(life);
        let server = json!({"urls": [coturn.url("udp")], "username": username, "credential": credential});
        json!({"session": "one", "connect": {"iceServers": [server]}}).to_string()
    };
    agent.write_line(&connect(8));
    let offer: Value = serde_json::from_str(OFFER).unwrap();
    agent.write_line(&json!({"session": "one", "description": offer}).to_string());
    let relay = |agent: &Agent| loop {
        let message: Value = serde_json::from_str(&agent.line(DEADLINE)).unwrap();
        assert!(message.get("error").is_none(), "{message}");
        match message["candidate"]["candidate"].as_str() {
            Some(line) if line.contains(" typ relay ") => return line.to_owned(),
            _ => {}
        }
    };
    let old = relay(&agent);
    agent.write_line(&connect(600));
    let new = relay(&agent);
    let port = |line: &str| line.split(' ').nth(5).map(str::to_owned);
    assert_ne!(port(&old), port(&new), "{old} {new}");
    assert_eq!(agent.metric("p2pcam_sessions_open", ""), 1.0);
    assert_eq!(agent.metric("p2pcam_transport_allocations", ""), 2.0);
}
