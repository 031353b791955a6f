//! dnsmasq on the device's side, with a real DHCP client in a namespace that plays the board.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use p2pcam_hil::{
    lab::{DeviceHost, Lab, build::BOARD_INTERFACE, fabric::Policy, namespace::Namespace},
    process::find,
    scenario::plan::Network,
    servers::{Servers, lan::LanServer},
};

use super::support::{SOON, build, output, plan, wait_until};

/// What the DHCP client calls: shows what it was told, and does as a board would.
const SCRIPT: &str = "#!/bin/sh
[ \"$1\" = bound ] || exit 0
env
ip addr add $ip/$mask dev $interface
ip route add default via $router
";

fn ip(args: &str) {
    let done = Command::new("ip").args(args.split(' ')).status().expect("ip");
    assert!(done.success(), "ip {args}");
}

/// A board's network card: one end is `board0` of the lab, the other in a namespace that plays the board.
fn cable(lab: &Lab, board: &Namespace) {
    let (here, there) = (lab.device().name(), board.name());
    ip(&format!("link add {BOARD_INTERFACE} netns {here} type veth peer name eth0 netns {there}"));
    lab.adopt_board_interface(BOARD_INTERFACE).expect("the gateway's addresses");
    ip(&format!("-n {there} link set eth0 up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_with_dhcp_needs_no_set_up() {
    let plan = plan(Policy::Open);
    let Some((lab, programs)) = build("srv-lan", &plan, DeviceHost::Lan) else { return };
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
    fs::write(&script, SCRIPT).expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a program");
    let script = script.to_string_lossy();
    let busybox = busybox.to_string_lossy();
    let args = format!("udhcpc -i eth0 -n -q -f -t 10 -T 1 -x hostname:board -s {script}");
    let args: Vec<_> = args.split(' ').collect();
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

    let servers = Servers::start(&lab, &plan.servers, &programs, &folder.path().join("servers")).await;
    let _servers = servers.unwrap_or_else(|error| panic!("{error}"));
    let answer = output(&board, folder.path(), "turnutils_natdiscovery", &["-m", "192.0.2.1"]).await;
    assert!(answer.contains("reflexive addr: 198.51.100.1:"), "through the lab's router: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_finds_its_ipv6_network_by_itself() {
    let mut plan = plan(Policy::Open);
    plan.device.network = Network::Ipv6;
    let Some((lab, programs)) = build("srv-ra", &plan, DeviceHost::Lan) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lan = LanServer::start(&lab, &plan.device, &folder.path().join("lan")).await;
    let _lan = lan.unwrap_or_else(|error| panic!("{error}"));
    let servers = Servers::start(&lab, &plan.servers, &programs, &folder.path().join("servers")).await;
    let _servers = servers.unwrap_or_else(|error| panic!("{error}"));
    let board = Namespace::create("srv-ra-board").expect("a namespace");
    cable(&lab, &board);
    let addresses = || {
        let shown =
            Command::new("ip").args(["-n", board.name(), "-6", "addr", "show", "dev", "eth0"]).output();
        String::from_utf8_lossy(&shown.expect("ip").stdout).into_owned()
    };
    wait_until("an address of the network", &|| {
        addresses().lines().any(|line| line.contains("inet6 2001:db8:1:") && !line.contains("tentative"))
    });
    let answer = output(&board, folder.path(), "turnutils_natdiscovery", &["-m", "2001:db8::1"]).await;
    assert!(answer.contains("reflexive addr: 2001:db8:1:"), "through the lab's firewall: {answer}");
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
