//! Tests of what does not go together in a scenario.

use super::{plan, refused, refused_once};

#[test]
fn times_that_do_not_fit_are_contradictions() {
    let event = "[[event]]\nat = \"9s\"\ndo = \"cut-uplink\"\nside = \"device\"\nlasts = \"2s\"\n";
    refused_once(event, 3, &["this ends at 11s", "set time = \"13s\""]);
    refused_once(&event.replace("9s", "12s"), 3, &["at 12s the scenario is over"]);
    let recovery = format!("{}[expect]\nrecovered-within = \"5s\"", event.replace("9s", "4s"));
    refused_once(&recovery, 3, &["recovery may take until 11s"]);
    refused_once("[expect]\nrecovered-within = \"5s\"", 3, &["nothing happens"]);
    let unfelt =
        "[[event]]\nat = \"1s\"\ndo = \"step-clock\"\nby = \"1h\"\n[expect]\nrecovered-within = \"5s\"";
    refused_once(unfelt, 7, &["nothing happens that a viewer may feel"]);
    refused_once("[expect]\nfirst-picture = \"20s\"", 3, &["but the scenario lasts 10s"]);
    refused_once(
        "time = \"3s\"\n[expect]\nbitrate = [\"0bit\", \"1Mbit\"]",
        4,
        &["cannot be told within 3s"],
    );
    refused_once("[[viewers]]\nat = \"10s\"", 2, &["comes at 10s, and the scenario lasts 10s"]);
    let twice = "[[event]]\nat = \"1s\"\ndo = \"kill-server\"\nserver = \"hub\"\nlasts = \"3s\"\n\
                 [[event]]\nat = \"2s\"\ndo = \"kill-server\"\nserver = \"hub\"\nlasts = \"3s\"\n";
    refused_once(twice, 8, &["gone already, from 1s to 4s"]);
}

#[test]
fn what_may_stand_under_a_wrong_name_is_not_called_a_contradiction() {
    let event = "[[event]]\nat = \"20s\"\ndo = \"reboot-router\"\nside = \"device\"\n";
    refused_once(
        &format!("tiem = \"30s\"\n[device]\nrouters = [\"linux\"]\n{event}"),
        2,
        &["did you mean `time`?"],
    );
    refused_once(
        &format!("time = \"30s\"\n[devise]\nrouters = [\"linux\"]\n{event}"),
        3,
        &["did you mean `device`?"],
    );
}

#[test]
fn one_wrong_event_does_not_hide_what_is_wrong_with_another() {
    let problems = refused(
        "[[event]]\nat = \"1s\"\ndo = \"unplug\"\n[[event]]\nat = \"2s\"\ndo = \"switch-uplink\"\nside = \"device\"",
    );
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[1].contains("no spare uplink"), "{problems:?}");
}

#[test]
fn events_need_what_they_happen_to() {
    let event = |name: &str| format!("[[event]]\nat = \"1s\"\ndo = \"{name}\"\nside = \"device\"");
    refused_once(&event("switch-uplink"), 3, &["no spare uplink", "[device.spare]"]);
    refused_once(&event("reboot-router"), 3, &["the device has no router"]);
    let unplug =
        "[board]\nonly = [\"local\"]\n[[event]]\nat = \"1s\"\ndo = \"unplug-camera\"\nlasts = \"1s\"";
    refused_once(unplug, 3, &["a local board cannot unplug its camera"]);
}

#[test]
fn paths_that_cannot_be_are_contradictions() {
    let no_udp = "[device]\nfirewall = \"no-udp\"\n[expect]\n";
    refused_once(&format!("{no_udp}path = \"direct\""), 5, &["the device's firewall lets no UDP out"]);
    let chromium =
        "[[viewers]]\nkind = \"chromium\"\n[viewer]\nfirewall = \"no-udp\"\n[expect]\npath = \"direct\"\n";
    plan(chromium);
    refused_once(&format!("{chromium}[device]\nrouters = [\"symmetric\"]"), 7, &["the viewer's firewall"]);
    let forward = "{ kind = \"symmetric\", forwards = [{ protocol = \"tcp\", outside = 50000 }] }";
    plan(&format!("{chromium}[device]\nrouters = [{forward}]"));
    let only_443 = "[servers]\nturn = [\"udp\", \"tcp\"]\n[viewer]\nfirewall = \"only-tcp-443\"\n[expect]\n";
    refused_once(
        &format!("{only_443}path = \"relayed\""),
        7,
        &["only TCP 443", "give [servers] turn \"tls\""],
    );
    refused_once("[servers]\nturn = []\n[expect]\npath = \"relayed\"", 5, &["there is no TURN"]);
    refused_once("[expect]\npath = \"none\"", 3, &["both sides reach TURN", "turn = []"]);
    let none = "[servers]\nturn = []\n[expect]\npath = \"none\"\nfirst-picture = \"1s\"";
    refused_once(none, 6, &["contradicts path = \"none\""]);
    refused_once("[[viewers]]\nrelay-only = true\n[expect]\npath = \"direct\"", 5, &["uses relays only"]);
    refused_once("[servers]\nturn = []\n[[viewers]]\nrelay-only = true", 4, &["uses relays only"]);
    refused_once("[device]\nnetwork = \"ipv6\"\n[expect]\npath = \"direct\"", 5, &["only IPv6"]);
}

#[test]
fn ports_and_networks_that_clash_are_contradictions() {
    refused_once("[servers]\nturns-port = 3478", 3, &["port 3478 is used twice"]);
    refused_once("[servers]\nturn-port = 8080", 3, &["the hub listens there"]);
    let twice =
        "[device]\nrouters = [{ kind = \"symmetric\", forwards = [{ outside = 5 }, { outside = 5 }] }]";
    refused_once(twice, 3, &["5 is forwarded twice"]);
    refused_once("[device]\nnetwork = \"nat64\"\nrouters = [\"symmetric\"]", 4, &["no IPv4 that a router"]);
    refused_once("[device]\nnetwork = \"dual\"\nline = { mtu = \"1000B\" }", 4, &["too small for IPv6"]);
    refused_once(
        "shared-cgn = \"symmetric\"\n[device]\nrouters = [\"linux\"]\n[viewer]",
        5,
        &["a router of its own"],
    );
    refused_once("[device]\nrouters = [{ kind = \"linux\", hairpin = true }]", 3, &["as its kernel does"]);
}
