//! Real servers in real labs. Takes root, coturn, dnsmasq and the agent; without one of them, says so and runs nothing.
#![allow(clippy::expect_used)]

mod lan;
mod nat_kind;
mod support;

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use p2pcam_hil::{
    lab::{
        DeviceHost, Lab,
        fabric::Policy,
        wire::{Faults, Loss},
    },
    process::{Program, Spec},
    record::Check,
    scenario::plan::{self, Network, ServerName, Side},
    servers::{HUB_PORT, Programs, Servers},
};
use support::{SOON, bad, build, output, plan, side, wait_until, wanted};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{client::IntoClientRequest, http::HeaderValue};

/// Set for the copy of this test program that plays a rig: its folder.
const ROLE: &str = "P2PHIL_TEST_SERVERS";
/// The lab of that copy.
const KILLED: &str = "srv-killed";

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
    // And its own client of TURN: through two allocations, from relay to relay.
    let secret = fs::read_to_string(folder.path().join("turn-secret")).expect("the secret");
    let args = ["-W", &secret, "-y", "-n", "20", "-m", "1", "192.0.2.1"];
    let words = output(lab.device(), folder.path(), "turnutils_uclient", &args).await;
    assert!(words.contains("Total lost packets 0"), "{words}");
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_no_fault_of_the_servers() {
    let mut plan = plan(Policy::Open);
    // TCP loses no more often than its own patience, and the check's, can bear.
    let line = Faults { delay: Duration::from_millis(200), loss: Loss::Random(0.03), ..Faults::default() };
    (plan.device.uplink.up, plan.device.uplink.down) = (line, line);
    let Some((lab, programs)) = build("srv-bad", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    let servers = servers.unwrap_or_else(|error| panic!("{error}"));
    let began = Instant::now();
    let checks = servers.check(&lab, &plan.device, &plan.viewer).await;
    println!("{} checks in {:?}", checks.len(), began.elapsed());
    assert_eq!(bad(&checks), Vec::<&Check>::new());
    assert!(began.elapsed() > 5 * 2 * line.delay, "as long as TURN over TLS takes");
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
    drop(servers.unwrap_or_else(|error| panic!("{error}")));
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
