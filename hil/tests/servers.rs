//! Real servers in real labs. Takes root, coturn, dnsmasq and the agent; without one of them, says so and runs nothing.
#![allow(clippy::expect_used)]

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use p2pcam_hil::{
    lab::{
        DeviceHost, Lab, LabError,
        build::BOARD_INTERFACE,
        fabric::Policy,
        namespace::{Namespace, NamespaceError},
        nat::{Behaviour, Kind},
    },
    process::{Program, Spec, find},
    record::Check,
    scenario::plan::{
        self, BoardPlan, Expect, Network, Plan, RouterKind, RouterPlan, ServerName, Side, TurnTransport,
        Uplink, ViewerKind, ViewerPlan,
    },
    servers::{HUB_PORT, Programs, Servers, lan::LanServer},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{client::IntoClientRequest, http::HeaderValue};

/// For what must happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Set for the copy of this test program that plays a rig: its folder.
const ROLE: &str = "P2PHIL_TEST_SERVERS";
/// The lab of that copy.
const KILLED: &str = "srv-killed";
/// What may name the agent; otherwise it is taken from where this test is built to.
const AGENT: &str = "P2PHIL_AGENT";

fn side(policy: Policy) -> Side {
    let behaviour = Behaviour::of("EIM/APDF".parse::<Kind>().expect("a kind"));
    let router = RouterPlan { kind: RouterKind::Computed(behaviour), forwards: Vec::new() };
    let uplink = Uplink { routers: vec![router], policy, ..Uplink::default() };
    Side { network: Network::Ipv4, uplink, spare: None }
}

fn wanted() -> plan::Servers {
    let turn = [TurnTransport::Udp, TurnTransport::Tcp, TurnTransport::Tls].into();
    plan::Servers { stun: true, turn, turn_port: 3478, turns_port: 443 }
}

fn plan(viewer: Policy) -> Plan {
    let viewers = vec![ViewerPlan {
        name: "one".into(),
        kind: ViewerKind::Headless,
        at: Duration::ZERO,
        relay_only: false,
    }];
    Plan {
        name: "servers".into(),
        about: "Servers run.".into(),
        seed: 7,
        time: Duration::from_secs(1),
        device: side(Policy::Open),
        viewer: side(viewer),
        shared_cgn: None,
        servers: wanted(),
        board: BoardPlan::default(),
        viewers,
        events: Vec::new(),
        expect: Expect::default(),
        plant: None,
    }
}

/// `None`, and a word, where it cannot be built or the agent was not.
fn build(name: &str, plan: &Plan, host: DeviceHost) -> Option<(Lab, Programs)> {
    let beside = || env::current_exe().ok()?.ancestors().nth(2).map(|folder| folder.join("p2pcam-agent"));
    let agent = env::var_os(AGENT).map(PathBuf::from).or_else(beside).filter(|agent| agent.exists());
    let Some(agent) = agent else {
        println!("not run: no p2pcam-agent beside this test: `cargo build -p p2pcam-agent`");
        return None;
    };
    match Lab::build(name, plan, host) {
        Err(LabError::Namespace(NamespaceError::NotRoot)) => {
            println!("not run: namespaces take root");
            None
        }
        built => Some((built.expect("a lab"), Programs { agent })),
    }
}

fn bad(checks: &[Check]) -> Vec<&Check> {
    checks.iter().filter(|check| !check.ok).collect()
}

/// Runs a program to its end in a namespace; what it wrote.
async fn output(namespace: &Namespace, folder: &Path, program: &str, args: &[&str]) -> String {
    let log = folder.join("output.log");
    let _ = fs::remove_file(&log);
    let mut program = Program::start(Spec {
        what: program,
        program: &find(program, program).expect("it is installed"),
        args: args.iter().map(Into::into).collect(),
        env: Vec::new(),
        namespace: Some(namespace),
        log: &log,
        pipe_stdout: false,
    })
    .expect("it starts");
    timeout(SOON, program.wait()).await.expect("in time").expect("a status");
    fs::read_to_string(log).expect("its output")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_are_answered_through_their_routers_as_far_as_their_networks_allow() {
    let mut plan = plan(Policy::NoUdp);
    let Some((mut lab, programs)) = build("srv-check", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    let servers = servers.unwrap_or_else(|error| panic!("{error}"));
    println!("started in {:?}", began.elapsed());

    for policy in [Policy::Open, Policy::NoUdp, Policy::OnlyTcp(443)] {
        plan.viewer = side(policy);
        lab.rewire(&plan).expect("another network");
        let began = Instant::now();
        let checks = servers.check(&lab, &plan.device, &plan.viewer).await;
        println!("{policy:?}: {} checks in {:?}", checks.len(), began.elapsed());
        assert_eq!(bad(&checks), Vec::<&Check>::new());
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
        assert_eq!(checks.len(), 10, "hub, STUN and three ways to TURN, from two sides");
        let stun = checks.iter().find(|check| check.what.starts_with("STUN")).expect("one about STUN");
        assert!(stun.found.starts_with("sees 198.51.100.1:"), "the router's address: {stun:?}");
        let silent = checks.iter().filter(|check| check.wanted.starts_with("no answer")).count();
        let expected = match policy {
            Policy::Open => 0,
            Policy::NoUdp => 2,
            Policy::OnlyTcp(_) => 3,
        };
        assert_eq!(silent, expected, "{checks:#?}");
        let began = Instant::now();
        let reachable = servers.check_reachable(&lab, &plan.device, &plan.viewer).await;
        println!("{policy:?}: {} checks in {:?}", reachable.len(), began.elapsed());
        assert_eq!((bad(&reachable), reachable.len()), (Vec::new(), 4));
    }
    assert_eq!(servers.hub_for_devices(&plan.device), "ws://192.0.2.1:8080/v1/device");
    assert_eq!(servers.hub_for_viewers(&plan.viewer), "192.0.2.2:443", "the only port that is let out");

    // A network in which no scenario can be run says so.
    plan.viewer = side(Policy::OnlyTcp(22));
    let checks = servers.check_reachable(&lab, &plan.device, &plan.viewer).await;
    let [hub] = bad(&checks)[..] else { panic!("{checks:#?}") };
    assert!(hub.found.contains("let servers.turns_port be that port"), "{hub:?}");

    // coturn's own client of RFC 5780, which needs the server's two addresses and two ports.
    let words =
        output(lab.device(), folder.path(), "turnutils_natdiscovery", &["-m", "-f", "192.0.2.1"]).await;
    for found in ["Endpoint Independent Mapping", "Address and Port Dependent Filtering"] {
        assert!(words.contains(found), "{found}: {words}");
    }
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_missed_and_comes_back_as_it_was() {
    let plan = plan(Policy::Open);
    let Some((lab, programs)) = build("srv-kill", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    let mut servers = servers.unwrap_or_else(|error| panic!("{error}"));
    let tokens = (servers.device_token().to_owned(), servers.viewer_token().to_owned());
    for (server, gone) in [(ServerName::Turn, 8), (ServerName::Hub, 2)] {
        servers.kill(server).await;
        let checks = servers.check(&lab, &plan.device, &plan.viewer).await;
        assert_eq!(bad(&checks).len(), gone, "{checks:#?}");
        let began = Instant::now();
        servers.revive(&lab, server).await.unwrap_or_else(|error| panic!("{error}"));
        println!("{server:?} is back after {:?}", began.elapsed());
        let checks = servers.check(&lab, &plan.device, &plan.viewer).await;
        assert_eq!(bad(&checks), Vec::<&Check>::new());
    }
    assert_eq!((servers.device_token(), servers.viewer_token()), (tokens.0.as_str(), tokens.1.as_str()));
    servers.alive().expect("both run");
    for artefact in servers.artefacts() {
        assert!(fs::metadata(folder.path().join(&artefact.path)).expect("a log").len() > 0, "{artefact:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_of_every_ip_version_are_answered() {
    let mut plan = plan(Policy::Open);
    (plan.device.network, plan.viewer.network) = (Network::Ipv6, Network::Dual);
    let Some((mut lab, programs)) = build("srv-six", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    let servers = servers.unwrap_or_else(|error| panic!("{error}"));
    for (network, checks_wanted) in [(Network::Ipv6, 5 + 9), (Network::Nat64, 5 + 9), (Network::Dual, 9 + 9)]
    {
        plan.device.network = network;
        lab.rewire(&plan).expect("another network");
        let checks = servers.check(&lab, &plan.device, &plan.viewer).await;
        assert_eq!((bad(&checks), checks.len()), (Vec::new(), checks_wanted), "{network:?}");
        let six = checks.iter().find(|check| check.what.starts_with("STUN at [2001:db8::1]"));
        let six = six.expect("one about IPv6");
        assert!(six.found.starts_with("sees [2001:db8:1::2]:"), "no NAT there: {six:?}");
    }
    plan.device.network = Network::Ipv6;
    assert_eq!(servers.hub_for_devices(&plan.device), "ws://[2001:db8::1]:8080/v1/device");
    assert_eq!(servers.hub_for_viewers(&plan.viewer), "192.0.2.1:8080");
    let hub = fs::read_to_string(folder.path().join("hub.toml")).expect("its settings");
    assert!(
        hub.contains("turns:[2001:db8::1]:443?transport=tcp") && hub.contains("stun:192.0.2.1:3478"),
        "{hub}"
    );
}

/// What the hub tells a viewer about a device that is there.
async fn connect(lab: &Lab, servers: &Servers, viewer: &Side, device: &str) -> serde_json::Value {
    let hub = servers.hub_for_viewers(viewer);
    let stream = lab.viewer().run(|| std::net::TcpStream::connect(&hub)).expect("the hub listens");
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    let mut request =
        format!("ws://{hub}/v1/viewer?device={device}").into_client_request().expect("a request");
    let token = format!("Bearer {}", servers.viewer_token());
    request.headers_mut().insert("Authorization", HeaderValue::from_str(&token).expect("a token"));
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
    loop {
        let message = timeout(SOON, socket.next()).await.expect("the device comes in time");
        let message = message.expect("the hub goes on").expect("a message");
        let Ok(text) = message.to_text() else { continue };
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { continue };
        if value.get("connect").is_some() {
            return value["connect"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_takes_a_real_agent_and_names_the_servers_to_its_viewers() {
    let mut plan = plan(Policy::OnlyTcp(443));
    let Some((mut lab, programs)) = build("srv-agent", &plan, DeviceHost::Process) else { return };
    for (network, device_hub, viewer_hub, host) in [
        (Network::Ipv4, "ws://192.0.2.1:8080/v1/device", "192.0.2.2:443", "192.0.2.1"),
        (Network::Ipv6, "ws://[2001:db8::1]:8080/v1/device", "[2001:db8::2]:443", "[2001:db8::1]"),
    ] {
        (plan.device.network, plan.viewer.network) = (network, network);
        lab.rewire(&plan).expect("another network");
        let folder = tempfile::tempdir().expect("a folder");
        let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
        let mut servers = servers.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(servers.hub_for_devices(&plan.device), device_hub);
        assert_eq!(servers.hub_for_viewers(&plan.viewer), viewer_hub);
        let mut agent = agent(&lab, &servers, &programs, device_hub, folder.path());

        let urls = connect(&lab, &servers, &plan.viewer, "cam").await.to_string();
        for url in [
            format!("stun:{host}:3478"),
            format!("turn:{host}:3478?transport=udp"),
            format!("turn:{host}:3478?transport=tcp"),
            format!("turns:{host}:443?transport=tcp"),
        ] {
            assert!(urls.contains(&url), "{url}: {urls}");
        }
        assert!(servers.turn_ca().is_some_and(|ca| ca.starts_with("-----BEGIN CERTIFICATE-----")));
        // A new hub has the old tokens: the agent comes back by itself.
        servers.kill(ServerName::Hub).await;
        servers.revive(&lab, ServerName::Hub).await.unwrap_or_else(|error| panic!("{error}"));
        connect(&lab, &servers, &plan.viewer, "cam").await;
        assert!(agent.ended_early().is_none());
        agent.stop(SOON).await;
        servers.stop().await;
    }
}

/// The agent as a camera called `cam` on the device's side.
fn agent(lab: &Lab, servers: &Servers, programs: &Programs, hub: &str, folder: &Path) -> Program {
    let token = folder.join("token");
    fs::write(&token, servers.device_token()).expect("a file");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("a file of one's own");
    let args = ["run", "--signaling", hub, "--device-id", "cam", "--video", "pattern", "--audio", "none"];
    let mut args: Vec<_> = args.iter().map(Into::into).collect();
    args.extend(["--token-file".into(), token.into_os_string()]);
    let started = Program::start(Spec {
        what: "the agent",
        program: &programs.agent,
        args,
        env: vec![("P2PCAM_DEVICE_STATE_DIR".into(), folder.join("agent").into_os_string())],
        namespace: Some(lab.device()),
        log: &folder.join("agent.log"),
        pipe_stdout: false,
    });
    started.expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_with_who_wants_it_and_where() {
    let plan = plan(Policy::Open);
    let Some((lab, programs)) = build("srv-clash", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for (turn_port, turns_port, words) in [
        (443, 443, "port 443 is given to TURN over UDP and TCP and to TURN over TLS"),
        (HUB_PORT, 443, "port 8080 is given to TURN over UDP and TCP and to the hub"),
        (3478, HUB_PORT, "port 8080 is given to TURN over TLS and to the hub"),
    ] {
        let wanted = plan::Servers { turn_port, turns_port, ..wanted() };
        let error = Servers::start(&lab, &wanted, &programs, folder.path()).await.expect_err("it cannot");
        assert!(error.to_string().starts_with(words), "{error}");
    }
    for (address, words) in [
        ("192.0.2.1:3478", "coturn cannot have 192.0.2.1:3478 in the namespace p2phil-srv-clash-net"),
        ("0.0.0.0:8080", "the hub cannot have "),
        ("192.0.2.2:443", "the hub's second door cannot have 192.0.2.2:443"),
    ] {
        let squatter = lab.internet().run(|| TcpListener::bind(address)).expect("it is free");
        let error =
            Servers::start(&lab, &plan.servers, &programs, folder.path()).await.expect_err("it cannot");
        assert!(error.to_string().starts_with(words), "{error}");
        assert!(error.to_string().contains("another program listens there"), "{error}");
        drop(squatter);
    }
    let gone = Programs { agent: "/no/such/p2pcam-agent".into() };
    let error = Servers::start(&lab, &plan.servers, &gone, folder.path()).await.expect_err("it cannot");
    assert!(error.to_string().contains("/no/such/p2pcam-agent"), "{error}");
    // What was started before the fault is gone: the ports are free again.
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    servers.unwrap_or_else(|error| panic!("{error}")).stop().await;
}

/// Not a test of its own: what [`a_killed_rig_leaves_no_server`] runs as its rig.
#[tokio::test(flavor = "multi_thread")]
async fn plays_the_rig() {
    let Some(folder) = env::var_os(ROLE) else { return };
    let plan = plan(Policy::Open);
    let (lab, programs) = build(KILLED, &plan, DeviceHost::Process).expect("the test could");
    let servers = Servers::start(&lab, &plan.servers, &programs, Path::new(&folder)).await;
    let _servers = servers.unwrap_or_else(|error| panic!("{error}"));
    fs::write(Path::new(&folder).join("started"), "").expect("a file");
    tokio::time::sleep(2 * SOON).await;
}

#[test]
fn a_killed_rig_leaves_no_server() {
    // Only to learn whether it can be run here.
    if build("srv-probe", &plan(Policy::Open), DeviceHost::Process).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "plays_the_rig"])
        .env(ROLE, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let inside = || {
        let pids = Command::new("ip").args(["netns", "pids", &format!("p2phil-{KILLED}-net")]).output();
        String::from_utf8_lossy(&pids.expect("ip").stdout).lines().count()
    };
    let wait_until = |what: &str, condition: &dyn Fn() -> bool| {
        let deadline = Instant::now() + SOON;
        while !condition() {
            assert!(Instant::now() < deadline, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_until("the servers run", &|| folder.path().join("started").exists());
    assert!(inside() >= 2, "coturn and the hub: {}", inside());
    rig.kill().expect("it is killed");
    rig.wait().expect("it ends");
    wait_until("they are gone", &|| inside() == 0);
    for end in ["dev", "vw", "net"] {
        let removed = Command::new("ip").args(["netns", "del", &format!("p2phil-{KILLED}-{end}")]).status();
        assert!(removed.expect("ip").success(), "{end}");
    }
}

/// A board's network card: one end is `board0` of the lab, the other in a namespace that plays the board.
fn cable(lab: &Lab, board: &Namespace) {
    let lan = lab.lan().expect("a LAN");
    let ip = |args: String| {
        let done = Command::new("ip").args(args.split(' ')).status().expect("ip");
        assert!(done.success(), "ip {args}");
    };
    let (here, there) = (lab.device().name(), board.name());
    ip(format!("link add {BOARD_INTERFACE} netns {here} type veth peer name eth0 netns {there}"));
    ip(format!("-n {here} addr add {}/{} dev {BOARD_INTERFACE}", lan.gateway, lan.prefix));
    ip(format!("-n {here} link set {BOARD_INTERFACE} up"));
    ip(format!("-n {there} link set eth0 up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_with_dhcp_needs_no_set_up() {
    let plan = plan(Policy::Open);
    let Some((lab, _)) = build("srv-lan", &plan, DeviceHost::Lan) else { return };
    let Ok(busybox) = find("busybox", "busybox") else {
        return println!("not run: no DHCP client: install the package busybox");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let lan = LanServer::start(&lab, &plan.device, &folder.path().join("lan")).await;
    let mut lan = lan.unwrap_or_else(|error| panic!("{error}"));
    let error =
        lan.wait_for_lease(Duration::from_millis(50)).await.expect_err("there is no board").to_string();
    assert!(error.contains("no device asked for an address on board0 of p2phil-srv-lan-dev"), "{error}");

    let board = Namespace::create("srv-board").expect("a namespace");
    cable(&lab, &board);
    let script = folder.path().join("script");
    fs::write(
        &script,
        "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nenv\nip addr add $ip/$mask dev $interface\n",
    )
    .expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let script = script.to_string_lossy();
    let busybox = busybox.to_string_lossy();
    let args = [
        "udhcpc",
        "-i",
        "eth0",
        "-n",
        "-q",
        "-f",
        "-t",
        "10",
        "-T",
        "1",
        "-x",
        "hostname:board",
        "-s",
        &script,
    ];
    let began = Instant::now();
    let words = output(&board, folder.path(), &busybox, &args).await;
    let lease = lan.wait_for_lease(SOON).await.unwrap_or_else(|error| panic!("{error}"));
    println!("{lease:?} after {:?}", began.elapsed());
    let wanted = lab.lan().expect("a LAN");
    assert_eq!((lease.address, lease.name.as_deref()), (wanted.leases.0, Some("board")), "{words}");
    for line in ["ip=192.168.1.2", "mask=24", "router=192.168.1.1", "dns=192.168.1.1", "lease=120"] {
        assert!(words.lines().any(|found| found == line), "{line}: {words}");
    }
    let answer =
        output(&board, folder.path(), &busybox, &["nslookup", "turn.p2pcam.test", "192.168.1.1"]).await;
    assert!(answer.contains("192.0.2.1"), "{answer}");
    let answer = output(&board, folder.path(), &busybox, &["nslookup", "pool.ntp.org", "192.168.1.1"]).await;
    assert!(answer.contains("NXDOMAIN"), "at once, and no real server is asked: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_a_nat64_network_see_its_dns_and_no_other() {
    let mut plan = plan(Policy::Open);
    plan.device.network = Network::Nat64;
    let Some((lab, _)) = build("srv-dns", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lan = LanServer::start(&lab, &plan.device, folder.path()).await;
    let lan = lan.unwrap_or_else(|error| panic!("{error}"));
    let ask = async |name| output(lab.device(), folder.path(), "getent", &["ahosts", name]).await;
    let prefix = ask("ipv4only.arpa").await;
    for address in ["64:ff9b::c000:aa", "64:ff9b::c000:ab"] {
        assert!(prefix.contains(address), "{address}: {prefix}");
    }
    let hub = ask("hub.p2pcam.test").await;
    assert!(hub.contains("2001:db8::1") && !hub.contains("192.0.2.1"), "{hub}");
    drop(lan);
    let own = Path::new("/etc/netns").join(lab.device().name());
    assert!(!own.exists(), "nothing is left in /etc");
}
