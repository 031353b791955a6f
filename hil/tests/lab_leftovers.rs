//! What a killed lab leaves over, and network cards that are lent to one. Takes root; without it, says so and runs
//! nothing.
#![allow(clippy::expect_used)]

mod lab_support;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
};

use lab_support::{ask, behind, build, plan, socket};
use p2pcam_hil::{
    lab::{
        build::{DeviceHost, INTERNET, INTERNET6},
        leftovers::{Leftover, clean, leftovers},
        namespace::Namespace,
    },
    scenario::plan::{Network, Plan, Side, SideName},
};

/// Tells a process of this test that it is to hold a lab until it is killed; its name.
const HOLD: &str = "P2PCAM_HIL_TEST_HOLD";
/// What that process says when it is there; whether it has a lent interface comes after it.
const HELD: &str = "the lab is held: ";

fn ip(words: &str) -> bool {
    let status = Command::new("ip")
        .args(words.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Two ends of a cable on this machine; gone when dropped.
struct Cable(&'static str);

impl Cable {
    /// `None`, and a word, where there are none.
    fn new(one: &'static str, other: &str) -> Option<Self> {
        let made = ip(&format!("link add {one} type veth peer name {other}"));
        if !made {
            println!("not run: virtual cables (veth) take root and a kernel that has them");
        }
        made.then_some(Self(one))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.0));
    }
}

fn home() -> Plan {
    plan(behind(&["EIM/APDF"]), behind(&[]))
}

fn left_of(lab: &str) -> Vec<Leftover> {
    let begin = format!("p2phil-{lab}-");
    leftovers().into_iter().filter(|leftover| leftover.namespace.starts_with(&begin)).collect()
}

/// Not a test by itself: what the next one starts and kills.
#[test]
fn a_lab_is_held_until_the_process_is_killed() {
    let Ok(name) = std::env::var(HOLD) else { return };
    let Some(lab) = build(&name, &home(), DeviceHost::Lan) else { return };
    let taken = ip("link show held0").then(|| lab.take_interface("held0").expect("it is lent"));
    let mut sleeper = lab.device().command("sleep").arg("600").spawn().expect("a program in the namespace");
    println!("{HELD}{}", taken.is_some());
    sleeper.wait().expect("the program ends");
}

/// A process that holds a lab, and whether an interface was lent to it; `None` where there are no labs.
fn hold(name: &str) -> Option<(Child, bool)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "a_lab_is_held_until_the_process_is_killed", "--nocapture"])
        .env(HOLD, name)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(child.stdout.take().expect("its words")).lines();
    let held =
        lines.map_while(Result::ok).find_map(|line| line.split_once(HELD).map(|(_, taken)| taken == "true"));
    if held.is_none() {
        child.wait().expect("it ends");
    }
    Some((child, held?))
}

