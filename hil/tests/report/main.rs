//! Reports of a made-up run and of any run: they are written, hold what they should, and can be read again.

mod arbitrary;
mod fixture;

use std::{fs, path::Path};

use p2pcam_hil::{
    record::{Artefact, Outcome, Record},
    report::{self, Report, nat_matrix_markdown, put_between_markers},
    viewer::Event,
};
use proptest::prelude::*;
use quick_junit::{NonSuccessKind, TestCaseStatus};

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect(name)
}

fn written(folder: &Path, records: &[Record]) -> String {
    report::write(folder, &fixture::run(), records, None).expect("written");
    text(folder, report::HTML)
}

/// Where the pages are left to be looked at, if wanted.
fn folder() -> (Option<tempfile::TempDir>, std::path::PathBuf) {
    match std::env::var_os("P2PCAM_HIL_REPORT_TO") {
        Some(path) => (None, path.into()),
        None => {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    }
}

#[test]
fn a_run_is_reported_in_three_files_and_read_again() {
    let (_kept, folder) = folder();
    let before = Report { run: fixture::run(), records: fixture::records(&folder, 1, 1.0) };
    let mut records = fixture::records(&folder, 1, 1.0);
    // A case that is newly broken, one that is mended, one that is slower.
    let mut before = Report { records: before.records, ..before };
    before.records[17] = records[18].clone();
    before.records[17].cell = records[17].cell.clone();
    before.records[130].verdict.outcome = Outcome::DeviceFault;
    records[129].verdict.measured.first_picture_ms = Some(700.0);
    for (place, record) in records.iter_mut().enumerate().skip(20).take(20) {
        let measured = &mut record.verdict.measured;
        measured.first_picture_ms =
            measured.first_picture_ms.map(|ms| ms * (0.3 + place as f64 / 20.0).round());
    }

    let paths = report::write(&folder, &fixture::run(), &records, Some(&before)).expect("written");
    assert_eq!(paths.len(), 3);
    let read = report::read(&folder).expect("its folder will do");
    assert!(read.run == fixture::run() && read.records == records, "what is read is what was written");

    let page = text(&folder, report::HTML);
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    assert_eq!(page.matches("class=\"cell ").count(), 128);
    assert_eq!(page.matches("<details class=\"row ").count(), 138);
    for place in 0..138 {
        assert!(page.contains(&format!("id=\"c{place}\"")), "{place}");
    }
    assert!(
        !page.contains("src=") && !page.contains("url(") && !page.contains("@import"),
        "it loads nothing"
    );
    assert!(page.contains("the last 200 lines of "));
    let wrong = page.find("What did not pass").expect("a section");
    assert!(wrong < page.find("<h2>Matrix").expect("a section"), "the bad things come first");
    assert!(page.contains("\u{2191} 335 % worse"), "the trend has arrow and percent");
}

#[test]
fn outcomes_are_told_in_junits_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = fixture::records(folder.path(), 1, 1.0);
    report::write(folder.path(), &fixture::run(), &records, None).expect("written");
    let junit = quick_junit::Report::deserialize_from_str(&text(folder.path(), report::JUNIT)).expect("XML");
    let suites: Vec<(&str, usize, usize, usize, usize)> = junit
        .test_suites
        .iter()
        .map(|suite| (suite.name.as_str(), suite.tests, suite.failures, suite.errors, suite.disabled))
        .collect();
    assert_eq!(suites[0].0, "local");
    assert_eq!((suites[0].1, suites[0].2, suites[0].3), (137, 3, 2));
    assert_eq!((suites[1].0, suites[1].1), ("qemu", 1));
    let case = junit.test_suites[0]
        .test_cases
        .iter()
        .find(|case| case.name.as_str() == "uplink-gone")
        .expect("it ran");
    let TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, message: Some(message), .. } =
        &case.status
    else {
        panic!("{case:?}");
    };
    assert!(message.as_str().starts_with("recovery of 7.95 s"), "{message:?}");
    assert!(case.time.is_some());
    assert!(case.system_out.as_ref().is_some_and(|out| out.as_str().contains("first picture: 142 ms")));
    assert!(matches!(junit.test_suites[1].test_cases[0].status, TestCaseStatus::Skipped { .. }));
}

