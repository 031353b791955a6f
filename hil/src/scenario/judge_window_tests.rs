//! Windows: what one viewer or all saw in a part of the time.

use super::*;

/// Seconds of a viewer whose rate with headers is given, one after the other; its first picture came after 100 ms.
fn rates(kbps: &[f64]) -> Vec<Event> {
    let mut events: Vec<_> = good()
        .into_iter()
        .filter(|event| !matches!(event, Event::Second { .. } | Event::End { .. }))
        .collect();
    for (index, kbps) in kbps.iter().enumerate() {
        let ms = (index as f64 + 1.0) * 1000.0;
        let Event::Second { ms, longest_gap_ms, sound_packets, numbers_missing, av_ms, .. } =
            second(ms, 0, 40.0)
        else {
            panic!("no second")
        };
        events.push(Event::Second {
            ms,
            pictures: 10,
            kbps: kbps * 0.9,
            longest_gap_ms,
            sound_packets,
            numbers_missing,
            av_ms,
            glass_ms: Some(kbps / 10.0),
            wire_kbps: Some(*kbps),
            freeze_count: None,
            frozen_ms: None,
        });
    }
    events.push(end(kbps.len() as f64 * 1000.0));
    events
}

const LINE: &str =
    "[device]\nrouters = [\"linux\"]\nline = { up = { rate = \"1Mbit\" } }\n[[window]]\nfrom = \"2s\"\n";

#[test]
fn a_share_of_the_line_counts_whole_seconds_of_the_window() {
    let seen = rates(&[100.0, 100.0, 900.0, 800.0, 1000.0, 900.0, 300.0, 300.0, 300.0, 300.0]);
    // The window is 2.1 s to 6.1 s of the viewer's time: the seconds that end at 4, 5 and 6 s lie in it.
    let limit = |share: u32| plan(&format!("{LINE}to = \"6s\"\nutilisation = \"{share}%\""));
    let passed = judged(&limit(90), &[], seen.clone());
    assert_eq!(passed.outcome, Outcome::Passed, "{passed:?}");
    let found = &passed.measured.windows[0];
    assert_eq!((found.wire_kbps, found.utilisation), (Some(900.0), Some(0.9)));
    assert_eq!((found.pictures, found.delay_ms), (Some(10.0), Some(100.0)));
    faulty(
        &judged(&limit(91), &[], seen),
        Outcome::DeviceFault,
        &[
            "from 2000 to 6000 ms after the first picture: 90 % of the line's rate was used (900 kbit/s), at least 91 %",
        ],
    );
}

#[test]
fn a_rate_is_reached_when_the_second_that_has_it_ends() {
    let seen = rates(&[100.0, 100.0, 200.0, 400.0, 950.0, 900.0, 900.0, 900.0, 900.0, 900.0]);
    let within = |within: &str, rate: &str| {
        judged(&plan(&format!("{LINE}reaches = \"{rate}\"\nwithin = \"{within}\"")), &[], seen.clone())
    };
    let passed = within("3s", "900kbit");
    assert_eq!((passed.outcome, passed.measured.windows[0].reached_ms), (Outcome::Passed, Some(2900.0)));
    faulty(
        &within("2.5s", "900kbit"),
        Outcome::DeviceFault,
        &["900 kbit/s were reached after 2900 ms, within 2500 ms was wanted"],
    );
    faulty(&within("5s", "990kbit"), Outcome::DeviceFault, &["990 kbit/s were never reached"]);
}

#[test]
fn a_freeze_counts_in_its_window_alone() {
    let limit = |from: u32, to: u32| {
        plan(&format!("[[window]]\nfrom = \"{from}s\"\nto = \"{to}s\"\nlongest-freeze = \"500ms\""))
    };
    assert_eq!(judged(&limit(6, 9), &[], still(3, 5)).outcome, Outcome::Passed);
    faulty(&judged(&limit(1, 7), &[], still(3, 5)), Outcome::DeviceFault, &["stood still for 2050 ms"]);
    let cut = judged(&limit(4, 8), &[], still(3, 5)).measured.windows[0].longest_freeze_ms.unwrap();
    assert!((cut - 950.0).abs() < 1.0, "the part of it from 4.1 s on: {cut}");
}

#[test]
fn pictures_delay_and_bitrate_are_held_to_their_limits() {
    let seen = rates(&[500.0; 10]);
    let limit = |text: &str| judged(&plan(&format!("{LINE}{text}")), &[], seen.clone());
    for passes in ["pictures = 10", "delay = \"50ms\"", "bitrate = [\"400kbit\", \"500kbit\"]"] {
        assert_eq!(limit(passes).outcome, Outcome::Passed, "{passes}");
    }
    faulty(&limit("pictures = 11"), Outcome::DeviceFault, &["10.0 pictures a second came, at least 11"]);
    faulty(&limit("delay = \"49ms\""), Outcome::DeviceFault, &["pictures were 50 ms old"]);
    faulty(&limit("bitrate = [\"1kbit\", \"400kbit\"]"), Outcome::DeviceFault, &["pictures had 450 kbit/s"]);
    let without = good();
    let verdict = judged(&plan(&format!("{LINE}delay = \"1s\"")), &[], without);
    faulty(&verdict, Outcome::DeviceFault, &["no picture came that it can be told by, at most 1000 ms"]);
}

#[test]
fn a_window_of_one_viewer_is_about_nobody_else_and_in_the_time_of_the_first_one() {
    let plan = plan(
        "[[viewers]]\nname = \"a\"\n[[viewers]]\nname = \"b\"\nat = \"1s\"\n\
         [[window]]\nfrom = \"2s\"\nto = \"5s\"\nviewer = \"b\"\npictures = 20\n",
    );
    let named = |name: &str, offset_ms, events| Seen { viewer: name.into(), offset_ms, ..seen(events) };
    let late = named("b", 1000.0, rates(&[500.0; 9]));
    let verdict = judge(&plan, &[], &[], &[], &[named("a", 0.0, rates(&[500.0; 10])), late]);
    faulty(&verdict, Outcome::DeviceFault, &["b: from 2000 to 5000 ms"]);
    assert_eq!(verdict.reasons.len(), 1, "{:?}", verdict.reasons);
    assert_eq!(verdict.measured.windows.len(), 1);
}

#[test]
fn what_a_browser_counts_from_the_start_of_a_session_is_told_of_the_window() {
    let mut seen = rates(&[500.0; 10]);
    for event in &mut seen {
        if let Event::Second { ms, freeze_count, frozen_ms, .. } = event {
            (*freeze_count, *frozen_ms) = (Some((*ms / 1000.0) as u32), Some(*ms / 10.0));
        }
    }
    let found = judged(&plan(&format!("{LINE}to = \"6s\"")), &[], seen).measured.windows.remove(0);
    // The seconds that end at 4 and at 6 s.
    assert_eq!((found.freeze_count, found.frozen_ms), (Some(2), Some(200.0)));
}
