//! The configuration as users meet it: the documentation names every key, and the binary obeys file, variable
//! and flag in this order.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Command};

use p2pcam_agent::config::{Config, ConfigError, Place, Setting, load, load_with, schema};

fn documentation() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The part of the page that describes a section.
fn part<'a>(page: &'a str, section: &str) -> &'a str {
    let title = format!("\n## `[{section}]`");
    let start = page.find(&title).unwrap_or_else(|| panic!("docs/configuration.md has no part {title:?}"));
    let rest = &page[start + title.len()..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn the_documentation_names_every_key_with_its_default() {
    let page = documentation();
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    for (path, _) in schema::paths() {
        let (section, key) = path.split_once('.').unwrap();
        let start = format!("| `{key}` |");
        let row = part(&page, section)
            .lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("docs/configuration.md has no row {start:?} in [{section}]"));
        if let Some(default) = defaults[section].get(key) {
            assert!(
                row.contains(&format!("| `{default}` |")),
                "the default of {path} is {default}, not as in: {row}"
            );
        }
    }
}

#[test]
fn the_documentation_names_no_key_that_is_gone() {
    let page = documentation();
    let known: Vec<_> = schema::paths().map(|(path, _)| path).collect();
    for section in schema::sections() {
        for row in part(&page, section.name).lines().filter(|line| line.starts_with("| `")) {
            let key = row.trim_start_matches("| `").split('`').next().unwrap();
            assert!(
                known.contains(&format!("{}.{key}", section.name)),
                "[{}] has no key {key}",
                section.name
            );
        }
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let error = load(Some(Path::new("/no/such/agent.toml")), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    assert!(error.to_string().contains("/no/such/agent.toml"), "{error}");
}

#[test]
fn flags_go_over_variables_and_variables_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, "[video]\nsource = \"pattern\"\nfps = 10\n[audio]\nsource = \"tone\"\n").unwrap();
    let env = [("P2PCAM_VIDEO_SOURCE", "auto"), ("P2PCAM_VIDEO_FPS", "15")];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let flag = Setting { key: "video.source", value: "v4l2:/dev/video9".into(), flag: "--video" };
    let loaded = load_with(Some(&file), env, &[flag]).unwrap();
    assert_eq!(loaded.config.video.source, "v4l2:/dev/video9");
    assert_eq!(loaded.config.video.fps, 15);
    assert_eq!(loaded.config.audio.source, "tone");
    assert_eq!(loaded.path, Some(file));
    assert_eq!(loaded.overrides.last().unwrap().place, Place::Flag("--video"));
}

#[test]
fn a_variable_overrides_the_file_in_the_real_binary() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, "[video]\nwidth = 320\nheight = 240\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_p2pcam-agent"))
        .arg("config")
        .arg("--config")
        .arg(&file)
        .env("P2PCAM_VIDEO_WIDTH", "640")
        .env("P2PCAM_HUB_STUN", "stun:a.example,stun:b.example")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("# video.width is set by environment variable P2PCAM_VIDEO_WIDTH."), "{text}");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["video"]["width"].as_integer(), Some(640));
    assert_eq!(table["video"]["height"].as_integer(), Some(240));
    assert_eq!(table["hub"]["stun"].as_array().unwrap().len(), 2);
}