#[test]
fn the_matrix_document_has_truth_findings_and_times() {
    let (_kept, folder) = folder();
    let records = fixture::records(&folder, 1, 1.0);
    let part = nat_matrix_markdown(&fixture::run(), &records);
    assert!(part.contains("125 of 128 cells are as the truth table says."), "{part}");
    assert!(part.contains("`p2pcam-hil run --matrix --board local hil/scenarios --seed 4787`"));
    assert!(part.contains("| EIM/EIF | P direct | P direct |") && part.contains("**P none**"), "{part}");
    assert!(part.contains("R relayed") && part.contains("**P rig fault**"));
    assert!(part.contains("| relayed | first picture | 33 |"), "{part}");
    let whole = put_between_markers("", &part).expect("an empty file");
    fs::write(folder.join("nat-matrix.md"), &whole).expect("written");
    assert_eq!(put_between_markers(&whole, &part).as_deref(), Ok(whole.as_str()));
}

#[test]
fn hostile_words_of_a_device_stay_words() {
    const HOSTILE: &str =
        "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u{1b}]0;x\u{7}\u{202e}";
    let folder = tempfile::tempdir().expect("a folder");
    let mut record = fixture::records(folder.path(), 1, 1.0).pop().expect("one");
    fs::write(folder.path().join("agent.log"), HOSTILE).expect("written");
    record.verdict.outcome = Outcome::DeviceFault;
    record.verdict.reasons = vec![HOSTILE.into()];
    record.verdict.measured.error = Some(HOSTILE.into());
    record.scenario = HOSTILE.into();
    record.board = HOSTILE.into();
    record.files = vec![
        Artefact { what: HOSTILE.into(), path: "agent.log".into() },
        Artefact { what: "outside".into(), path: "../../etc/passwd".into() },
        Artefact { what: "scheme".into(), path: "javascript:alert(1).pcap".into() },
    ];
    record.viewers = vec![p2pcam_hil::record::Seen {
        viewer: HOSTILE.into(),
        kind: HOSTILE.into(),
        offset_ms: 0.0,
        events: vec![
            Event::Error { ms: 1.0, code: HOSTILE.into(), message: HOSTILE.into() },
            Event::Candidate { ms: 1.0, remote: true, candidate: HOSTILE.into() },
            Event::Candidate { ms: 1.0, remote: true, candidate: format!("1 1 udp 1 {} 1 typ <b>", "<i>") },
        ],
    }];
    let page = written(folder.path(), &[record]);
    for bad in [
        "<img",
        "alert(1)</script>",
        "<b></b>",
        "<i></td>",
        "\u{202e}",
        "\u{1b}",
        "href=\"javascript:",
        "../etc/passwd\"",
    ] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert_eq!(page.matches("<script>").count(), 1, "its own");
    assert!(page.contains("&lt;/pre&gt;&lt;/script&gt;"), "and they can be read");
    quick_junit::Report::deserialize_from_str(&text(folder.path(), report::JUNIT)).expect("XML");
}

#[test]
fn an_empty_run_is_reported_too() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(written(folder.path(), &[]).contains("Nothing ran."));
    assert_eq!(report::read(folder.path()).expect("read").records, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_run_is_reported_and_read_again(records in proptest::collection::vec(arbitrary::record(), 0..5)) {
        let folder = tempfile::tempdir().expect("a folder");
        let earlier = Report { run: fixture::run(), records: records.iter().rev().cloned().collect() };
        report::write(folder.path(), &fixture::run(), &records, Some(&earlier)).expect("written");
        prop_assert_eq!(&report::read(folder.path()).expect("read").records, &records);
        let junit = quick_junit::Report::deserialize_from_str(&text(folder.path(), report::JUNIT));
        prop_assert_eq!(junit.expect("XML").tests, records.len());
        let page = text(folder.path(), report::HTML);
        prop_assert_eq!(page.matches("<script>").count(), 1);
        prop_assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        let part = nat_matrix_markdown(&fixture::run(), &records);
        prop_assert!(put_between_markers(&put_between_markers("", &part).expect("empty"), &part).is_ok());
    }

    #[test]
    fn figures_that_are_no_numbers_break_no_page(
        mut record in arbitrary::record(),
        odd in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::MAX, f64::MIN]),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        record.verdict.measured.first_picture_ms = Some(odd);
        record.verdict.measured.kbps = Some(odd);
        record.took_ms = odd;
        for seen in &mut record.viewers {
            seen.offset_ms = odd;
            seen.events.push(Event::Second {
                ms: odd,
                pictures: 0,
                kbps: odd,
                longest_gap_ms: odd,
                sound_packets: 0,
                numbers_missing: 0,
                av_ms: None,
                glass_ms: None,
                wire_kbps: None,
                freeze_count: None,
                frozen_ms: None,
            });
            seen.events.push(Event::Freeze { ms: odd, lasted_ms: odd });
        }
        for sample in &mut record.lines {
            sample.ms = odd;
        }
        let page = written(folder.path(), &[record]);
        prop_assert!(!page.contains("NaN") && !page.contains("inf\""));
    }
}
