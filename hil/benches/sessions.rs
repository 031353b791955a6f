//! A thousand sessions opened and closed: what one more leaves behind. Run by `scripts/bench sessions`; prints a Markdown
//! row, and fails if something grows. `BENCH_SESSIONS` sets another number.
#![allow(missing_docs, clippy::expect_used)]

#[path = "../tests/sessions/growth.rs"]
mod growth;

use std::{path::Path, process::ExitCode};

use growth::{Growth, Held, agent_program};

const SESSIONS: usize = 1000;
/// Bytes a session: an entry that is forgotten with what it holds is more, what an allocator does by chance is less.
const MEMORY_BYTES: f64 = 1024.0;

fn main() -> ExitCode {
    let sessions = std::env::var("BENCH_SESSIONS").map_or(SESSIONS, |text| text.parse().expect("a number"));
    let viewer = Path::new(env!("CARGO_BIN_EXE_p2pcam-hil"));
    let growth = Growth::measure(&agent_program(viewer), viewer, sessions);
    let memory = growth.slope(|held| held.memory_bytes);
    let (files, threads) = (growth.rise(|held| held.files), growth.rise(|held| held.threads));
    let (Some(first), Some(middle), Some(last)) =
        (growth.0.first(), growth.0.get(growth.0.len() / 2), growth.0.last())
    else {
        return ExitCode::FAILURE;
    };
    let three = |figure: &dyn Fn(&Held) -> f64| {
        [first, middle, last].map(|held| format!("{:.0}", figure(held))).join(" / ")
    };
    println!(
        "| figure | after {} / {} / {} sessions | second half |",
        first.sessions, middle.sessions, last.sessions
    );
    println!("|---|---|---|");
    println!(
        "| memory, KiB | {} | {memory:+.0} bytes a session |",
        three(&|held| held.memory_bytes / 1024.0)
    );
    println!("| open files | {} | {files:+.0} |", three(&|held| held.files));
    println!("| threads | {} | {threads:+.0} |", three(&|held| held.threads));
    if memory < MEMORY_BYTES && files <= 0.0 && threads <= 0.0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("something grows: {:#?}", growth.0);
    ExitCode::FAILURE
}
