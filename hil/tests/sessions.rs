//! Sessions that are opened and closed leave nothing behind; the benchmark of the same name opens a thousand.
#![allow(clippy::expect_used)]

#[path = "sessions/growth.rs"]
mod growth;

use std::path::Path;

use growth::{Growth, agent_program};

/// Few enough for each run of all tests.
const SESSIONS: usize = 64;
/// In so few sessions the allocator still finds its size. What a session holds while it is open is far more.
const MEMORY_BYTES: f64 = 64.0 * 1024.0;

#[test]
fn sixty_four_sessions_leave_nothing_behind() {
    let viewer = Path::new(env!("CARGO_BIN_EXE_p2pcam-hil"));
    let agent = agent_program(viewer);
    if !agent.exists() {
        println!("not run: {} is not built; P2PCAM_AGENT names another", agent.display());
        return;
    }
    let growth = Growth::measure(&agent, viewer, SESSIONS);
    let memory = growth.slope(|held| held.memory_bytes);
    assert!(memory < MEMORY_BYTES, "{memory:.0} bytes a session: {growth:#?}");
    // One of each for what a runtime may make once more.
    assert!(growth.rise(|held| held.files) <= 1.0, "files: {growth:#?}");
    assert!(growth.rise(|held| held.threads) <= 1.0, "threads: {growth:#?}");
}
