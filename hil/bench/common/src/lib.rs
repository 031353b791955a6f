//! What the Rust programs of the benchmark share: the clip, its packets, made pictures, and the lines that are spoken.

pub mod clip;
pub mod fake;
pub mod lines;
pub mod payload;
