//! `p2pcam-agent check --network` behind each of the lab's routers, against coturn with two addresses: it must tell what
//! the lab has built, and expect what the truth table says.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use p2pcam_agent::transport::discovery::{Filtering, Mapping, outlook};
use p2pcam_hil::{
    lab::{
        DeviceHost, Lab,
        fabric::Policy,
        nat::{self, Behaviour, Kind, PortChoice},
    },
    scenario::plan::{Plan, RouterKind, RouterPlan, Side},
    servers::Servers,
};
use serde_json::Value;

use super::support::{build, side, wanted};

/// What the configuration names of the lab's servers.
struct Named<'a> {
    stun: &'a [&'a str],
    turn: bool,
}

const TWO_ADDRESSES: Named<'_> = Named { stun: &["stun:192.0.2.1:3478"], turn: true };

/// Runs the command in the device's namespace. `folder` holds the servers' secret.
fn check(lab: &Lab, agent: &Path, folder: &Path, named: &Named<'_>) -> Value {
    let config = folder.join("agent.toml");
    let quoted: Vec<_> = named.stun.iter().map(|url| format!("{url:?}")).collect();
    let mut text = format!("[hub]\nstun = [{}]\n", quoted.join(", "));
    if named.turn {
        let secret = folder.join("turn-secret");
        let urls = "\"turn:192.0.2.1:3478\", \"turn:192.0.2.1:3478?transport=tcp\", \"turns:192.0.2.1:443\"";
        text += &format!("turn = [{urls}]\nturn_secret_file = {secret:?}\n");
        text += &format!("[ice]\nca_file = {:?}\n", folder.join("ca.pem"));
    }
    fs::write(&config, text).expect("a file");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let mut command = lab.device().command(&agent.display().to_string());
    command.args(["check", "--network", "--json", "--config"]).arg(&config);
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&told)
        .unwrap_or_else(|error| panic!("{error}: {told}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Mapping and filtering of the IPv4 report, as `EIM/APDF`.
fn kind(told: &Value) -> String {
    let four = &told["nat"][0];
    let word = |key: &str| four[key].as_str().unwrap_or("?").to_owned();
    format!("{}/{}", word("mapping"), word("filtering"))
}

fn ways(told: &Value) -> Vec<&str> {
    let lines = told["outlook"].as_array().expect("an outlook");
    lines.iter().map(|line| line["way"].as_str().expect("a way")).collect()
}

fn behind(routers: Vec<RouterKind>) -> Side {
    Side::behind(routers.into_iter().map(|kind| RouterPlan { kind, forwards: Vec::new() }))
}

fn computed(kind: &str, change: impl FnOnce(&mut Behaviour)) -> RouterKind {
    let mut behaviour = Behaviour::of(kind.parse().expect("a kind"));
    change(&mut behaviour);
    RouterKind::Computed(behaviour)
}

#[test]
fn the_outlook_is_that_of_the_truth_table() {
    for kind in Kind::ALL {
        let mapping = match kind.0 {
            nat::Mapping::EndpointIndependent => Mapping::EndpointIndependent,
            nat::Mapping::AddressDependent => Mapping::AddressDependent,
            nat::Mapping::AddressAndPortDependent => Mapping::AddressAndPortDependent,
        };
        let filtering = match kind.1 {
            nat::Filtering::EndpointIndependent => Filtering::EndpointIndependent,
            nat::Filtering::AddressDependent => Filtering::AddressDependent,
            nat::Filtering::AddressAndPortDependent => Filtering::AddressAndPortDependent,
        };
        for (viewer, theirs) in
            [(outlook::ViewerAt::Home, "EIM/APDF"), (outlook::ViewerAt::Mobile, "APDM/APDF")]
        {
            let expected = nat::truth::is_direct(kind, theirs.parse().expect("a kind"));
            let found = outlook::is_direct(Some(mapping), Some(filtering), viewer);
            assert_eq!(found, expected, "{kind} with {theirs}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_check_tells_what_the_lab_has_built() {
    let mut plan = Plan { servers: wanted(), ..Plan::between(side(Policy::Open), side(Policy::Open)) };
    let Some((mut lab, programs)) = build("explain-nat", &plan, DeviceHost::Process) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let servers = Servers::start(&lab, &plan.servers, &programs, folder.path()).await;
    let servers = servers.unwrap_or_else(|error| panic!("{error}"));
    fs::write(folder.path().join("ca.pem"), servers.turn_ca().expect("TURN over TLS")).expect("a file");
    let mut run = |device: Side, named: &Named<'_>| {
        plan.device = device;
        lab.rewire(&plan).expect("another router");
        check(&lab, &programs.agent, folder.path(), named)
    };

    for built in Kind::ALL {
        let built = built.to_string();
        let told = run(behind(vec![computed(&built, |_| {})]), &TWO_ADDRESSES);
        println!("{built}: {} {:?}", kind(&told), ways(&told));
        assert_eq!(kind(&told), built, "{told:#}");
        assert_eq!(told["nat"][0]["translated"], true);
    }
    for (what, routers, expected) in [
        (
            "Linux, masquerade",
            vec![RouterKind::Linux { fully_random: false, port_mapping: None }],
            "EIM/APDF",
        ),
        (
            "Linux, fully-random",
            vec![RouterKind::Linux { fully_random: true, port_mapping: None }],
            "APDM/APDF",
        ),
        // The stricter of the two counts.
        (
            "a restricted home router behind a symmetric carrier",
            vec![computed("EIM/ADF", |_| {}), computed("APDM/APDF", |_| {})],
            "APDM/APDF",
        ),
        (
            "two port-restricted in a row",
            vec![computed("EIM/APDF", |_| {}), computed("EIM/APDF", |_| {})],
            "EIM/APDF",
        ),
    ] {
        let told = run(behind(routers), &TWO_ADDRESSES);
        println!("{what}: {}", kind(&told));
        assert_eq!(kind(&told), expected, "{what}: {told:#}");
    }

    for (hairpin, ports) in [(true, PortChoice::Sequential), (false, PortChoice::Preserve)] {
        let router =
            computed("EIM/APDF", |behaviour| (behaviour.hairpin, behaviour.ports) = (hairpin, ports));
        let told = run(behind(vec![router]), &TWO_ADDRESSES);
        assert_eq!(told["nat"][0]["hairpins"], hairpin, "{told:#}");
        assert_eq!(told["nat"][0]["preserves_port"], ports == PortChoice::Preserve, "{told:#}");
    }

    let told = run(side(Policy::NoUdp), &TWO_ADDRESSES);
    assert_eq!(kind(&told), "?/?", "{told:#}");
    assert_eq!(told["nat"][0]["mapped"], Value::Null);
    assert_eq!(ways(&told), ["relayed"; 3], "TURN over TCP and TLS goes around: {told:#}");
    let told = run(side(Policy::NoUdp), &Named { turn: false, ..TWO_ADDRESSES });
    assert_eq!(ways(&told), ["no-way"; 3], "{told:#}");
    assert_eq!(told["findings"][0]["level"], "fail");
    assert!(told["advice"][0].as_str().is_some_and(|advice| advice.contains("turns:")), "{told:#}");
    servers.stop().await;
}