#[test]
fn what_a_killed_lab_left_over_is_cleaned_and_what_is_in_use_is_not() {
    let cable = Cable::new("held0", "held1");
    let Some((mut holder, taken)) = hold("killed") else { return println!("not run: namespaces take root") };
    assert_eq!(taken, cable.is_some());
    let there = left_of("killed");
    assert_eq!(there.len(), 3, "{there:?}");
    assert!(there.iter().all(|leftover| leftover.owner == Some(holder.id())));
    // Not while it lives.
    let cleaned = clean(Some("killed"));
    assert_eq!((cleaned.in_use.len(), cleaned.removed.len()), (3, 0), "{cleaned:?}");
    let again =
        p2pcam_hil::lab::Lab::build("killed", &home(), DeviceHost::Process).expect_err("the name is taken");
    assert!(again.to_string().contains(&format!("process {}", holder.id())), "{again}");
    let own_files = p2pcam_hil::lab::namespace::own_files("p2phil-killed-dev");
    fs::create_dir_all(&own_files).expect("as dnsmasq's start does");
    fs::write(own_files.join("resolv.conf"), "nameserver 127.0.0.1\n").expect("written");
    holder.kill().expect("SIGKILL");
    holder.wait().expect("it is dead");

    let again = p2pcam_hil::lab::Lab::build("killed", &home(), DeviceHost::Process).expect_err("a leftover");
    assert!(again.to_string().contains("`p2pcam-hil clean`"), "{again}");
    let there = left_of("killed");
    let running: Vec<_> = there.iter().flat_map(|leftover| leftover.processes.clone()).collect();
    assert!(running.iter().any(|(_, name)| name == "sleep"), "{there:?}");
    let cleaned = clean(Some("killed"));
    assert_eq!((cleaned.removed.len(), &cleaned.failed), (3, &vec![]), "{cleaned:?}");
    assert_eq!(left_of("killed"), []);
    assert!(!own_files.exists());
    for (pid, _) in running {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
    if cable.is_some() {
        assert_eq!(cleaned.given_back, ["held0"]);
        assert!(ip("link show held0"), "it is this machine's again");
    }
}

#[test]
fn nothing_is_left_over_by_a_lab_that_is_dropped() {
    let Some(lab) = build("dropped", &home(), DeviceHost::Process) else { return };
    let mut sleeper = lab.device().command("sleep").arg("600").spawn().expect("a program in the namespace");
    assert_eq!(left_of("dropped").len(), 3);
    drop(lab);
    assert!(!sleeper.wait().expect("it ends").success(), "it was killed");
    assert_eq!(left_of("dropped"), []);
    assert!(!fs::exists("/run/p2phil/p2phil-dropped-dev").expect("the folder is there"));
}

#[test]
fn a_board_on_a_lent_card_reaches_the_internet_through_the_lab_and_the_card_comes_back() {
    let Some(_cable) = Cable::new("lent0", "lent1") else { return };
    let Some(mut lab) = build("lent", &home(), DeviceHost::Lan) else { return };
    assert!(
        lab.take_interface("nosuch0")
            .is_err_and(|error| error.to_string().contains("no network interface nosuch0"))
    );
    let taken = lab.take_interface("lent0").expect("it is lent");
    assert!(!ip("link show lent0"));
    // What would be a board: its end of the cable, set up by hand as DHCP would.
    let board = Namespace::create("lent-board").expect("a namespace");
    let inside = |words: &str| {
        let status = board.command("ip").args(words.split_whitespace()).status();
        assert!(status.is_ok_and(|status| status.success()), "ip {words}");
    };
    assert!(ip(&format!("link set lent1 netns {}", board.name())));
    for (lan_plan, host, gateway, prefix) in [
        (home(), [192, 168, 1, 2], "192.168.1.1", 24),
        (plan(behind(&[]), behind(&[])), [198, 51, 100, 1], "198.51.100.254", 24),
    ] {
        lab.rewire(&lan_plan).expect("another network");
        lab.adopt_board_interface("board0").expect("it is there");
        let (host, lan) = (Ipv4Addr::from(host), lab.lan().expect("a LAN"));
        assert_eq!((lan.leases.0, lan.gateway.to_string(), lan.prefix), (host, gateway.into(), prefix));
        inside("addr flush dev lent1");
        inside(&format!("addr add {host}/{prefix} dev lent1"));
        inside("link set lent1 up");
        inside(&format!("route replace default via {gateway}"));
        let server = socket(lab.internet(), INTERNET[0], 0);
        let client = socket(&board, host, 0);
        let seen = ask(&client, &server).expect("it reaches the internet");
        assert_eq!(seen.ip(), lab.wan_address(SideName::Device));
        let checks = lab.self_probe();
        assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    }
    lab.rewire(&plan(Side { network: Network::Dual, ..behind(&["EIM/APDF"]) }, behind(&[])))
        .expect("another network");
    lab.adopt_board_interface("board0").expect("it is there");
    inside("addr add 2001:db8:1::2/64 dev lent1 nodad");
    inside("-6 route replace default via 2001:db8:1::1");
    let host = lab.addresses().device.v6.expect("IPv6");
    let (server, client) = (socket(lab.internet(), INTERNET6[0], 0), socket(&board, host, 0));
    assert_eq!(ask(&client, &server).map(|seen| seen.ip()), Some(host.into()));
    let spare = Side { spare: Some(behind(&["APDM/APDF"]).uplink), ..behind(&["EIM/APDF"]) };
    lab.rewire(&plan(spare, behind(&[]))).expect("another network");
    lab.adopt_board_interface("board0").expect("it is there");
    inside("addr flush dev lent1");
    inside("addr add 192.168.1.2/24 dev lent1");
    inside("route replace default via 192.168.1.1");
    let server = socket(lab.internet(), INTERNET[0], 0);
    let client = socket(&board, Ipv4Addr::new(192, 168, 1, 2), 0);
    let before = ask(&client, &server).expect("it reaches the internet");
    lab.switch_uplink(SideName::Device).expect("there is a spare one");
    let after = ask(&client, &server).expect("it reaches the internet by the other uplink");
    assert_eq!([before.ip().to_string(), after.ip().to_string()], ["198.51.100.1", "198.51.100.2"]);
    drop(taken);
    assert!(ip("link show lent0"), "it is this machine's again");
}
