//! Tests of the reader: what files say, and the words for what is wrong with them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::{
    plan::{
        BoardKind, Event, Network, PathKind, Plan, RouterKind, ServerName, SideName, TurnTransport,
        ViewerKind,
    },
    *,
};
use crate::lab::{
    fabric::Policy,
    nat::{Behaviour, Filtering, Kind, Mapping, PortChoice},
    packet::Protocol,
    wire::{Faults, Loss},
};

fn plan(text: &str) -> Plan {
    let text = format!("about = \"A test\"\n{text}");
    read(&text, "some/test.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// All problems as `line:column what | allowed | hint`.
fn refused(text: &str) -> Vec<String> {
    let text = format!("about = \"A test\"\n{text}");
    let problems = read(&text, "test.toml").unwrap_err();
    assert!(!problems.to_string().is_empty());
    let words = |words: &Option<String>| words.clone().unwrap_or_default();
    let line = |p: &Problem| {
        format!("{}:{} {} | {} | {}", p.line, p.column, p.what, words(&p.allowed), words(&p.hint))
    };
    problems.list.iter().map(line).collect()
}

/// There is one problem, in this line, with these words.
#[track_caller]
fn refused_once(text: &str, line: usize, words: &[&str]) {
    let problems = refused(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(&format!("{line}:")), "{problems:#?}");
    for word in words {
        assert!(problems[0].contains(word), "{word:?} is not in {problems:#?}");
    }
}

#[test]
fn a_file_with_nothing_but_its_purpose_is_two_hosts_on_the_internet() {
    let plan = plan("");
    assert_eq!((plan.name.as_str(), plan.seed, plan.time), ("test", 1, Duration::from_secs(10)));
    assert_eq!(plan.device.uplink.routers, []);
    assert_eq!(plan.servers.turn.len(), 3);
    assert_eq!((plan.viewers.len(), plan.viewers[0].kind), (1, ViewerKind::Headless));
    assert_eq!(plan.expect, plan::Expect::default());
}

#[test]
fn routers_are_known_by_name_by_kind_and_by_table() {
    let plan = plan(
        "[device]\nrouters = [\"symmetric\", { kind = \"EIM/ADF\", ports = \"sequential\", hairpin = true, \
         udp-life = \"30s\", forwards = [{ outside = 50000 }, { protocol = \"tcp\", outside = 443, inside = 8443 }] }]\n\
         cgn = \"linux-random\"",
    );
    let routers = plan.device.uplink.routers;
    let symmetric = Kind(Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);
    assert_eq!(routers[0].kind, RouterKind::Computed(Behaviour::of(symmetric)));
    let RouterKind::Computed(second) = routers[1].kind else { panic!("{:?}", routers[1]) };
    assert_eq!(
        (second.mapping, second.filtering),
        (Mapping::EndpointIndependent, Filtering::AddressDependent)
    );
    assert_eq!(
        (second.ports, second.hairpin, second.udp_life),
        (PortChoice::Sequential, true, Duration::from_secs(30))
    );
    assert_eq!(routers[1].forwards, [(Protocol::Udp, 50000, 50000), (Protocol::Tcp, 443, 8443)]);
    assert_eq!(routers[2].kind, RouterKind::Linux { fully_random: true, port_mapping: None });
}

#[test]
fn a_line_is_a_preset_values_for_both_and_values_for_one() {
    let line = |text: &str| {
        let plan = plan(&format!("[device]\nline = {text}"));
        (plan.device.uplink.up, plan.device.uplink.down)
    };
    assert_eq!(line("\"lan\""), (Faults::default(), Faults::default()));
    let (up, down) = line(
        "{ preset = \"dsl\", delay = \"7ms\", loss = { begins = \"0.5%\", length = 8 }, up = { rate = \"1Mbit\" }, \
         down = { rate = \"any\", loss = \"0%\", mtu = \"1280B\" } }",
    );
    assert_eq!(
        (up.delay, up.rate, up.loss),
        (Duration::from_millis(7), Some(1_000_000), Loss::Bursts { begins: 0.005, length: 8.0 })
    );
    assert_eq!(
        (down.delay, down.rate, down.loss, down.mtu),
        (Duration::from_millis(7), None, Loss::NONE, 1280)
    );
}

#[test]
fn sides_servers_viewers_and_events_are_as_written() {
    let plan = plan(
        "time = \"30s\"\nshared-cgn = \"full-cone\"\n[device]\nrouters = [\"linux\"]\nfirewall = \"no-udp\"\n\
         [viewer]\nrouters = [\"linux\"]\n[servers]\nstun = false\nturn = [\"tls\"]\n[board]\nonly = [\"qemu\"]\n\
         [board.config.video]\nwidth = 640\n\
         [[viewers]]\nkind = \"chromium\"\nrelay-only = true\n[[viewers]]\nname = \"b\"\ncount = 2\n\
         [[event]]\nat = \"5s\"\ndo = \"step-clock\"\nby = \"-1h\"\n\
         [[event]]\nat = \"1s\"\ndo = \"kill-server\"\nserver = \"turn\"\nlasts = \"2s\"\n\
         [expect]\npath = \"relayed\"\nbitrate = [\"500kbit\", \"3Mbit\"]\nerror = \"no-path\"\nerror-text = \"x\"",
    );
    assert_eq!((plan.device.network, plan.device.uplink.policy), (Network::Ipv4, Policy::NoUdp));
    assert!(plan.shared_cgn.is_some());
    assert_eq!(plan.servers.turn.iter().collect::<Vec<_>>(), [&TurnTransport::Tls]);
    assert_eq!((plan.servers.stun, plan.servers.turn_port, plan.servers.turns_port), (false, 3478, 443));
    assert_eq!(plan.board.only, [BoardKind::Qemu]);
    assert_eq!(plan.board.config["video"]["width"].as_integer(), Some(640));
    let names: Vec<_> = plan.viewers.iter().map(|viewer| viewer.name.as_str()).collect();
    assert_eq!(names, ["viewer-1", "b-1", "b-2"]);
    assert!(plan.viewers[0].relay_only && plan.viewers[0].kind == ViewerKind::Chromium);
    let lasts = Duration::from_secs(2);
    assert_eq!(plan.events[0].event, Event::KillServer { server: ServerName::Turn, lasts });
    assert_eq!(plan.events[1].event, Event::StepClock { seconds: -3600 });
    assert_eq!((plan.expect.path, plan.expect.kbps), (Some(PathKind::Relayed), Some((500.0, 3000.0))));
    assert_eq!(
        (plan.expect.error.as_deref(), plan.expect.error_text.as_deref()),
        (Some("no-path"), Some("x"))
    );
}

#[test]
fn a_wrong_file_is_told_all_that_is_wrong_in_its_order() {
    let problems = refused(
        "time = \"10\"\n[device]\nroutesr = []\nnetwork = \"ipv5\"\n[[event]]\nat = \"3s\"\ndo = \"router-reboot\"\n\
         [expect]\npath = 1",
    );
    let starts: Vec<_> = problems.iter().map(|problem| problem.split(" | ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "2:8 `time`: \"10\" has no unit",
            "4:1 unknown key `routesr` in [device]",
            "5:11 `network`: there is no \"ipv5\"",
            "8:6 `do`: there is no \"router-reboot\"",
            "10:8 `path` is a number without a unit or quotes",
        ]
    );
    assert!(problems[0].ends_with("write \"10ms\" or \"10s\" or \"10min\" or \"10h\""));
    assert!(problems[1].ends_with("did you mean `routers`?"));
    assert!(
        problems[2].contains("\"ipv4\", \"dual\", \"ipv6\", \"nat64\"")
            && problems[2].ends_with("did you mean `ipv4`?")
    );
    assert!(problems[3].ends_with("did you mean `reboot-router`?"));
}

#[test]
fn a_problem_is_printed_as_a_compiler_would() {
    let text = "about = \"x\"\n\n[[event]]\nat = \"3s\"\ndo = \"router-reboot\"\n";
    let printed = read(text, "hil/x.toml").unwrap_err().to_string();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "hil/x.toml:5:6: `do`: there is no \"router-reboot\"");
    assert_eq!(lines[2], "5 | do = \"router-reboot\"");
    assert_eq!(lines[3], "  |      ^^^^^^^^^^^^^^^");
    assert!(lines[4].starts_with("  = allowed: \"reboot-router\", "));
    assert_eq!(lines[5], "  = did you mean `reboot-router`?");
}

#[test]
fn what_is_no_toml_is_told_once_with_its_place() {
    let problems = read("about = \"x\"\nname = home\n[device\n", "x.toml").unwrap_err().list;
    assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 3]);
    assert!(problems.iter().all(|p| p.what.starts_with("not TOML: ")), "{problems:?}");
    assert_eq!(read("about = 'a'\nabout = 'b'", "x.toml").unwrap_err().list[0].line, 2);
}

