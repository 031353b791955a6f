//! Scenarios: what is built, what happens, what is expected.

pub mod plan;
