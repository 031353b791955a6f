//! Windows as they are written, and what is wrong with those that make no sense.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::scenario::{Problems, read as read_file};

const LINES: &str = "time = \"30s\"\n[device]\nrouters = [\"port-restricted\"]\nline = { up = { rate = \"3Mbit\" } }\n\
                     [viewer]\nrouters = [\"port-restricted\"]\n\
                     [[viewers]]\nname = \"weak\"\nline = { rate = \"200kbit\" }\n\
                     [[viewers]]\nname = \"other\"\ncount = 2\n\
                     [[event]]\nat = \"8s\"\ndo = \"set-line\"\nside = \"device\"\nline = { up = { rate = \"500kbit\" } }\n";

fn plan(windows: &str) -> Result<Plan, Problems> {
    read_file(&format!("about = \"A test\"\n{LINES}{windows}"), "test.toml")
}

#[track_caller]
fn refused(windows: &str, words: &str) {
    let problems = plan(windows).unwrap_err().to_string();
    assert!(problems.contains(words), "{problems}");
}

#[test]
fn a_window_is_as_written() {
    let text = "[[window]]\nfrom = \"2s\"\nto = \"7s\"\nviewer = \"other\"\nutilisation = \"85%\"\n\
                reaches = \"2.7Mbit\"\nwithin = \"4s\"\nbitrate = [\"1Mbit\", \"3Mbit\"]\npictures = 12\n\
                delay = \"400ms\"\nlongest-freeze = \"500ms\"\n";
    let window = plan(text).unwrap().windows.remove(0);
    let s = Duration::from_secs;
    assert_eq!((window.from, window.to, window.within), (s(2), Some(s(7)), Some(s(4))));
    assert_eq!((window.utilisation, window.reaches_kbps), (Some(0.85), Some(2700.0)));
    assert_eq!((window.kbps, window.pictures), (Some((1000.0, 3000.0)), Some(12.0)));
    assert_eq!(window.delay.zip(window.longest_freeze), Some((s(4) / 10, s(5) / 10)));
    let about = |name| window.is_about(name);
    assert!(about("other-1") && about("other-2") && about("other") && !about("weak") && !about("other-x"));
}

#[test]
fn the_lines_rate_is_that_of_the_time_and_of_the_viewers_own_line() {
    let rate = |from: &str, viewer: usize| {
        let plan = plan(&format!("[[window]]\n{from}\n")).unwrap();
        plan.windows[0].line_rate(&plan, &plan.viewers[viewer])
    };
    assert_eq!(rate("from = \"1s\"\nto = \"8s\"", 1), Some(3_000_000));
    assert_eq!(rate("from = \"8s\"", 1), Some(500_000));
    assert_eq!(rate("from = \"8s\"", 0), Some(200_000));
    assert_eq!(rate("from = \"6s\"", 1), None, "it changes at 8 s");
}

#[test]
fn a_window_without_sense_is_refused_in_words() {
    refused("[[window]]\nto = \"5s\"\n", "`from` is missing");
    refused("[[window]]\nfrom = \"5s\"\nto = \"6s\"\n", "too short");
    refused("[[window]]\nfrom = \"5s\"\nto = \"40s\"\n", "ends after the scenario, at 30s");
    refused("[[window]]\nfrom = \"29s\"\n", "begins when the scenario is over");
    refused("[[window]]\nfrom = \"1s\"\nviewer = \"nobody\"\n", "there is no viewer \"nobody\"");
    refused(
        "[[window]]\nfrom = \"1s\"\nutilisation = \"90%\"\n",
        "the line has no rate there, or it changes",
    );
    refused("[[window]]\nfrom = \"1s\"\nreaches = \"1Mbit\"\n", "`within` is missing");
    refused("[[window]]\nfrom = \"1s\"\n[expect]\npath = \"none\"\n", "contradicts path = \"none\"");
}
