//! The agent on a booted board: run there as root, by `scripts/board test`. Elsewhere each test says that it did not run.
#![allow(clippy::unwrap_used)]

#[path = "board/boot.rs"]
mod boot;
#[path = "board/support.rs"]
mod support;
