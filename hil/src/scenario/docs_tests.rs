//! Tests of the example, the documentation and the project's own scenarios against the reader.

use std::collections::BTreeMap;

use p2pcam_agent::signaling::message::code;

use crate::scenario::{event, example, keys, read};

const DOCS: &str = include_str!("../../../docs/scenarios.md");

#[test]
fn the_example_reads_without_problems_and_shows_every_key() {
    let text = example();
    let plan = read(&text, "example.toml").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plan.viewers.len(), 3);
    assert_eq!(plan.events.len(), 6);
    assert_eq!(plan.device.uplink.routers.len(), 2);
    for table in keys::TABLES {
        for key in table.keys {
            let shown = [
                format!("{key} = "),
                format!("[{key}]"),
                format!("[{key}."),
                format!(".{key}]"),
                format!("[[{key}]]"),
                format!("{key}."),
            ];
            assert!(shown.iter().any(|form| text.contains(form)), "`{key}` of {} is not shown", table.name);
        }
    }
    for deed in event::deeds() {
        assert!(text.contains(&format!("\"{deed}\"")), "{deed} is not shown");
    }
}

#[test]
fn the_scenarios_of_the_project_read_without_problems_and_are_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut read_so_far = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let plan = read(&text, &path.to_string_lossy()).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(plan.expect.path.is_some(), "{} expects no path", plan.name);
        assert!(readme.contains(&format!("[{0}]({0}.toml)", plan.name)), "{} is not listed", plan.name);
        read_so_far += 1;
    }
    assert_eq!(readme.matches(".toml)").count(), read_so_far);
}

/// Headings and the keys in the first column of the tables below them.
fn documented() -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut heading = String::new();
    for line in DOCS.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text.into();
        } else if let Some(row) = line.strip_prefix("| `") {
            let key = row.split('`').next().unwrap_or_default();
            tables.entry(heading.clone()).or_default().push(key.into());
        }
    }
    tables
}

#[test]
fn the_documentation_has_every_key_that_the_reader_knows_and_no_other() {
    let documented = documented();
    let known = |heading: &str| documented.get(heading).cloned().unwrap_or_default();
    for (heading, keys) in [
        ("The top of the file", &keys::TOP),
        ("`[device]` and `[viewer]`: the two sides", &keys::DEVICE),
        ("`[device]` and `[viewer]`: the two sides", &keys::VIEWER),
        ("`[device.spare]` and `[viewer.spare]`: another way", &keys::SPARE),
        ("Routers", &keys::ROUTER),
        ("Forwards", &keys::FORWARD),
        ("Lines", &keys::LINE),
        ("Bursts", &keys::BURSTS),
        ("`[servers]`: what there is on the internet", &keys::SERVERS),
        ("`[board]`: the device", &keys::BOARD),
        ("`[[viewers]]`: who watches", &keys::VIEWERS),
        ("`[[event]]`: what happens", &keys::EVENT),
        ("`[[window]]`: what must be seen in a part of the time", &keys::WINDOW),
        ("`[expect]`: what must be seen", &keys::EXPECT),
    ] {
        assert_eq!(known(heading), keys.keys, "under \"{heading}\"");
    }
    assert_eq!(known("Deeds"), event::deeds().collect::<Vec<_>>());
    let both: Vec<_> = keys::LINE.keys.iter().filter(|key| !["preset", "up", "down"].contains(key)).collect();
    assert_eq!(both, keys::DIRECTION.keys.iter().collect::<Vec<_>>());
}

#[test]
fn the_documentation_shows_a_file_that_reads_and_the_words_for_one_that_does_not() {
    let block = |language: &str| {
        let begin = format!("```{language}\n");
        DOCS.split(&begin).nth(1).and_then(|rest| rest.split("```").next()).unwrap()
    };
    let file = block("toml");
    assert!(read(file, "router.toml").is_ok());
    let wrong = file.replace("\"reboot-router\"", "\"router-reboot\"");
    let printed = read(&wrong, "router.toml").unwrap_err().to_string();
    // The documentation shortens the list of what is allowed.
    let but_the_list = |text: &str| {
        text.lines().filter(|line| !line.contains("= allowed")).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(but_the_list(block("text")), but_the_list(&printed));
}

#[test]
fn error_codes_are_those_of_the_protocol() {
    let protocol = include_str!("../../../docs/protocol.md");
    let table = protocol.split("| code | meaning | what to do |").nth(1).unwrap();
    let codes: Vec<_> = table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| `"))
        .filter_map(|row| row.split('`').next())
        .collect();
    assert_eq!(codes, code::ALL);
}
