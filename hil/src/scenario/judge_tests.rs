//! Tests of the judge: runs as they come out of a lab, and what they come to.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{scenario::read, viewer::Event};

fn plan(text: &str) -> Plan {
    let text = format!("about = \"A test\"\n{text}");
    read(&text, "test.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn second(ms: f64, pictures: u32, longest_gap_ms: f64) -> Event {
    Event::Second {
        ms,
        pictures,
        kbps: 1000.0,
        longest_gap_ms,
        sound_packets: 50,
        numbers_missing: 0,
        av_ms: Some(-30.0),
        glass_ms: None,
        wire_kbps: None,
        freeze_count: None,
        frozen_ms: None,
    }
}

fn path(local: &str, remote: &str) -> Event {
    Event::Path { ms: 60.0, local: local.into(), remote: remote.into(), rtt_ms: Some(20.0) }
}

fn told(ms: f64, code: &str, message: &str) -> Event {
    Event::Error { ms, code: code.into(), message: message.into() }
}

fn candidate(remote: bool, kind: &str) -> Event {
    let candidate = format!("candidate:1 1 udp 2122260223 192.0.2.1 5000 typ {kind}");
    Event::Candidate { ms: 10.0, remote, candidate }
}

fn end(ms: f64) -> Event {
    Event::End { ms, reason: "the time is over".into() }
}

fn seen(events: Vec<Event>) -> Seen {
    Seen { viewer: "viewer".into(), kind: "headless".into(), offset_ms: 0.0, events }
}

/// A viewer that had a direct path and steady pictures for ten seconds.
fn good() -> Vec<Event> {
    let mut events = vec![
        Event::Session { ms: 5.0, id: "s".into() },
        candidate(false, "host"),
        Event::Answer { ms: 20.0 },
        Event::State { ms: 50.0, state: "connected".into() },
        Event::FirstPicture { ms: 100.0, width: 640, height: 480 },
        path("srflx", "prflx"),
    ];
    events.extend((1..10).map(|n| second(f64::from(n) * 1000.0, 30, 40.0)));
    events.push(end(10_000.0));
    events
}

/// The same, but without pictures from one second to another, and as the viewer tells it.
fn still(from: u32, to: u32) -> Vec<Event> {
    let mut events: Vec<_> = good()
        .into_iter()
        .map(|event| match event {
            Event::Second { ms, .. }
                if (f64::from(from) * 1000.0 + 1.0..=f64::from(to) * 1000.0).contains(&ms) =>
            {
                second(ms, 0, ms - f64::from(from) * 1000.0)
            }
            event => event,
        })
        .collect();
    let lasted_ms = f64::from(to - from) * 1000.0 + 50.0;
    events.push(Event::Freeze { ms: f64::from(from) * 1000.0, lasted_ms });
    events
}

fn step(ms: f64, until_ms: Option<f64>) -> Step {
    Step { ms, what: "the device's router restarts".into(), disturbs: true, until_ms }
}

fn judged(plan: &Plan, steps: &[Step], events: Vec<Event>) -> Verdict {
    judge(plan, &[], &[], steps, &[seen(events)])
}

#[track_caller]
fn faulty(verdict: &Verdict, outcome: Outcome, words: &[&str]) {
    assert_eq!(verdict.outcome, outcome, "{verdict:?}");
    for word in words {
        assert!(
            verdict.reasons.iter().any(|reason| reason.contains(word)),
            "{word:?} in {:?}",
            verdict.reasons
        );
    }
}

const DIRECT: &str = "[expect]\npath = \"direct\"\nfirst-picture = \"700ms\"\nlongest-freeze = \"500ms\"\n\
                      bitrate = [\"500kbit\", \"2Mbit\"]\nav-sync = \"100ms\"\n";
const REBOOT: &str =
    "[device]\nrouters = [\"linux\"]\n[[event]]\nat = \"2s\"\ndo = \"reboot-router\"\nside = \"device\"\n";

#[test]
fn a_run_as_expected_passes_with_its_figures() {
    let verdict = judged(&plan(DIRECT), &[], good());
    assert_eq!((verdict.outcome, verdict.reasons.len()), (Outcome::Passed, 0), "{verdict:?}");
    let measured = verdict.measured;
    assert_eq!((measured.path.as_deref(), measured.pair.as_deref()), (Some("direct"), Some("srflx-prflx")));
    assert_eq!((measured.answer_ms, measured.first_picture_ms), (Some(20.0), Some(100.0)));
    assert_eq!(
        (measured.longest_freeze_ms, measured.kbps, measured.av_sync_ms),
        (Some(40.0), Some(1000.0), Some(30.0))
    );
    assert_eq!((measured.recovery_ms, measured.error), (None, None));
}

#[test]
fn a_rig_that_is_not_as_described_says_nothing_of_the_device() {
    let check = |ok| Check {
        what: "the device's router".into(),
        wanted: "EIM/EIF".into(),
        found: "APDM/APDF".into(),
        ok,
    };
    let none = [seen(vec![end(10_000.0)])];
    for (before, after) in [(vec![check(false)], vec![]), (vec![check(true)], vec![check(false)])] {
        let verdict = judge(&plan(DIRECT), &before, &after, &[], &none);
        faulty(&verdict, Outcome::RigFault, &["the device's router: it should be EIM/EIF, and is APDM/APDF"]);
        assert!(!verdict.reasons.iter().any(|reason| reason.contains("expected a direct path")));
    }
}

#[test]
fn a_viewer_that_is_not_there_or_breaks_off_is_a_fault_of_the_rig() {
    faulty(
        &judge(&plan(DIRECT), &[], &[], &[], &[]),
        Outcome::RigFault,
        &["the viewer viewer: it did not start"],
    );
    let mut broken = good();
    let reason = "the viewer broke off: it ended (signal: 9)".to_owned();
    broken.splice(10.., [Event::End { ms: 5000.0, reason }]);
    faulty(
        &judged(&plan(DIRECT), &[], broken),
        Outcome::RigFault,
        &["the viewer broke off: it ended (signal: 9)"],
    );
    faulty(&judged(&plan(DIRECT), &[], Vec::new()), Outcome::RigFault, &["did not reach the hub"]);
    let deaf = vec![told(30.0, "hub-unreachable", "no route"), end(10_000.0)];
    faulty(
        &judged(&plan(DIRECT), &[], deaf),
        Outcome::RigFault,
        &["did not reach the hub (hub-unreachable: no route)"],
    );
    faulty(&judged(&plan(REBOOT), &[], good()), Outcome::RigFault, &["did 0 of 1 events"]);
}

#[test]
fn a_viewer_that_the_rig_stopped_is_judged_by_what_it_saw() {
    let stopped: Vec<_> = good().into_iter().take(10).collect();
    let verdict = judged(&plan(DIRECT), &[], stopped);
    assert_eq!(verdict.outcome, Outcome::Passed, "{verdict:?}");
}

#[test]
fn a_viewer_that_comes_later_watches_for_less() {
    let plan =
        plan("time = \"15s\"\n[[viewers]]\nname = \"viewer\"\nat = \"5s\"\n[expect]\npath = \"direct\"");
    assert_eq!(judged(&plan, &[], good()).outcome, Outcome::Passed);
}

#[test]
fn a_path_through_a_relay_on_either_side_is_relayed() {
    for pair in [["relay", "host"], ["srflx", "relay"]] {
        let mut events = good();
        events.push(path(pair[0], pair[1]));
        faulty(
            &judged(&plan(DIRECT), &[], events.clone()),
            Outcome::DeviceFault,
            &[&format!("expected a direct path, got relayed ({}-{})", pair[0], pair[1])],
        );
        assert_eq!(judged(&plan("[expect]\npath = \"relayed\""), &[], events).outcome, Outcome::Passed);
    }
}

#[test]
fn a_late_first_picture_is_told_with_what_was_allowed() {
    let verdict = judged(&plan(&DIRECT.replace("700ms", "50ms")), &[], good());
    faulty(
        &verdict,
        Outcome::DeviceFault,
        &["the first picture came after 100 ms, at most 50 ms were allowed"],
    );
}

#[test]
fn a_viewer_without_a_picture_is_told_with_all_that_it_knew() {
    let events = vec![
        Event::Session { ms: 5.0, id: "s".into() },
        candidate(false, "host"),
        candidate(false, "srflx"),
        candidate(true, "host"),
        Event::Answer { ms: 20.0 },
        Event::State { ms: 9000.0, state: "failed".into() },
        told(9000.0, "no-path", "give both sides a TURN server"),
        end(9100.0),
    ];
    faulty(
        &judged(&plan(DIRECT), &[], events),
        Outcome::DeviceFault,
        &[
            "expected a direct path, got no picture in 9100 ms: the device answered after 20 ms",
            "the viewer's candidates: 1 host, 1 srflx",
            "the device's candidates: 1 host;",
            "state: failed",
            "told: no-path: give both sides a TURN server",
        ],
    );
}

#[test]
fn no_path_must_be_explained_in_words() {
    let plan =
        plan("[servers]\nturn = []\n[expect]\npath = \"none\"\nerror = \"no-path\"\nerror-text = \"turn\"");
    let unseen = |error: Option<Event>| {
        let begin = vec![Event::Session { ms: 5.0, id: "s".into() }, Event::Answer { ms: 20.0 }];
        begin.into_iter().chain(error).chain([end(9000.0)]).collect::<Vec<_>>()
    };
    let explained =
        judged(&plan, &[], unseen(Some(told(8000.0, "no-path", "give both sides a TURN server"))));
    assert_eq!(explained.outcome, Outcome::Passed, "{explained:?}");
    assert_eq!(explained.measured.path.as_deref(), Some("none"));
    faulty(&judged(&plan, &[], unseen(None)), Outcome::DeviceFault, &["nobody told the viewer why"]);
    let own = unseen(Some(told(8000.0, "no-picture", "nothing came")));
    faulty(
        &judged(&plan, &[], own),
        Outcome::DeviceFault,
        &["nobody told the viewer why", "the viewer: no-picture"],
    );
    let other = unseen(Some(told(8000.0, "internal", "oh")));
    faulty(
        &judged(&plan, &[], other),
        Outcome::DeviceFault,
        &["expected the error no-path with the words \"turn\", got internal: oh"],
    );
    let mute = unseen(Some(told(8000.0, "no-path", " ")));
    faulty(&judged(&plan, &[], mute), Outcome::DeviceFault, &["expected an error in words"]);
    faulty(
        &judged(&plan, &[], good()),
        Outcome::DeviceFault,
        &["expected no path, got a picture after 100 ms (srflx-prflx)"],
    );
}

#[test]
fn a_freeze_is_a_fault_but_in_the_recovery_from_an_event() {
    let without = judged(&plan(DIRECT), &[], still(3, 5));
    faulty(
        &without,
        Outcome::DeviceFault,
        &["pictures stood still for 2050 ms, at most 500 ms were allowed"],
    );
    let expect = |within: &str| plan(&format!("{REBOOT}{DIRECT}recovered-within = \"{within}\""));
    let recovered = judged(&expect("3s"), &[step(2900.0, None)], still(3, 5));
    assert_eq!(recovered.outcome, Outcome::Passed, "{recovered:?}");
    assert_eq!(recovered.measured.recovery_ms, Some(2150.0));
    let late = judged(&expect("2s"), &[step(2900.0, None)], still(3, 5));
    let words = "pictures moved again 2150 ms after \"the device's router restarts\", at most 2000 ms";
    faulty(&late, Outcome::DeviceFault, &[words]);
    let lasting = judged(&expect("2s"), &[step(2900.0, Some(4900.0))], still(3, 5));
    assert_eq!((lasting.outcome, lasting.measured.recovery_ms), (Outcome::Passed, Some(150.0)));
}

#[test]
fn what_nobody_needs_disturbs_nobody() {
    let direct = plan(DIRECT);
    let relayed = plan("[expect]\npath = \"relayed\"");
    let killed = |server| super::Event::KillServer { server, lasts: Duration::from_secs(1) };
    assert!(!disturbs(&direct, &killed(ServerName::Hub)) && !disturbs(&relayed, &killed(ServerName::Hub)));
    assert!(!disturbs(&direct, &killed(ServerName::Turn)) && disturbs(&relayed, &killed(ServerName::Turn)));
    assert!(disturbs(&direct, &super::Event::KillAgent));
    let line = crate::lab::wire::Faults::default();
    let set_line =
        super::Event::SetLine { side: crate::scenario::plan::SideName::Device, up: line, down: line };
    assert!(!disturbs(&direct, &set_line));
}

#[test]
fn steps_are_in_the_time_of_the_first_viewer() {
    let plan = plan(&format!("{REBOOT}{DIRECT}recovered-within = \"3s\""));
    let late = Seen { offset_ms: 2000.0, ..seen(still(3, 5)) };
    assert_eq!(judge(&plan, &[], &[], &[step(4900.0, None)], &[late]).measured.recovery_ms, Some(2150.0));
}

#[test]
fn pictures_that_stop_for_good_and_sessions_that_end_early_are_faults() {
    let plan = plan(&format!("{REBOOT}[expect]\nrecovered-within = \"3s\""));
    let gone = judged(&plan, &[step(2900.0, None)], still(3, 10));
    faulty(
        &gone,
        Outcome::DeviceFault,
        &["pictures stood still from 3000 ms to the end", "moved again 7100 ms after"],
    );
    let mut short: Vec<_> = good().into_iter().take(10).collect();
    short.push(Event::End { ms: 5000.0, reason: "bye".into() });
    faulty(
        &judged(&plan, &[step(2900.0, None)], short),
        Outcome::DeviceFault,
        &["the session ended after 5000 of 10000 ms: bye"],
    );
}

#[test]
fn errors_count_but_those_of_a_recovery() {
    let with = |ms| good().into_iter().chain([told(ms, "device-offline", "away")]).collect::<Vec<_>>();
    let plan = plan(&format!("{REBOOT}{DIRECT}recovered-within = \"3s\""));
    assert_eq!(judged(&plan, &[step(2900.0, None)], with(3500.0)).outcome, Outcome::Passed);
    let other = judged(&plan, &[step(2900.0, None)], with(8000.0));
    faulty(
        &other,
        Outcome::DeviceFault,
        &["expected no error, got one after 8000 ms (device-offline: away)"],
    );
    assert_eq!(other.measured.error.as_deref(), Some("device-offline: away"));
}

#[test]
fn bitrate_and_sound_are_held_to_their_limits() {
    let narrow = judged(&plan(&DIRECT.replace("500kbit", "1.5Mbit")), &[], good());
    faulty(
        &narrow,
        Outcome::DeviceFault,
        &["pictures came with 1000 kbit/s, 1500 to 2000 kbit/s were allowed"],
    );
    let apart = judged(&plan(&DIRECT.replace("100ms", "20ms")), &[], good());
    faulty(&apart, Outcome::DeviceFault, &["sound and picture were 30 ms apart, at most 20 ms"]);
    let mute = good().into_iter().map(|event| match event {
        Event::Second { ms, .. } => Event::Second {
            ms,
            pictures: 30,
            kbps: 1000.0,
            longest_gap_ms: 40.0,
            sound_packets: 0,
            numbers_missing: 0,
            av_ms: None,
            glass_ms: None,
            wire_kbps: None,
            freeze_count: None,
            frozen_ms: None,
        },
        event => event,
    });
    faulty(
        &judged(&plan(DIRECT), &[], mute.collect()),
        Outcome::DeviceFault,
        &["expected sound with the picture, got none"],
    );
}

#[test]
fn the_worst_of_several_viewers_counts_and_is_named() {
    let plan = plan(&format!("[[viewers]]\ncount = 2\n{DIRECT}"));
    let named = |name: &str, events| Seen { viewer: name.into(), ..seen(events) };
    let mut relayed = good();
    relayed.push(path("relay", "host"));
    let verdict = judge(&plan, &[], &[], &[], &[named("viewer-1", relayed), named("viewer-2", still(3, 5))]);
    faulty(
        &verdict,
        Outcome::DeviceFault,
        &["viewer-1: expected a direct path", "viewer-2: pictures stood still for 2050 ms"],
    );
    assert_eq!(
        (verdict.measured.path.as_deref(), verdict.measured.pair.as_deref()),
        (Some("relayed"), Some("relay-host"))
    );
    assert_eq!(verdict.measured.longest_freeze_ms, Some(2050.0));
}

#[path = "judge_properties.rs"]
mod properties;

#[test]
fn an_agent_that_does_not_start_is_the_devices_fault_unless_the_rig_has_one() {
    let check = |ok| Check { what: "the hub".into(), wanted: "an answer".into(), found: "none".into(), ok };
    assert_eq!(judge_checks(&[check(true)], &[check(true)]).outcome, Outcome::DeviceFault);
    let verdict = judge_checks(&[check(true)], &[check(false)]);
    assert_eq!(verdict.outcome, Outcome::RigFault);
    assert_eq!(verdict.reasons, ["the hub: it should be an answer, and is none"]);
}

#[path = "judge_window_tests.rs"]
mod windows;
