//! Sessions that are opened and closed leave nothing behind; the benchmark of the same name opens a thousand.
#![allow(clippy::expect_used)]

#[path = "sessions/growth.rs"]
mod growth;

use std::path::Path;

use growth::{Growth, Held, agent_program};

/// Few enough for each run of all tests.
const SESSIONS: usize = 64;
/// In so few sessions the allocator still finds its size. What a session holds while it is open is far more.
const MEMORY_BYTES: f64 = 64.0 * 1024.0;

#[test]
fn sixty_four_sessions_leave_nothing_behind() {
    let viewer = Path::new(env!("CARGO_BIN_EXE_p2pcam-hil"));
    let agent = agent_program(viewer);
    if !agent.exists() {
        println!("not run: {} is not built; AGENT_UNDER_TEST names another", agent.display());
        return;
    }
    let growth = Growth::measure(&agent, viewer, SESSIONS);
    let memory = growth.slope(|held| held.memory_bytes);
    assert!(memory < MEMORY_BYTES, "{memory:.0} bytes a session: {growth:#?}");
    // One of each for what a runtime may make once more.
    assert!(growth.rise(|held| held.files) <= 1.0, "files: {growth:#?}");
    assert!(growth.rise(|held| held.threads) <= 1.0, "threads: {growth:#?}");
}

/// Forty batches of an agent that keeps so much of each session, and a file more after the thirtieth.
fn leaking(bytes: f64) -> Growth {
    let held = |batch: usize| Held {
        sessions: batch * 8,
        memory_bytes: 5e7 + if batch < 10 { batch as f64 * 1e6 } else { 1e7 } + batch as f64 * 8.0 * bytes,
        files: if batch > 30 { 26.0 } else { 25.0 },
        threads: 7.0,
    };
    Growth((1..=40).map(held).collect())
}

#[test]
fn what_each_session_leaves_is_found_behind_what_is_made_once() {
    let growth = leaking(3000.0);
    assert!((growth.slope(|held| held.memory_bytes) - 3000.0).abs() < 1.0);
    assert!(leaking(0.0).slope(|held| held.memory_bytes).abs() < 1.0);
    assert_eq!((growth.rise(|held| held.files), growth.rise(|held| held.threads)), (1.0, 0.0));
}
