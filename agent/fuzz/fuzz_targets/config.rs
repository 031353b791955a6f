//! Any text as agent.toml: read, or refused in words, without a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use p2pcam_agent::config::parse;

fuzz_target!(|text: &str| {
    if let Err(problem) = parse(text, Path::new("agent.toml")) {
        assert!(!problem.to_string().is_empty());
    }
});