#[test]
fn a_key_of_another_table_is_sent_home() {
    refused_once("[device]\nstun = false", 3, &["unknown key `stun`", "it belongs in [servers]"]);
    refused_once("[viewer]\nrelay-only = true", 3, &["it belongs in [[viewers]]"]);
}

#[test]
fn names_are_held_to_letters_digits_and_hyphens() {
    refused_once("name = \"router reboot\"", 2, &["\"router reboot\" is no name", "write \"router-reboot\""]);
    refused_once("[[viewers]]\nname = \"a/b\"", 3, &["write \"a-b\""]);
    refused_once(
        "[[viewers]]\nname = \"a\"\n[[viewers]]\nname = \"a\"",
        5,
        &["two viewers are called \"a\""],
    );
    assert!(read("about = \"x\"", "no name!.toml").is_err());
}

#[test]
fn numbers_are_held_to_their_limits() {
    refused_once("time = \"2h\"", 2, &["out of range", "1s to 60min"]);
    refused_once("[device]\nline = { delay = \"1min\" }", 3, &["0s to 10s"]);
    refused_once("[device]\nline = { up = { mtu = \"9000B\" } }", 3, &["576B to 1500B"]);
    refused_once("[[viewers]]\ncount = 65", 3, &["more than 64 viewers"]);
    refused_once("[[viewers]]\ncount = 0", 3, &["whole number from 1"]);
    refused_once("[servers]\nturn-port = 70000", 3, &["1 to 65535"]);
    refused_once("[expect]\nbitrate = [\"3Mbit\", \"1Mbit\"]", 3, &["swap them"]);
}

