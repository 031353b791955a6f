//! Whole labs for real. Takes root; without it, says so and runs nothing.
#![allow(clippy::expect_used)]

mod lab_support;

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::{Duration, Instant},
};

use lab_support::{PATIENCE, ask, behind, build, computed, plan, socket};
use p2pcam_hil::{
    lab::{
        build::{DeviceHost, INTERNET, INTERNET6, Lab},
        fabric::Policy,
        nat::{Behaviour, Kind},
        packet::Protocol,
        wire::Loss,
    },
    record::Check,
    scenario::plan::{Network, Plan, RouterKind, RouterPlan, Side, SideName},
};

/// Asks once from each side; what the internet's host sees.
fn outside(lab: &Lab, side: SideName) -> Option<IpAddr> {
    let addresses = lab.addresses();
    let host = match side {
        SideName::Device => addresses.device,
        SideName::Viewer => addresses.viewer,
    };
    let (Some(v4), true) = (host.v4, lab.device_host() == DeviceHost::Process) else { return None };
    let server = socket(lab.internet(), INTERNET[0], 0);
    let client = socket(lab.side(side), v4, 0);
    ask(&client, &server).map(|from| from.ip())
}

const BOTH: [SideName; 2] = [SideName::Device, SideName::Viewer];

#[test]
fn each_side_reaches_the_internet_by_its_public_address_whatever_is_between() {
    let chains: [&[&str]; 3] = [&[], &["EIM/APDF"], &["EIM/EIF", "APDM/APDF"]];
    let Some(mut lab) = build("reach", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else { return };
    for chain in chains {
        let start = Instant::now();
        lab.rewire(&plan(behind(chain), behind(chain))).expect("another network");
        println!("rewired in {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
        let wan = [Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 1)];
        for (side, wan) in BOTH.into_iter().zip(wan) {
            assert_eq!(lab.wan_address(side), IpAddr::from(wan));
            assert_eq!(outside(&lab, side), Some(wan.into()), "{side:?} behind {chain:?}");
        }
    }
}

#[test]
fn a_switch_of_uplinks_and_a_new_dial_in_change_the_address_outside_whatever_the_router_is() {
    let with_spare = |side: Side| Side { spare: Some(behind(&["EIM/EIF"]).uplink), ..side };
    let Some(mut lab) = build("events", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else { return };
    let mut pairs = vec![
        (behind(&["EIM/APDF"]), behind(&[])),
        (behind(&["EIM/EIF", "ADM/ADF"]), Side { network: Network::Dual, ..behind(&[]) }),
    ];
    if has_nft() {
        pairs.push((linux(false), behind(&["EIM/EIF"])));
    }
    for (device, viewer) in pairs {
        lab.rewire(&plan(with_spare(device), with_spare(viewer))).expect("another network");
        for side in BOTH {
            let mut seen = vec![outside(&lab, side).expect("it reaches the internet")];
            lab.switch_uplink(side).expect("there is a spare one");
            seen.push(outside(&lab, side).expect("it reaches the internet"));
            lab.switch_uplink(side).expect("back");
            assert_eq!(outside(&lab, side), Some(seen[0]));
            lab.change_wan_address(side).expect("another address");
            seen.push(outside(&lab, side).expect("it reaches the internet"));
            let last: Vec<_> =
                seen.iter().filter_map(|ip| ip.to_string().rsplit('.').next().map(str::to_owned)).collect();
            assert_eq!(last, ["1", "2", "3"], "{side:?}: {seen:?}");
            assert_eq!(lab.wan_address(side), seen[2]);
        }
        assert_right(&lab);
    }
    lab.rewire(&plan(behind(&[]), behind(&[]))).expect("another network");
    let error = lab.switch_uplink(SideName::Viewer).expect_err("there is no spare one").to_string();
    assert!(error.contains("[viewer.spare]"), "{error}");
}

#[test]
fn forwards_lead_through_all_routers_to_the_host() {
    let Some(mut lab) = build("forwards", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else {
        return;
    };
    let mut chains = vec![behind(&["APDM/APDF", "APDM/APDF"])];
    if has_nft() {
        chains.push(linux(false));
    }
    for mut side in chains {
        for (position, router) in side.uplink.routers.iter_mut().enumerate() {
            // Outside 5000 or 5001, at the host 5000.
            let port = 5000 + position as u16;
            router.forwards = vec![(Protocol::Udp, port, port.saturating_sub(1).max(5000))];
        }
        let port = 5000 + side.uplink.routers.len() as u16 - 1;
        lab.rewire(&plan(side, behind(&[]))).expect("another network");
        let server = socket(lab.device(), lab.addresses().device.v4.expect("IPv4"), 5000);
        let client = socket(lab.internet(), INTERNET[0], 0);
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 8];
        let heard = loop {
            client.send_to(b"hello", (lab.wan_address(SideName::Device), port)).expect("sent");
            if let Ok((_, from)) = server.recv_from(&mut buffer) {
                break Some(from);
            }
            if Instant::now() > deadline {
                break None;
            }
        };
        assert_eq!(heard, client.local_addr().ok());
    }
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    for name in ["", "a/b", "a b", "..", &"x".repeat(61)] {
        let error =
            Lab::build(name, &plan(behind(&[]), behind(&[])), DeviceHost::Process).expect_err("a bad name");
        assert!(error.to_string().contains("letters, digits and hyphens"), "{error}");
    }
}

fn has_nft() -> bool {
    let has = Command::new("nft").arg("--version").output().is_ok();
    if !has {
        println!("not run: Linux routers take the program nft");
    }
    has
}

fn linux(fully_random: bool) -> Side {
    let router =
        RouterPlan { kind: RouterKind::Linux { fully_random, port_mapping: None }, forwards: Vec::new() };
    let mut side = behind(&[]);
    side.uplink.routers.push(router);
    side
}

/// All that the rig says about itself, and how long that took.
fn probed(lab: &Lab) -> Vec<Check> {
    let start = Instant::now();
    let checks = lab.self_probe();
    println!("measured in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    for check in &checks {
        println!("  {}: wanted {}; found {}", check.what, check.wanted, check.found);
    }
    checks
}

fn assert_right(lab: &Lab) {
    let checks = probed(lab);
    assert!(!checks.is_empty() && checks.iter().all(|check| check.ok), "{checks:#?}");
}

#[test]
fn each_network_measures_as_what_the_plan_says() {
    let Some(mut lab) = build("kinds-of-net", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else {
        return;
    };
    assert_right(&lab);
    let network = |network, kinds: &[&str]| Side { network, ..behind(kinds) };
    let policy = |policy| {
        let mut side = behind(&["EIM/APDF"]);
        side.uplink.policy = policy;
        side
    };
    let mut slow = behind(&["ADM/ADF"]);
    slow.uplink.up.delay = Duration::from_millis(40);
    slow.uplink.down.delay = Duration::from_millis(20);
    slow.uplink.down.jitter = Duration::from_millis(10);
    slow.uplink.up.rate = Some(300_000);
    slow.uplink.down.loss = Loss::Random(0.05);
    let mut pairs = vec![
        (behind(&["APDM/EIF"]), behind(&["EIM/EIF", "ADM/APDF"])),
        (slow, behind(&["EIM/ADF"])),
        (policy(Policy::NoUdp), policy(Policy::OnlyTcp(443))),
        (network(Network::Dual, &["EIM/APDF"]), network(Network::Dual, &[])),
        (network(Network::Ipv6, &[]), network(Network::Nat64, &[])),
    ];
    if has_nft() {
        pairs.push((linux(false), linux(true)));
    }
    for (device, viewer) in pairs {
        lab.rewire(&plan(device, viewer)).expect("another network");
        assert_right(&lab);
    }
    let mut shared = plan(behind(&["EIM/EIF"]), behind(&[]));
    shared.shared_cgn = Some(computed("APDM/APDF"));
    lab.rewire(&shared).expect("another network");
    assert_right(&lab);
}

#[test]
fn a_planted_nat_is_found() {
    let mut lab = None;
    for kinds in [&["EIM/APDF"][..], &["EIM/EIF", "APDM/APDF"], &[]] {
        let plan = plan(behind(kinds), behind(&[]));
        match &mut lab {
            None => lab = build("planted", &plan, DeviceHost::Process),
            Some(lab) => lab.rewire(&plan).expect("another network"),
        }
        let Some(lab) = &lab else { return };
        lab.plant_wrong_nat();
        let checks = probed(lab);
        let wrong: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
        assert!(
            !wrong.is_empty() && wrong.iter().all(|check| check.what.starts_with("the device's")),
            "{checks:#?}"
        );
    }
}

#[test]
fn captures_hold_what_went_by() {
    let Some(lab) = build("captures", &plan(behind(&["EIM/APDF"]), behind(&[])), DeviceHost::Process) else {
        return;
    };
    assert!(outside(&lab, SideName::Device).is_some());
    let folder = tempfile::tempdir().expect("a folder");
    let files = lab.write_captures(folder.path());
    assert_eq!(
        files.iter().map(|file| file.path.display().to_string()).collect::<Vec<_>>(),
        ["device.pcap", "viewer.pcap"]
    );
    let file = std::fs::read(folder.path().join("device.pcap")).expect("a capture");
    for word in [&b"ask"[..], b"answer"] {
        assert!(file.windows(word.len()).any(|part| part == word));
    }
    match Command::new("tcpdump").args(["-nr"]).arg(folder.path().join("device.pcap")).output() {
        Ok(told) => {
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            println!("{told}");
            assert!(told.contains("IP 192.168.1.2.") && told.contains("> 192.0.2.1."), "{told}");
        }
        Err(_) => println!("not run: tcpdump is not there to read the capture"),
    }
}

#[test]
fn a_cut_line_is_silent_and_counts_go_on_when_it_is_mended() {
    let Some(lab) = build("cut", &plan(behind(&["EIM/APDF"]), behind(&[])), DeviceHost::Process) else {
        return;
    };
    for side in BOTH {
        assert!(outside(&lab, side).is_some());
        let before = lab.counts(side);
        lab.set_connected(side, false);
        let server = socket(lab.internet(), INTERNET[0], 0);
        let host = if side == SideName::Device { lab.addresses().device } else { lab.addresses().viewer };
        let client = socket(lab.side(side), host.v4.expect("IPv4"), 0);
        client.send_to(b"ask", server.local_addr().expect("an address")).expect("the host keeps its route");
        assert!(server.recv_from(&mut [0; 8]).is_err());
        assert_eq!(lab.counts(side), before);
        lab.set_connected(side, true);
        assert!(ask(&client, &server).is_some());
        assert!(lab.counts(side).0.passed > before.0.passed);
    }
}

#[test]
fn routers_of_another_network_know_nothing_of_what_was_before() {
    let plans = [1, 2].map(|seed| Plan { seed, ..plan(behind(&["APDM/APDF"]), behind(&[])) });
    let Some(mut lab) = build("fresh", &plans[0], DeviceHost::Process) else { return };
    let server = socket(lab.internet(), INTERNET[0], 3478);
    let client = socket(lab.device(), lab.addresses().device.v4.expect("IPv4"), 5000);
    let mut seen = Vec::new();
    for plan in [&plans[0], &plans[1], &plans[0]] {
        lab.rewire(plan).expect("another network");
        // The mapping of before leads nowhere.
        if let Some(before) = seen.last() {
            server.send_to(b"late", before).expect("sent");
            assert!(client.recv_from(&mut [0; 8]).is_err());
        }
        seen.push(ask(&client, &server).expect("it reaches the internet"));
    }
    assert_ne!(seen[0], seen[1], "another seed chooses another port");
    assert_eq!(seen[0], seen[2], "the same one the same");
    lab.reboot_router(SideName::Device).expect("a computed router");
    assert_ne!(ask(&client, &server), Some(seen[2]));
}

#[test]
fn hosts_behind_routers_reach_each_other_by_hole_punching() {
    let Some(mut lab) = build("punch", &plan(behind(&[]), behind(&[])), DeviceHost::Process) else { return };
    let mut shared = plan(behind(&["EIM/APDF"]), behind(&["EIM/APDF"]));
    let carrier = RouterKind::Computed(Behaviour { hairpin: true, ..Behaviour::of(Kind::ALL[2]) });
    shared.shared_cgn = Some(RouterPlan { kind: carrier, forwards: Vec::new() });
    let dual = |kinds: &[&str]| Side { network: Network::Dual, ..behind(kinds) };
    for (plan, v6) in [
        (plan(behind(&["EIM/APDF"]), behind(&["EIM/APDF"])), false),
        (plan(behind(&["APDM/APDF"]), behind(&["EIM/ADF"])), false),
        (plan(behind(&["EIM/EIF", "EIM/APDF"]), behind(&[])), false),
        (shared, false),
        (plan(dual(&["APDM/APDF"]), dual(&["APDM/APDF"])), true),
    ] {
        lab.rewire(&plan).expect("another network");
        let addresses = lab.addresses();
        let sockets = [(SideName::Device, addresses.device), (SideName::Viewer, addresses.viewer)].map(
            |(side, host)| {
                let address = if v6 { host.v6.map(IpAddr::from) } else { host.v4.map(IpAddr::from) };
                socket(lab.side(side), address.expect("an address"), 0)
            },
        );
        let server =
            socket(lab.internet(), if v6 { IpAddr::from(INTERNET6[0]) } else { INTERNET[0].into() }, 0);
        let outside = [0, 1].map(|one| ask(&sockets[one], &server).expect("it reaches the internet"));
        let deadline = Instant::now() + PATIENCE;
        let mut heard = [false; 2];
        // Each answers whoever speaks to it, as ICE does with what it learns from checks.
        let mut to = [outside[1], outside[0]];
        while heard != [true; 2] && Instant::now() < deadline {
            for one in [0, 1] {
                sockets[one].send_to(b"punch", to[one]).expect("sent");
            }
            for one in [0, 1] {
                if let Ok((_, from)) = sockets[one].recv_from(&mut [0; 8]) {
                    (heard[one], to[one]) = (true, from);
                }
            }
        }
        assert_eq!(heard, [true; 2], "{:?} and {:?}", plan.device, plan.viewer);
    }
}
