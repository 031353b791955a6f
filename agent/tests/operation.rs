//! What an operator sees of a running agent: health, metrics, the words at its start.
#![allow(clippy::unwrap_used)]

mod support;

use support::agent::{Agent, Start};

const OPERATION: &str = include_str!("../../docs/operation.md");

#[test]
fn every_metric_of_a_running_agent_is_documented() {
    let agent = Agent::start(Start::default());
    let text = agent.metrics();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.len() > 30, "{text}");
    for name in names {
        // Members of a group share a row: "likewise `_out`".
        let group = name.rsplit_once('_').map_or(name, |(group, _)| group);
        assert!(OPERATION.contains(name) || OPERATION.contains(group), "{name} is not in docs/operation.md");
    }
}

#[test]
fn health_says_what_is_shown() {
    let agent = Agent::start(Start::default());
    let health: serde_json::Value = serde_json::from_str(&agent.health()).unwrap();
    assert_eq!(health["status"], "ok");
    let detail = health["conditions"][0]["detail"].as_str().unwrap();
    for words in ["test pattern", "440 Hz tone", "talk-back"] {
        assert!(detail.contains(words), "{detail}");
    }
}
