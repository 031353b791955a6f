//! The agent's transport behind real routers with miniupnpd: ports are opened, renewed, and closed at the end. Takes root
//! and miniupnpd; without them, says so and passes.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    process::Command,
    time::{Duration, Instant},
};

use p2pcam_agent::{
    config::IceConfig,
    telemetry::metrics::Metrics,
    transport::{
        DropReason, Transport,
        mapping::{Mapping, MappingKind, Problem, ask_once},
    },
};
use p2pcam_hil::{
    lab::{
        build::{DeviceHost, INTERNET, Lab},
        namespace::PREFIX,
    },
    process::find,
    scenario::plan::{Plan, PortMapping, RouterKind, RouterPlan, Side, SideName, Uplink},
};

#[path = "lab_support/mod.rs"]
mod support;

/// A router announces its restart, and its clients wait up to 5 s; three times that on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// What the agent has for its goodbye.
const GOODBYE: Duration = Duration::from_millis(1500);

fn router(port_mapping: Option<PortMapping>) -> RouterPlan {
    RouterPlan { kind: RouterKind::Linux { fully_random: true, port_mapping }, forwards: Vec::new() }
}

fn plan(routers: Vec<RouterPlan>) -> Plan {
    support::plan(Side::behind(routers), support::behind(&["EIM/EIF"]))
}

/// Runs a test in a lab's device; `None` and a word where there is none.
fn at_device<T: Send>(name: &str, plan: &Plan, test: impl AsyncFnOnce(&Lab) -> T + Send) -> Option<T> {
    for (program, package) in [("miniupnpd", "miniupnpd-nftables"), ("nft", "nftables")] {
        if let Err(missing) = find(program, package) {
            println!("not run: {missing}");
            return None;
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let lab = support::build(name, plan, DeviceHost::Process)?;
    let lab = &lab;
    let ran = lab.device().run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(test(lab)))
    });
    Some(ran.expect("the device's namespace"))
}

async fn transport() -> Transport {
    Transport::bind(&IceConfig::default(), &Metrics::new()).await.expect("a transport")
}

/// The first mapping that fits.
async fn mapping(transport: &Transport, fits: impl Fn(&Mapping) -> bool) -> Mapping {
    let mut mappings = transport.mappings().expect("routers are asked");
    let held = mappings.wait_for(|mappings| mappings.iter().any(&fits));
    let held = tokio::time::timeout(DEADLINE, held).await.expect("a mapping in time").expect("a mapper");
    *held.iter().find(|mapping| fits(mapping)).expect("waited for")
}