#[test]
fn events_need_their_own_keys_and_no_others() {
    let event = |rest: &str| format!("[[event]]\nat = \"1s\"\n{rest}");
    refused_once(&event("do = \"kill-agent\"\nlasts = \"1s\""), 5, &["\"kill-agent\" takes no `lasts`"]);
    refused_once(
        &event("do = \"kill-server\"\nserver = \"hub\""),
        2,
        &["`lasts` is missing", "lasts = \"10s\""],
    );
    refused_once(&event("do = \"kill-server\"\nserver = \"stun\"\nlasts = \"1s\""), 5, &["write \"turn\""]);
    refused_once(&event(""), 2, &["`do` is missing", "reboot-router"]);
    refused_once(&event("do = \"step-clock\"\nby = \"0s\""), 5, &["out of range"]);
}

#[test]
fn settings_of_the_agent_are_checked_by_its_own_reader() {
    refused_once("[board.config.video]\nwidht = 640", 3, &["agent.toml", "did you mean `width`?"]);
    refused_once("[board.config.video]\nwidth = 641", 3, &["641", "even"]);
    refused_once("[board.config.vidoe]\nwidth = 640", 2, &["did you mean [board.config.video]?"]);
    refused_once("[board.config.signaling]\nlink = \"stdio\"", 3, &["the rig's own"]);
    plan("[board.config]\nvideo.width = 320\nvideo.controls = { brightness = 3 }\nice.port = 50000");
}

#[test]
fn a_board_is_unsuited_if_it_is_not_named_or_cannot() {
    let camera = plan("[[event]]\nat = \"1s\"\ndo = \"unplug-camera\"\nlasts = \"1s\"");
    assert_eq!(unsuited(&camera, BoardKind::Local), Some("a local board cannot unplug its camera".into()));
    assert_eq!(unsuited(&camera, BoardKind::Qemu), None);
    let only = plan("[board]\nonly = [\"qemu\", \"labgrid\"]");
    assert!(unsuited(&only, BoardKind::Local).unwrap().contains("qemu and labgrid boards"));
    assert_eq!(unsuited(&plan("[[event]]\nat = \"1s\"\ndo = \"kill-agent\""), BoardKind::Local), None);
}

#[test]
fn reboots_are_by_side() {
    let plan = plan(
        "[viewer]\nrouters = [\"linux\"]\n[[event]]\nat = \"1s\"\ndo = \"reboot-router\"\nside = \"viewer\"",
    );
    assert_eq!(plan.events[0].event, Event::RebootRouter { side: SideName::Viewer });
}

#[test]
fn deep_and_long_files_are_refused_without_a_panic() {
    for (begin, repeated) in
        [("a = ", "["), ("a = ", "{a="), ("", "["), ("a", ".a"), ("[a", ".a"), ("a = [", "1,")]
    {
        assert!(
            read(&format!("{begin}{}", repeated.repeat(200_000)), "x.toml").is_err(),
            "{begin}{repeated}..."
        );
    }
}

#[test]
fn a_huge_file_is_refused() {
    let problems = read(&"#".repeat((1 << 20) + 1), "x.toml").unwrap_err();
    assert!(problems.to_string().contains("up to 1 MiB"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Err(problems) = read(&text, "x.toml") {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    /// One line of the example replaced by something else: the reader gets deep into the file.
    #[test]
    fn no_spoilt_example_panics(line in 0_usize..200, value in "\\PC{0,20}|\\[\\]|\\{\\}|-?[0-9]{1,20}|\"[0-9a-z%/-]{0,9}\"") {
        let text = example();
        let spoilt: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(index, text)| match text.split_once(" = ") {
                Some((key, _)) if index == line => format!("{key} = {value}"),
                _ => text.to_owned(),
            })
            .collect();
        if let Err(problems) = read(&spoilt.join("\n"), "x.toml") {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}

#[path = "sense_tests.rs"]
mod sense;

#[path = "docs_tests.rs"]
mod docs;
