//! Scenarios: what is built, what happens, what is expected, and what a run comes to.
//!
//! [`read`] makes a [`plan::Plan`] of a file, or says all that is wrong with it; [`judge`] compares a plan with what was
//! seen. Both are pure: nothing here builds a lab or starts a program.

mod allowance;
mod board;
mod event;
mod expect;
mod judge;
mod keys;
mod line;
mod paths;
pub mod plan;
mod problem;
mod read;
mod sense;
mod side;
mod simple;
mod suited;
mod table;
mod units;
mod viewers;
pub mod window;

pub use allowance::{allow, slowness};
pub use judge::{disturbs, judge, judge_checks};
pub use problem::{Problem, Problems};
pub use read::read;
pub use suited::unsuited;

/// A commented scenario that shows every key, for a person to begin with. It reads without problems.
pub fn example() -> String {
    include_str!("example.toml").into()
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