/// The rules that lead inside, as the kernel of the device's first router has them.
fn forwards(lab: &Lab) -> Vec<String> {
    let router = format!("{PREFIX}{}-dr00", lab.name());
    let list = Command::new("ip").args(["netns", "exec", &router, "nft", "list", "ruleset"]).output();
    let list = String::from_utf8(list.expect("nft").stdout).expect("text");
    list.lines().filter(|line| line.contains("dnat") && line.contains("dport")).map(Into::into).collect()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Somebody on the internet whom the device never heard of sends to the mapping until it gets through.
async fn stranger_gets_in(lab: &Lab, transport: &Transport, external: SocketAddr) {
    let stranger = lab.internet().run(|| UdpSocket::bind((IpAddr::from(INTERNET[1]), 0))).expect("a socket");
    let before = transport.metrics().dropped(DropReason::Unknown);
    until("a stranger gets in", || {
        stranger.send_to(&[22, 254, 253, 0], external).expect("sent");
        transport.metrics().dropped(DropReason::Unknown) > before
    })
    .await;
}

fn one_protocol(name: &str, wanted: PortMapping, kind: MappingKind) {
    at_device(name, &plan(vec![router(Some(wanted))]), async |lab| {
        let start = Instant::now();
        let transport = transport().await;
        let held = mapping(&transport, |_| true).await;
        println!("{} after {:?}: {held:?}", held.kind.as_str(), start.elapsed());
        assert_eq!(held.kind, kind);
        assert_eq!(held.local, transport.local_addresses()[0]);
        assert_eq!(held.external.ip(), lab.wan_address(SideName::Device));
        let rules = forwards(lab);
        // One for UDP and one for TCP.
        assert_eq!(rules.len(), transport.mappings().expect("a mapper").borrow().len(), "{rules:?}");
        assert!(rules.iter().all(|rule| rule.contains(&held.local.to_string())), "{rules:?}");
        stranger_gets_in(lab, &transport, held.external).await;
        let goodbye = Instant::now();
        transport.released().await;
        assert!(goodbye.elapsed() < GOODBYE, "{:?}", goodbye.elapsed());
        println!("given back in {:?}", goodbye.elapsed());
        assert_eq!(forwards(lab), Vec::<String>::new());
        assert!(transport.mappings().expect("a mapper").borrow().is_empty());
    });
}

#[test]
fn a_router_with_pcp_opens_the_port_and_closes_it_at_the_end() {
    one_protocol("map-pcp", PortMapping::Pcp, MappingKind::Pcp);
}

#[test]
fn a_router_with_nat_pmp_opens_the_port_and_closes_it_at_the_end() {
    one_protocol("map-pmp", PortMapping::NatPmp, MappingKind::NatPmp);
}

#[test]
fn a_router_with_upnp_opens_the_port_and_closes_it_at_the_end() {
    one_protocol("map-upnp", PortMapping::Upnp, MappingKind::Upnp);
}

#[test]
fn a_router_that_restarted_is_asked_again_as_soon_as_it_says_so() {
    at_device("map-again", &plan(vec![router(Some(PortMapping::All))]), async |lab| {
        let transport = transport().await;
        let held = mapping(&transport, |_| true).await;
        lab.reboot_router(SideName::Device).expect("a restart");
        assert_eq!(forwards(lab), Vec::<String>::new());
        let start = Instant::now();
        until("the mapping is there again", || !forwards(lab).is_empty()).await;
        println!("again after {:?}", start.elapsed());
        stranger_gets_in(lab, &transport, held.external).await;
        transport.released().await;
    });
}

#[test]
fn another_address_of_the_router_is_another_mapping() {
    at_device("map-wan", &plan(vec![router(Some(PortMapping::All))]), async |lab| {
        let transport = transport().await;
        let before = mapping(&transport, |_| true).await;
        lab.change_wan_address(SideName::Device).expect("another address");
        let after = mapping(&transport, |mapping| mapping.external.ip() != before.external.ip()).await;
        assert_eq!(after.external.ip(), lab.wan_address(SideName::Device));
        stranger_gets_in(lab, &transport, after.external).await;
        transport.released().await;
    });
}

#[test]
fn another_network_has_another_router() {
    let mut plan = plan(vec![router(Some(PortMapping::Pcp))]);
    plan.device.spare = Some(Uplink { routers: vec![router(Some(PortMapping::Upnp))], ..Uplink::default() });
    at_device("map-switch", &plan, async |lab| {
        let transport = transport().await;
        let before = mapping(&transport, |_| true).await;
        lab.switch_uplink(SideName::Device).expect("another uplink");
        let after = mapping(&transport, |mapping| mapping.local != before.local).await;
        assert_eq!(after.kind, MappingKind::Upnp);
        assert_eq!(after.external.ip(), lab.wan_address(SideName::Device));
        let held = transport.mappings().expect("a mapper");
        let stale = held.borrow().iter().any(|mapping| mapping.local.ip() == before.local.ip());
        assert!(!stale, "the one before is forgotten");
        transport.released().await;
    });
}

#[test]
fn a_router_behind_another_nat_is_no_help_and_one_without_a_server_neither() {
    let asked = |name, routers| {
        at_device(name, &plan(routers), async |_| {
            let transport = transport().await;
            let interfaces = transport.interfaces().borrow().clone();
            let mut asked = ask_once(&interfaces).await;
            assert_eq!(asked.len(), 1);
            println!("{asked:?}");
            assert!(transport.mappings().expect("a mapper").borrow().is_empty());
            transport.released().await;
            asked.remove(0).result.expect_err("nothing is opened")
        })
    };
    let double = asked("map-double", vec![router(Some(PortMapping::All)), router(None)]);
    if let Some(problems) = double {
        let told = problems.iter().any(|(_, problem)| !matches!(problem, Problem::NoAnswer));
        assert!(told, "{problems:?}");
    }
    if let Some(problems) = asked("map-none", vec![router(None)]) {
        assert!(problems.iter().all(|(_, problem)| *problem == Problem::NoAnswer), "{problems:?}");
        assert_eq!(problems.len(), 3);
    }
}
